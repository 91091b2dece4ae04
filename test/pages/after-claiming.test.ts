/** The pages of a server that has an owner, in a real browser against the real launcher: status, and where the QR code leads. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasBrowser, launchBrowser, overflow, PHONE, scanCode, watchPage, type WatchedPage } from "../kit/browser.ts";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";

const dataDir = mkdtempSync(join(tmpdir(), "yaos-pages-"));
let browser: Browser;
let host: HostProcess;

afterAll(() => {
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Opens `path` on a phone. Whatever `act` does: the page asks no other server, keeps its policy, and throws nothing. */
async function visit(path: string, act: (watched: WatchedPage) => Promise<void>): Promise<void> {
  const watched = await watchPage(browser, host.url, PHONE);
  try {
    await watched.page.goto(host.url + path);
    await act(watched);
    expect(watched.complaints).toEqual([]);
  } finally {
    await watched.close();
  }
}

/** The fragment the QR code carries, with a token that has every sign form encoding knows. */
function setup(): string {
  return new URLSearchParams({ host: host.url, token: "a+b/c d&e", vaultId: "v" }).toString();
}

describe.skipIf(!hasBrowser)("a server with an owner", () => {
  beforeAll(async () => {
    browser = await launchBrowser();
    host = await startHost({ dataDir });
  });
  afterAll(() => browser.close());

  it("[PG6] says how it stands and connects another device, after checking the token", () =>
    visit("/", async ({ page, shoot }) => {
      await page.getByText("This server is running").waitFor();
      expect(await page.locator("dl").textContent()).toContain("SYNC_TOKEN");
      expect(await overflow(page)).toBe(0);
      await shoot("phone-status");

      await page.locator("#device-button").tap();
      expect(await page.locator("#problem").textContent()).toContain("both the token and the vault id");
      await page.locator("#device-token").fill("not the token");
      await page.locator("#device-vault").fill("my vault/1");
      await page.locator("#device-button").tap();
      await page.getByText("does not know this token").waitFor();
      await page.locator("#device-token").fill(host.token);
      await page.locator("#device-button").tap();
      await page.locator("#done").waitFor();
      expect(new URL(await scanCode(page)).hash).toBe(`#${new URLSearchParams({ host: host.url, token: host.token, vaultId: "my vault/1" })}`);
      await shoot("phone-another-device");
    }));

  it("[PG6] [PG8] says what is wrong with an entry, and hands over what no QR code holds", () =>
    visit("/", async ({ page }) => {
      const enter = async (token: string, vaultId: string): Promise<void> => {
        await page.locator("#device-token").fill(token);
        await page.locator("#device-vault").fill(vaultId);
        await page.locator("#device-button").tap();
      };
      for (const [token, vaultId, words] of [
        ["токен", "v", "cannot be sent"],
        [host.token, "ö".repeat(513), "it may have 1024 bytes"],
        [host.token, "..", "No vault can have this id"],
        ["not the token", "a/../b", "does not know this token"],
      ] as const) {
        await enter(token, vaultId);
        await page.locator("#problem").getByText(words).waitFor();
      }
      await page.route("**/auth/ticket", (route) => route.fulfill({ status: 503, body: '{"error":"unclaimed"}' }));
      await enter(host.token, "v");
      await page.getByText("The server refused (503 unclaimed).").waitFor();
      await page.unroute("**/auth/ticket");
      await enter(host.token, "ö".repeat(512));
      await page.getByText("too long for a QR code").waitFor();
      expect(await page.locator("#field-vault").inputValue()).toBe("ö".repeat(512));
    }));

  it("[PG5] makes the deep link on the phone and leaves the fragment nowhere", () =>
    visit(`/mobile-setup#${setup()}`, async ({ page, requests, shoot }) => {
      const link = new URL((await page.locator("#open-obsidian").getAttribute("href")) ?? "");
      expect([link.protocol, link.host, Object.fromEntries(link.searchParams)]).toEqual([
        "obsidian:",
        "yaos",
        { action: "setup", host: host.url, token: "a+b/c d&e", vaultId: "v" },
      ]);
      expect(await page.locator("#host").textContent()).toBe(`127.0.0.1:${host.port}`);
      expect(await page.locator("#foreign-note").isVisible()).toBe(false);
      expect(page.url()).toBe(`${host.url}/mobile-setup`);
      expect(await page.evaluate("history.length")).toBe(2); // the blank page before, and this one
      expect(await overflow(page)).toBe(0);
      await shoot("phone-mobile-setup");
      await page.goBack();
      await page.goForward();
      expect(page.url()).toBe(`${host.url}/mobile-setup`);
      expect(new Set(requests)).toEqual(new Set(["/mobile-setup"]));
    }));

  it("[PG5] takes a second code scanned into the same tab", () =>
    visit("/mobile-setup", async ({ page }) => {
      await page.getByText("opened without setup data").waitFor();
      await page.goto(`${host.url}/mobile-setup#${setup()}`);
      await page.locator("#ready").waitFor();
      expect(page.url()).toBe(`${host.url}/mobile-setup`);
    }));

  it("[PG5] says what a link lacks, and warns of another server", () =>
    visit("/mobile-setup", async ({ page, shoot }) => {
      for (const [fragment, words] of [
        ["token=t", "no server address"],
        ["host=javascript%3Aalert(1)&token=t", "is no web address"],
        ["host=https%3A%2F%2Fa.example", "has no token"],
      ] as const) {
        await page.goto(`${host.url}/mobile-setup#${fragment}`);
        await page.getByText(words).waitFor();
        expect(await page.locator("#ready").isVisible()).toBe(false);
      }
      await page.goto(`${host.url}/mobile-setup#host=https%3A%2F%2Felsewhere.example&token=t`);
      await page.getByText("not the server this page came from").waitFor();
      await shoot("phone-foreign");
      await page.goto(`${host.url}/mobile-setup#${setup()}`);
      await page.locator("#foreign-note").waitFor({ state: "hidden" });
      await page.goto(`${host.url}/mobile-setup#host=${encodeURIComponent("http://127.0.0.1:1")}&token=t`);
      await page.getByText("not the server this page came from").waitFor();
    }));

  it("[PG8] tells a browser without scripts what it lacks, and no other", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    for (const path of ["/", "/mobile-setup"]) {
      await page.goto(host.url + path);
      expect(await page.getByText("Switch JavaScript on").isVisible()).toBe(true);
      await visit(path, async (other) => expect(await other.page.getByText("Switch JavaScript on").isVisible()).toBe(false));
    }
    await context.close();
  });
});
