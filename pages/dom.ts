/** Small tools for pages whose HTML the Worker wrote: elements are found by id, never made from text. */

/** @throws {Error} when the page has no such element: page and script then are not of one build. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no #${id}`);
  return element as E;
}

/** Shows one of the sections and hides the others; the shown one gets the focus, so that a screen reader reads on there. */
export function showOnly(shown: string, among: readonly string[]): void {
  for (const id of among) byId(id).hidden = id !== shown;
  byId(shown).focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Says what went wrong in the alert `id`; an empty text takes it back. */
export function say(id: string, text: string): void {
  const alert = byId(id);
  alert.textContent = text;
  alert.hidden = text === "";
}

/** Takes what stands behind `#` out of the address bar and the history entry, where it would outlive the page. */
export function takeFragment(): string {
  const { hash, pathname, search } = window.location;
  if (hash !== "") window.history.replaceState(null, "", pathname + search);
  return hash;
}

/** Wires every `<button data-copy="id">`: copies the field's value, or selects it where the page may not copy (no TLS). */
export function wireCopyButtons(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    const label = button.textContent;
    button.addEventListener("click", () => {
      void copyFrom(byId<HTMLInputElement>(button.dataset["copy"] ?? "")).then((copied) => {
        button.textContent = copied ? "Copied" : "Selected: copy it";
        window.setTimeout(() => (button.textContent = label), 2_000);
      });
    });
  }
}

/** Wires every `<button data-reveal="id">`: shows a hidden secret, and hides it again. */
export function wireRevealButtons(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-reveal]")) {
    button.addEventListener("click", () => {
      const field = byId<HTMLInputElement>(button.dataset["reveal"] ?? "");
      const show = field.type === "password";
      field.type = show ? "text" : "password";
      button.textContent = show ? "Hide" : "Show";
      button.setAttribute("aria-pressed", String(show));
    });
  }
}

async function copyFrom(field: HTMLInputElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.type = "text"; // a password field does not let its text be copied
    field.select();
    return false;
  }
}
