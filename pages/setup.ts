/** Script of the setup page: claims the server with secrets made here, then hands them over to Obsidian. */
import { byId, say, showOnly, takeFragment, wireCopyButtons, wireRevealButtons } from "./dom.ts";
import { showHandover } from "./handover.ts";
import { makeToken, makeVaultId } from "./secrets.ts";
import { claim, type ClaimOutcome } from "./server.ts";

const PROBLEMS: Readonly<Record<Exclude<ClaimOutcome, object | "claimed">, string>> = {
  taken: "Somebody else has claimed this server in the meantime. If that was not you or somebody you know, set it up anew; no data of yours is on it yet.",
  "wrong code": "That claim code is not right. Copy it exactly as the server printed it, or as it stands in YAOS_CLAIM_CODE.",
  busy: "Too many attempts. Wait a minute, then try again.",
  unreachable: "The server did not answer. Check your connection and try again; trying again is safe.",
};

// Made once, so that an attempt whose answer was lost can be repeated with the same secrets.
const token = makeToken();
const vaultId = makeVaultId();

const button = byId<HTMLButtonElement>("claim-button");
const codeField = document.getElementById("claim-code") as HTMLInputElement | null;

wireCopyButtons();
wireRevealButtons();
takeCodeFromLink();
window.addEventListener("hashchange", takeCodeFromLink);
byId<HTMLFormElement>("claim-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void submit();
});
button.disabled = false;
byId("needs-script").hidden = true;

/** The link a host prints carries the claim code, so that nobody has to type it. */
function takeCodeFromLink(): void {
  const code = new URLSearchParams(takeFragment().replace(/^#/, "")).get("code");
  if (codeField !== null && code !== null) codeField.value = code;
}

async function submit(): Promise<void> {
  const code = codeField?.value.trim() ?? "";
  if (codeField !== null && code === "") {
    say("problem", "This server asks for a claim code. Its operator finds it where the server was started.");
    codeField.focus();
    return;
  }
  say("problem", "");
  const label = button.textContent;
  button.disabled = true;
  button.textContent = "Claiming…";
  const outcome = await claim(token, vaultId, code);
  button.disabled = false;
  button.textContent = label;
  if (outcome === "claimed") {
    showHandover({ host: window.location.origin, token, vaultId });
    document.title = "The server is yours";
    byId("badge").textContent = "Claimed";
    byId("badge").className = "badge good";
    showOnly("done", ["start", "done"]);
    return;
  }
  say("problem", typeof outcome === "object" ? `The server refused the claim (${outcome.refused}).` : PROBLEMS[outcome]);
  if (outcome === "wrong code") codeField?.select();
}
