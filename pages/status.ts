/** Script of the status page: makes the link and the QR code for another device out of a token and a vault id its owner enters. */
import { byId, say, showOnly, wireCopyButtons, wireRevealButtons } from "./dom.ts";
import { type EntryFault, entryFault, MAX_VAULT_ID_BYTES } from "./entered.ts";
import { showHandover } from "./handover.ts";
import { checkToken, type TokenCheck } from "./server.ts";

const PROBLEMS: Readonly<Record<EntryFault | Exclude<TokenCheck, object | "good">, string>> = {
  nothing: "Enter both the token and the vault id. A device that is connected shows them in the settings of the YAOS plugin.",
  "unsendable token": "This token has a sign that cannot be sent: only plain letters without accents, digits and the usual signs can. Copy it once more.",
  "long vault id": `This vault id is too long: it may have ${MAX_VAULT_ID_BYTES} bytes. Copy it once more.`,
  dots: "No vault can have this id: an address that contains it leads elsewhere.",
  "broken vault id": "This vault id has half a sign in it. Copy it once more.",
  wrong: "The server does not know this token.",
  busy: "Too many attempts. Wait a minute, then try again.",
  unreachable: "The server did not answer. Check your connection and try again.",
};

const button = byId<HTMLButtonElement>("device-button");

wireCopyButtons();
wireRevealButtons();
byId<HTMLFormElement>("device-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void submit();
});
button.disabled = false;
byId("needs-script").hidden = true;

async function submit(): Promise<void> {
  const token = byId<HTMLInputElement>("device-token").value.trim();
  const vaultId = byId<HTMLInputElement>("device-vault").value.trim();
  const fault = entryFault(token, vaultId);
  say("problem", fault === null ? "" : PROBLEMS[fault]);
  if (fault !== null) return;
  button.disabled = true;
  const check = await checkToken(token, vaultId);
  button.disabled = false;
  if (check === "good") {
    showHandover({ host: window.location.origin, token, vaultId });
    showOnly("done", ["device", "done"]);
  } else {
    say("problem", typeof check === "object" ? `The server refused (${check.refused}).` : PROBLEMS[check]);
  }
}
