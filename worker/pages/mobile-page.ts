import { html } from "hono/html";
import { MOBILE_SETUP_SCRIPT } from "./bundled.ts";
import type { Page } from "./page.ts";
import { needsScript, topLine } from "./parts.ts";

/** Where the QR code leads. The server learns nothing from it: what matters stands in the fragment. */
export function mobilePage(): Page {
  return {
    title: "Connect this device",
    script: MOBILE_SETUP_SCRIPT,
    body: html`${topLine("Setup", "wait")}
<main>
<section class="card" id="ready" tabindex="-1" hidden>
<h1>Connect this device</h1>
<p>This sets up Obsidian to sync with <strong id="host"></strong>.</p>
<p class="note bad" id="foreign-note" role="alert" hidden>That is not the server this page came from. Go on only if you know it.</p>
<p class="note" id="loopback-note" hidden>That address means the device itself. It works only on the machine the server runs on.</p>
<ol>
<li>Install Obsidian, and open the vault you want to sync. A new, empty one is safest.</li>
<li>Install and enable the YAOS plugin in it.</li>
<li>Come back here and tap the button.</li>
</ol>
<p><a class="button main" id="open-obsidian" href="#">Open Obsidian</a></p>
<p class="soft">Nothing happens? Then Obsidian is not installed, or this browser does not let pages open it: try another one.</p>
</section>
<section class="card" id="missing" tabindex="-1" hidden>
<h1>No setup data</h1>
<p id="fault" role="alert"></p>
</section>
${needsScript("The link is made by a script in your browser, and that script does not run. Switch JavaScript on for this page.")}
</main>`,
  };
}
