/** Parts that several pages share. The scripts find the elements by their ids. */
import { html } from "hono/html";
import type { Html } from "./page.ts";

/** The line on top: the server's name and how it stands. */
export function topLine(badge: string, kind: "good" | "wait" | "bad"): Html {
  return html`<header class="top">
<div class="name"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M7 18a5 5 0 0 1-.6-9.96A6 6 0 0 1 18 9.5a4.3 4.3 0 0 1-.5 8.5z"/><path d="m9.5 13 2 2 3.5-4"/></svg>yaos-server</div>
<span class="badge ${kind}" id="badge">${badge}</span>
</header>`;
}

/** A read-only field with its buttons; `secret` hides the value until asked. */
export function shownField(id: string, label: string, secret = false): Html {
  return html`<div class="field">
<label for="${id}">${label}</label>
<div class="row"><input id="${id}" type="${secret ? "password" : "text"}" readonly autocomplete="off" spellcheck="false">
${secret ? html`<button type="button" data-reveal="${id}" aria-pressed="false">Show</button>` : ""}
<button type="button" data-copy="${id}" aria-label="Copy: ${label}">Copy</button></div>
</div>`;
}

/**
 * What hands a setup over to devices: the deep link, the QR code, and what to enter by hand.
 * @param heading stands above the steps
 * @param keepToken the first step is to keep the token, which was made just now
 */
export function handover(heading: Html, keepToken: boolean): Html {
  const tokenField = shownField("field-token", "Token", true);
  return html`<section class="card" id="done" tabindex="-1" hidden>
${heading}
${
  keepToken
    ? html`<div class="step"><h2>Keep the token</h2>
<p class="soft">Put it where you keep passwords. The server stores only a hash of it, so nobody can show it to you again.</p>
${tokenField}
</div>`
    : ""
}
<div class="step"><h2>Connect this device</h2>
<p class="soft">Obsidian must have the YAOS plugin, and the vault you want to sync must be open.</p>
<p><a class="button main" id="open-obsidian" href="#">Open Obsidian</a></p>
</div>
<div class="step"><h2>Connect a phone</h2>
<p class="soft">Scan this with its camera. The code holds the token: show it to nobody else.</p>
<p class="note" id="loopback-note" hidden>This page was opened under an address that only this machine has. For a phone, open the page under the address by which the phone reaches the server.</p>
<div id="qr"></div>
</div>
<details class="by-hand">
<summary>Enter it by hand instead</summary>
<div>
${shownField("field-host", "Server address")}
${keepToken ? "" : tokenField}
${shownField("field-vault", "Vault id")}
</div>
</details>
</section>`;
}

/** Shown until the page's script runs and hides it: scripts may be off, and a script may also fail. */
export function needsScript(why: string): Html {
  return html`<p class="note bad" id="needs-script">${why}</p>`;
}
