import { html } from "hono/html";
import { SETUP_SCRIPT } from "./bundled.ts";
import type { Page } from "./page.ts";
import { handover, needsScript, topLine } from "./parts.ts";

/** The page of a server nobody owns yet. @param claimCodeNeeded the server wants the code its operator has */
export function setupPage(claimCodeNeeded: boolean): Page {
  const codeField = html`<div class="field">
<label for="claim-code">Claim code</label>
<input id="claim-code" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="claim-code-help">
<p class="soft" id="claim-code-help">It stands in what the server printed when it started, or in its setting <code>YAOS_CLAIM_CODE</code>.</p>
</div>`;
  return {
    title: "Claim this server",
    script: SETUP_SCRIPT,
    body: html`${topLine("Not claimed", "wait")}
<main>
<section class="card" id="start" tabindex="-1">
<h1>Claim this server</h1>
<p>It runs, and nobody owns it yet. Claiming makes a secret token in this browser and tells the server to obey that token from now on.</p>
<p class="soft">Whoever has the token can read and write every vault on the server.</p>
<form id="claim-form">
${claimCodeNeeded ? codeField : ""}
<button class="main" id="claim-button" type="submit" disabled>Claim this server</button>
<p class="note bad" id="problem" role="alert" hidden></p>
</form>
${needsScript("The token is made by a script in your browser, and that script does not run. Switch JavaScript on for this page.")}
</section>
${handover(html`<h1>The server is yours</h1><p>Now connect your devices. <strong>This page shows the token once</strong>; when you leave it, it is gone.</p>`, true)}
</main>`,
  };
}
