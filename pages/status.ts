/** Script of the status page: makes the link and the QR code for another device out of a token and a vault id its owner enters. */
import { byId, say, showOnly, wireCopyButtons, wireRevealButtons } from "./dom.ts";
import { showHandover } from "./handover.ts";
import { checkToken, type TokenCheck } from "./server.ts";

const PROBLEMS: Readonly<Record<Exclude<TokenCheck, "good">, string>> = {
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
  if (token === "" || vaultId === "") {
    say("problem", "Enter both the token and the vault id. A device that is connected shows them in the settings of the YAOS plugin.");
    return;
  }
  say("problem", "");
  button.disabled = true;
  const check = await checkToken(token, vaultId);
  button.disabled = false;
  if (check === "good") {
    showHandover({ host: window.location.origin, token, vaultId });
    showOnly("done", ["device", "done"]);
  } else {
    say("problem", PROBLEMS[check]);
  }
}
