/** Script of the page a QR code leads to: turns the fragment into the deep link, after taking it out of the history. */
import { byId, showOnly, takeFragment } from "./dom.ts";
import { isLoopback, obsidianLink, readSetup, type SetupFault } from "./links.ts";

const FAULTS: Readonly<Record<SetupFault, string>> = {
  empty: "This page was opened without setup data. Scan the QR code again; it is taken out of the address once it was read, so reloading the page loses it.",
  "no host": "The link has no server address. It may have been cut off: scan the QR code again.",
  "bad host": "The server address in the link is no web address. It may have been cut off: scan the QR code again.",
  "no token": "The link has no token. It may have been cut off: scan the QR code again.",
};

readLink();
byId("needs-script").hidden = true;
// A second code scanned into the same tab changes the fragment only.
window.addEventListener("hashchange", () => {
  if (window.location.hash !== "") readLink();
});

function readLink(): void {
  const setup = readSetup(takeFragment());
  if (typeof setup === "string") {
    byId("fault").textContent = FAULTS[setup];
    showOnly("missing", ["ready", "missing"]);
    return;
  }
  const host = new URL(setup.host);
  byId("host").textContent = host.host;
  byId<HTMLAnchorElement>("open-obsidian").href = obsidianLink(setup);
  // Another port of the same machine may be somebody else's server.
  byId("foreign-note").hidden = host.origin === window.location.origin;
  byId("loopback-note").hidden = !isLoopback(host.hostname);
  showOnly("ready", ["ready", "missing"]);
}
