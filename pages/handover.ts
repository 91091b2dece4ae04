import { byId } from "./dom.ts";
import { isLoopback, mobileLink, obsidianLink, type Setup } from "./links.ts";
import { qrCode } from "./qr.ts";

/** Fills the part of a page that hands a setup over: the deep link, the QR code, and the fields to enter by hand. */
export function showHandover(setup: Setup): void {
  byId<HTMLAnchorElement>("open-obsidian").href = obsidianLink(setup);
  byId("qr").replaceChildren(
    qrCode(mobileLink(setup), "QR code that opens the setup page on a phone") ?? "With this vault id the link is too long for a QR code. Enter what stands below by hand.",
  );
  byId<HTMLInputElement>("field-host").value = setup.host;
  byId<HTMLInputElement>("field-vault").value = setup.vaultId;
  byId<HTMLInputElement>("field-token").value = setup.token;
  byId("loopback-note").hidden = !isLoopback(new URL(setup.host).hostname);
}
