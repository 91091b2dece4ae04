/** What the pages are made of, without a browser: links, faults of entries, headers, colours, and the bundle that must be as new as its sources. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { entryFault, MAX_VAULT_ID_BYTES } from "../../pages/entered.ts";
import { isLoopback, mobileLink, obsidianLink, readSetup } from "../../pages/links.ts";
import { BUNDLED_PAGES, bundlePages } from "../../scripts/host/bundle-pages.ts";
import { LIMITS } from "../../src/limits.ts";
import { killStartedHosts, startHost } from "../kit/host-process.ts";

const root = join(import.meta.dirname, "../..");

test("the bundle the Worker carries is as new as pages/", async () => {
  expect(readFileSync(join(root, BUNDLED_PAGES), "utf8"), "run npm run pages").toBe(await bundlePages(root));
});

test("no bundled part ends its own element or asks another server", async () => {
  const bundle = await bundlePages(root);
  expect(bundle).not.toMatch(/<\/(script|style)/i);
  expect([...bundle.matchAll(/https?:\/\/[^"'`\\ ]+/g)].map(([url]) => url)).toEqual(["http://www.w3.org/2000/svg", "http://www.w3.org/2000/svg"]);
});

test("[PG3] both links carry any setup whole", () => {
  const text = fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((s) => s.trim() === s && s !== "" && s.isWellFormed());
  const setups = fc.record({ host: fc.webUrl({ validSchemes: ["http", "https"] }), token: text, vaultId: fc.oneof(text, fc.constant("")) });
  fc.assert(
    fc.property(setups, (setup) => {
      const mobile = mobileLink(setup);
      expect(readSetup(mobile.slice(mobile.indexOf("/mobile-setup#") + "/mobile-setup".length))).toEqual(setup);
      const { searchParams } = new URL(obsidianLink(setup));
      expect([searchParams.get("action"), searchParams.get("host"), searchParams.get("token"), searchParams.get("vaultId") ?? ""]).toEqual(["setup", setup.host, setup.token, setup.vaultId]);
    }),
    { seed: 2026, numRuns: 300 },
  );
});

test("[PG5] a fragment that is cut off says what is missing", () => {
  expect(readSetup("")).toBe("empty");
  expect(readSetup("#token=t&vaultId=v")).toBe("no host");
  for (const host of ["yaos", "file:///etc/passwd", "javascript:alert(1)"]) expect(readSetup(new URLSearchParams({ host, token: "t" }).toString())).toBe("bad host");
  expect(readSetup("#host=https%3A%2F%2Fa.example&vaultId=v")).toBe("no token");
});

test("[PG8] what a server could never hear is found on the page, and nothing else", () => {
  expect(MAX_VAULT_ID_BYTES).toBe(LIMITS.maxRoomIdBytes);
  for (const [token, vaultId, fault] of [
    ["", "v", "nothing"],
    ["t", "", "nothing"],
    ["токен", "v", "unsendable token"],
    ["né", "v", "unsendable token"],
    ["a\nb", "v", "unsendable token"],
    ["t", "ö".repeat(513), "long vault id"],
    ["t", "..", "dots"],
    ["t", ".", "dots"],
    ["t", "a\ud800", "broken vault id"],
    ["a 'b\"~!", "ö".repeat(512), null],
    ["t", "a/../b", null],
    ["t", "..a", null],
    ["t", "\u{1f600}", null],
  ] as const) {
    expect(entryFault(token, vaultId), JSON.stringify([token, vaultId])).toBe(fault);
  }
});

test("loopback names are known", () => {
  for (const name of ["localhost", "a.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]) expect(isLoopback(name), name).toBe(true);
  for (const name of ["192.168.0.1", "localhost.example", "127.0.0.1.example", "[fe80::1]"]) expect(isLoopback(name), name).toBe(false);
});

test("[PG8] text and edges stand out from what is behind them, in light and dark", () => {
  const [light, dark] = readFileSync(join(root, "pages/style.css"), "utf8").split("@media (prefers-color-scheme: dark)");
  for (const scheme of [light!, dark!]) {
    const colour = Object.fromEntries([...scheme.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name, hex]) => [name!, hex!]));
    // WCAG 2.2: 4.5 for text, 3 for the edges of what can be used.
    for (const [front, back, least] of [
      ["ink", "paper", 4.5],
      ["ink", "card", 4.5],
      ["ink", "field", 4.5],
      ["soft", "card", 4.5],
      ["soft", "paper", 4.5],
      ["accent", "card", 4.5],
      ["on-accent", "accent", 4.5],
      ["good", "good-paper", 4.5],
      ["wait", "wait-paper", 4.5],
      ["bad", "bad-paper", 4.5],
      ["edge", "card", 3],
      ["edge", "field", 3],
    ] as const) {
      expect(contrast(colour[front] ?? "", colour[back] ?? ""), `${front} on ${back}`).toBeGreaterThanOrEqual(least);
    }
  }
});

test("[PG7] pages are strict about where they run, and answers to plugins carry none of that", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "yaos-pages-"));
  try {
    const host = await startHost({ dataDir });
    for (const path of ["/", "/mobile-setup"]) {
      const { status, headers } = await fetch(host.url + path);
      expect(status).toBe(200);
      expect(headers.get("Content-Type")).toBe("text/html; charset=utf-8");
      expect(headers.get("Cache-Control")).toBe("no-store");
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
      expect(headers.get("X-Frame-Options")).toBe("DENY");
      expect(headers.get("Referrer-Policy")).toBe("no-referrer");
      expect(headers.get("Access-Control-Allow-Origin")).toBeNull();
      expect(headers.get("Content-Security-Policy")?.replaceAll(/sha256-[\w+/=]+/g, "HASH")).toBe(
        "default-src 'none'; script-src 'HASH'; style-src 'HASH'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
      );
      expect((await fetch(host.url + path, { method: "POST" })).status).toBe(404);
    }
    const attachment = `/vault/v/blobs/${createHash("sha256").update("x").digest("hex")}`;
    const Authorization = `Bearer ${host.token}`;
    expect((await fetch(host.url + attachment, { method: "PUT", headers: { Authorization }, body: "x" })).status).toBe(204);
    for (const path of ["/api/capabilities", "/nothing", "/vault/v/debug/recent", attachment]) {
      const { headers } = await fetch(host.url + path, { headers: { Authorization } });
      for (const name of ["Content-Security-Policy", "X-Frame-Options", "Referrer-Policy"]) expect(headers.get(name), `${path} ${name}`).toBeNull();
      expect(headers.get("X-Content-Type-Options"), path).toBe(path === attachment ? "nosniff" : null);
    }
  } finally {
    killStartedHosts();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

/** Contrast ratio of two colours `#rrggbb`, 1 to 21 (WCAG 2.2, relative luminance). */
function contrast(a: string, b: string): number {
  const luminance = (hex: string): number => {
    const [r, g, blue] = [1, 3, 5].map((at) => {
      const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * blue!;
  };
  const [darker, lighter] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (lighter! + 0.05) / (darker! + 0.05);
}
