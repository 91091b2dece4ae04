/** Claiming in a real browser against the real launcher. Screenshots lie in the folder the kit names. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { hasBrowser, launchBrowser, overflow, PHONE, scanCode, watchPage, type WatchedPage } from "../kit/browser.ts";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";

let browser: Browser;
let dataDir: string;
const open: WatchedPage[] = [];

beforeAll(async () => {
  if (hasBrowser) browser = await launchBrowser();
});
afterAll(() => browser?.close());
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-pages-"));
});
afterEach(async () => {
  // Whatever a test did: no page asked another server, broke its policy or threw.
  const complaints = open.flatMap((watched) => watched.complaints);
  for (const watched of open.splice(0)) await watched.close();
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
  expect(complaints).toEqual([]);
});

async function unclaimed(...more: string[]): Promise<{ host: HostProcess; code: string }> {
  const host = await startHost({ dataDir, args: ["--claim", ...more] });
  return { host, code: /#code=(\S+)/.exec(host.stdout())?.[1] ?? "" };
}

async function visit(origin: string, path: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const watched = await watchPage(browser, origin, options);
  open.push(watched);
  await watched.page.goto(origin + path);
  return watched;
}

/** What the visible fields hold after a claim. */
async function handedOver(page: Page): Promise<{ token: string; vaultId: string; host: string; link: string }> {
  const link = (await page.locator("#open-obsidian").getAttribute("href")) ?? "";
  const value = (id: string) => page.locator(id).inputValue();
  return { token: await value("#field-token"), vaultId: await value("#field-vault"), host: await value("#field-host"), link };
}

function bearerStatus(host: HostProcess, token: string): Promise<number> {
  return fetch(`${host.url}/vault/v/auth/ticket`, { method: "POST", headers: { authorization: `Bearer ${token}` } }).then(({ status }) => status);
}

describe.skipIf(!hasBrowser)("the setup page", () => {
  it("[PG2] [PG3] claims by the printed link and hands over token, link and QR code", async () => {
    const { host, code } = await unclaimed();
    const watched = await visit(host.url, `/#code=${code}`);
    const { page } = watched;
    expect(page.url()).toBe(`${host.url}/`); // the code does not stay in the address
    expect(await page.locator("#claim-code").inputValue()).toBe(code);
    await watched.shoot("setup");

    await page.locator("#claim-button").click();
    await page.locator("#done").waitFor();
    expect(await page.evaluate("document.activeElement.id")).toBe("done");
    const { token, vaultId, host: shownHost, link } = await handedOver(page);
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(vaultId).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(shownHost).toBe(host.url);
    expect(link).toBe(`obsidian://yaos?action=setup&host=${encodeURIComponent(host.url)}&token=${token}&vaultId=${vaultId}`);
    expect(await bearerStatus(host, token)).toBe(200);
    expect(await scanCode(page)).toBe(`${host.url}/mobile-setup#host=${encodeURIComponent(host.url)}&token=${token}&vaultId=${vaultId}`);
    expect(watched.requests).toEqual(["/", "/claim"]);
    await watched.shoot("claimed");
  });

  it.each(["light", "dark"] as const)("[PG8] fits a narrow phone, %s, and its code scans there too", async (colorScheme) => {
    const { host, code } = await unclaimed();
    const watched = await visit(host.url, `/#code=${code}`, { ...PHONE, colorScheme });
    const { page } = watched;
    expect(await overflow(page)).toBe(0);
    await watched.shoot(`phone-setup-${colorScheme}`);
    await page.locator("#claim-button").tap();
    await page.locator("#done").waitFor();
    await page.locator("summary").tap();
    expect(await overflow(page)).toBe(0);
    expect(await scanCode(page)).toContain("/mobile-setup#host=");
    await watched.shoot(`phone-claimed-${colorScheme}`);
  });

  it("[PG3] hides the token until asked, and copies it", async () => {
    const { host } = await unclaimed("--no-claim-code");
    const { page } = await visit(host.url, "/", { permissions: ["clipboard-read", "clipboard-write"] });
    expect(await page.locator("#claim-code").count()).toBe(0);
    await page.locator("#claim-button").click();
    await page.locator("#done").waitFor();
    const { token } = await handedOver(page);
    expect(await page.locator("#field-token").getAttribute("type")).toBe("password");
    await page.getByRole("button", { name: "Show" }).click();
    expect(await page.locator("#field-token").getAttribute("type")).toBe("text");
    await page.getByRole("button", { name: "Copy: Token" }).click();
    await page.getByText("Copied").waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(token);
  });

  it("[PG8] says that the code is missing, and that it is wrong", async () => {
    const { host } = await unclaimed();
    const watched = await visit(host.url, "/");
    const { page } = watched;
    await page.locator("#claim-button").click();
    expect(await page.locator("#problem").textContent()).toContain("asks for a claim code");
    expect(watched.requests).toEqual(["/"]);
    await page.locator("#claim-code").fill("2222-2222-2222");
    await page.locator("#claim-button").click();
    await page.getByText("That claim code is not right").waitFor();
    await watched.shoot("wrong-code");
  });

  it("[PG4] recognizes its own claim when the answer to it was lost", async () => {
    const { host, code } = await unclaimed();
    const { page } = await visit(host.url, `/#code=${code}`);
    await page.route("**/claim", async (route) => {
      await route.fetch();
      await route.abort();
    });
    await page.locator("#claim-button").click();
    await page.getByText("trying again is safe").waitFor();
    await page.unroute("**/claim");
    await page.locator("#claim-button").click();
    await page.locator("#done").waitFor();
    expect(await bearerStatus(host, (await handedOver(page)).token)).toBe(200);
  });

  it("[PG8] says that somebody else was first", async () => {
    const { host, code } = await unclaimed();
    const { page } = await visit(host.url, `/#code=${code}`);
    const first = await fetch(`${host.url}/claim`, { method: "POST", body: JSON.stringify({ token: "f".repeat(64), claimCode: code }) });
    expect(first.status).toBe(200);
    await page.locator("#claim-button").click();
    await page.getByText("Somebody else has claimed this server").waitFor();
    expect(await page.locator("#done").isVisible()).toBe(false);
  });

  it("[PG1] gives way to the status page", async () => {
    const { host } = await unclaimed("--no-claim-code");
    await fetch(`${host.url}/claim`, { method: "POST", body: JSON.stringify({ token: "f".repeat(64) }) });
    const watched = await visit(host.url, "/", { colorScheme: "dark" });
    await watched.page.getByText("claimed; the token was made").waitFor();
    await watched.shoot("status-dark");
  });
});
