import { html } from "hono/html";
import type { Page } from "./page.ts";
import { topLine } from "./parts.ts";

/** Shown when the server cannot tell whether it is claimed. It offers no claim then: somebody may own it. */
export function troublePage(): Page {
  return {
    title: "yaos-server has a problem",
    body: html`${topLine("Problem", "bad")}
<main>
<section class="card">
<h1>The server cannot read its settings</h1>
<p>It runs, but its own storage did not answer, so it does not know who owns it. Reload this page in a minute.</p>
<p class="soft">When it stays like this, the log of the server says why.</p>
</section>
</main>`,
  };
}
