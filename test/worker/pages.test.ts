/** The pages' routes alone, with facts of the test's making. */
import { Hono } from "hono";
import { expect, test } from "vitest";
import type { Env } from "../../worker/env.ts";
import { type PageFacts, pageRoutes, repositoryOf } from "../../worker/pages/routes.ts";

function home(facts: () => PageFacts): Promise<Response> {
  const app = new Hono<{ Bindings: Env }>();
  pageRoutes(app, async () => facts());
  return Promise.resolve(app.request("/", {}, {}));
}

const claimed = { authMode: "claim", attachments: false, serverVersion: "1.2.3", repository: null } as const;

test("[PG1] a server that cannot read its settings offers no claim", async () => {
  const answer = await home(() => {
    throw new Error("a secret");
  });
  expect(answer.status).toBe(503);
  const page = await answer.text();
  expect(page).toContain("cannot read its settings");
  expect(page).not.toMatch(/claim-button|a secret/);
  expect(answer.headers.get("Content-Security-Policy")).toContain("script-src 'none'");
});

test("[PG1] only an unclaimed server offers a claim, with a field for the code when it wants one", async () => {
  expect(await (await home(() => ({ authMode: "unclaimed", claimCodeNeeded: false }))).text()).not.toContain('id="claim-code"');
  expect(await (await home(() => ({ authMode: "unclaimed", claimCodeNeeded: true }))).text()).toContain('id="claim-code"');
  for (const authMode of ["env", "claim"] as const) expect(await (await home(() => ({ ...claimed, authMode }))).text()).not.toContain("claim-button");
});

test("the status page says what is off, and escapes what it is told", async () => {
  const page = await (await home(() => ({ ...claimed, serverVersion: "<b>&", repository: "owner/repo" }))).text();
  expect(page).toContain("<dd>&lt;b&gt;&amp;</dd>");
  expect(page).toContain("off: notes sync, images and other files do not");
  expect(page).toContain('href="https://github.com/owner/repo"');
});

test("[PG7] the policy names exactly the script and the style in the page", async () => {
  const answer = await home(() => claimed);
  const page = await answer.text();
  for (const [element, directive] of [["script", "script-src"], ["style", "style-src"]] as const) {
    const [, text] = new RegExp(`<${element}>(.*?)</${element}>`, "s").exec(page) ?? [];
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
    expect(answer.headers.get("Content-Security-Policy")).toContain(`${directive} 'sha256-${btoa(String.fromCharCode(...digest))}'`);
  }
});

test("a repository is linked when it looks like one", () => {
  expect(repositoryOf(" owner/repo.name ")).toBe("owner/repo.name");
  for (const name of [undefined, "", "owner", "a/b/c", "https://x/y", 'a/b" onclick="x']) expect(repositoryOf(name)).toBeNull();
});
