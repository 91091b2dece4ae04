/**
 * The shell of every page and the headers around it. Nothing on a page comes from elsewhere: script and style stand in it, and the
 * policy names their hashes, so that a page which shows the token runs nothing else and talks to this server only.
 */
import { html, raw } from "hono/html";
import { STYLE } from "./bundled.ts";

/** HTML that is escaped where it has to be. */
export type Html = ReturnType<typeof html>;

export interface Page {
  readonly title: string;
  readonly body: Html;
  /** One of the bundled scripts; none: the page is text. */
  readonly script?: string;
}

/** An outline of a cloud with a tick, as a data address: no second request for an icon. */
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='%237a63ea' stroke-width='2' stroke-linecap='round' stroke-linejoin='round'%3E%3Cpath d='M7 18a5 5 0 0 1-.6-9.96A6 6 0 0 1 18 9.5a4.3 4.3 0 0 1-.5 8.5z'/%3E%3Cpath d='m9.5 13 2 2 3.5-4'/%3E%3C/svg%3E";

/** The page as an answer: never stored, never framed, its address never told to others. */
export async function pageAnswer(page: Page, status = 200): Promise<Response> {
  const body = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${page.title}</title>
<link rel="icon" href="${raw(ICON)}">
<style>${raw(STYLE)}</style>
</head>
<body>
<div class="page">
${page.body}
</div>
${page.script === undefined ? "" : html`<script>${raw(page.script)}</script>`}
</body>
</html>
`;
  return new Response(body.toString(), { status, headers: await pageHeaders(page.script) });
}

async function pageHeaders(script: string | undefined): Promise<Record<string, string>> {
  const policy = [
    "default-src 'none'",
    `script-src ${script === undefined ? "'none'" : await sourceHash(script)}`,
    `style-src ${await sourceHash(STYLE)}`,
    "img-src data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ];
  return {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": policy.join("; "),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  };
}

/** Computed from the very text that stands in the page, so that the two cannot differ. */
async function sourceHash(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `'sha256-${btoa(String.fromCharCode(...digest))}'`;
}
