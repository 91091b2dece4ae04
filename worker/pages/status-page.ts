import { html } from "hono/html";
import { STATUS_SCRIPT } from "./bundled.ts";
import type { Page } from "./page.ts";
import { handover, needsScript, topLine } from "./parts.ts";

export interface StatusFacts {
  /** `env`: the token is the variable `SYNC_TOKEN`; `claim`: somebody claimed the server. */
  readonly authMode: "env" | "claim";
  /** Whether files other than notes can be stored. */
  readonly attachments: boolean;
  readonly serverVersion: string;
  /** `owner/repo` to link to, or null. */
  readonly repository: string | null;
}

/** The page of a server that has an owner: how it stands, and how the owner connects another device. */
export function statusPage(facts: StatusFacts): Page {
  const { repository } = facts;
  return {
    title: "yaos-server",
    script: STATUS_SCRIPT,
    body: html`${topLine("Running", "good")}
<main>
<section class="card">
<h1>This server is running</h1>
<p>It syncs vaults for whoever has its token.</p>
<dl>
<dt>Version</dt><dd>${facts.serverVersion}</dd>
<dt>Access</dt><dd>${facts.authMode === "claim" ? "claimed; the token was made when that happened" : html`the token is the setting <code>SYNC_TOKEN</code>`}</dd>
<dt>Attachments</dt><dd>${facts.attachments ? "on: images and other files sync too" : "off: notes sync, images and other files do not"}</dd>
</dl>
</section>
<section class="card" id="device" tabindex="-1">
<h2>Connect another device</h2>
<p class="soft">Makes a link and a QR code. Both are made in this browser; the token goes to no other server than this one.</p>
<form id="device-form">
<div class="field"><label for="device-token">Token</label><input id="device-token" type="password" autocomplete="off" spellcheck="false"></div>
<div class="field"><label for="device-vault">Vault id</label><input id="device-vault" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="device-vault-help">
<p class="soft" id="device-vault-help">A connected device shows both in the settings of the YAOS plugin.</p></div>
<button class="main" id="device-button" type="submit" disabled>Make the link</button>
<p class="note bad" id="problem" role="alert" hidden></p>
</form>
${needsScript("The link is made by a script in your browser, and that script does not run. Switch JavaScript on for this page.")}
</section>
${handover(html`<h1>Connect another device</h1>`, false)}
</main>
${repository === null ? "" : html`<p class="foot"><a href="https://github.com/${repository}" rel="noreferrer">Source and updates</a></p>`}`,
  };
}
