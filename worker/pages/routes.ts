/** The pages people open: `GET /` and `GET /mobile-setup` (compat sheet, 2.4). Everything else answers JSON. */
import type { Hono } from "hono";
import type { Env } from "../env.ts";
import { mobilePage } from "./mobile-page.ts";
import { pageAnswer } from "./page.ts";
import { setupPage } from "./setup-page.ts";
import { type StatusFacts, statusPage } from "./status-page.ts";
import { troublePage } from "./trouble-page.ts";

/** How the server stands, as its pages show it. */
export type PageFacts = { readonly authMode: "unclaimed"; readonly claimCodeNeeded: boolean } | StatusFacts;

/**
 * Adds the pages to `app`.
 * @param readFacts asked on each `GET /`; when it throws, the page says so and offers no claim
 */
export function pageRoutes(app: Hono<{ Bindings: Env }>, readFacts: (env: Env, request: Request) => Promise<PageFacts>): void {
  app.get("/", async (call) => {
    let facts: PageFacts;
    try {
      facts = await readFacts(call.env, call.req.raw);
    } catch (error) {
      console.error(JSON.stringify({ event: "page.failed", error: error instanceof Error ? error.name : typeof error }));
      return pageAnswer(troublePage(), 503);
    }
    return pageAnswer(facts.authMode === "unclaimed" ? setupPage(facts.claimCodeNeeded) : statusPage(facts));
  });
  app.get("/mobile-setup", () => pageAnswer(mobilePage()));
}

/** The repository an operator named for the status page (`YAOS_CANONICAL_REPO`), or null when it is none. */
export function repositoryOf(name: string | undefined): string | null {
  const trimmed = (name ?? "").trim();
  return /^[A-Za-z0-9_.-]+\/[A-Za-z0-9_.-]+$/.test(trimmed) ? trimmed : null;
}
