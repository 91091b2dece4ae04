/** A real browser on our pages. It notes everything a page must not do: ask other servers, break its own policy, throw. */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import jsqr from "jsqr";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { PNG } from "pngjs";
import { findChromium } from "../../scripts/chromium.ts";

/** Whether tests in a browser can run here. In CI they run or the whole suite fails (`chromium-once.ts`). */
export const hasBrowser = findChromium() !== null;

/** Where screenshots go, for people to look at; a test compares none. */
export const SCREENSHOT_DIR = join(tmpdir(), "yaos-pages");

/** A phone of the narrow kind, 360 CSS pixels wide. */
export const PHONE: BrowserContextOptions = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** A page under watch. */
export interface WatchedPage {
  readonly page: Page;
  /** What went wrong so far: requests to other origins, violations of the policy, errors of scripts. */
  readonly complaints: string[];
  /** Paths of all requests, in order. */
  readonly requests: string[];
  /** Saves what the whole page looks like as `<name>.png`. */
  shoot(name: string): Promise<void>;
  close(): Promise<void>;
}

/** @throws {Error} when there is no Chromium */
export function launchBrowser(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === null) throw new Error("Cannot launch Chromium: there is none");
  return chromium.launch({ executablePath });
}

/** Opens a page of its own session, allowed to talk to `origin` only. */
export async function watchPage(browser: Browser, origin: string, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  // Reaches our console listener below, whatever the page's policy says.
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (event) => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))",
  );
  page.on("request", (request) => {
    const url = new URL(request.url());
    requests.push(url.pathname);
    if (url.origin !== origin && url.protocol !== "data:") complaints.push(`asked ${url.origin}`);
  });
  page.on("pageerror", (error) => complaints.push(`threw ${error.message}`));
  page.on("console", (message) => {
    // Chromium says so itself when an answer is 4xx or a request fails; what the page makes of it is tested by its words.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
  });
  return {
    page,
    complaints,
    requests,
    shoot: async (name) => {
      mkdirSync(SCREENSHOT_DIR, { recursive: true });
      await page.screenshot({ path: join(SCREENSHOT_DIR, `${name}.png`), fullPage: true });
    },
    close: () => context.close(),
  };
}

/** Reads the QR code off the screen, as a phone does; not out of the document. */
export async function scanCode(page: Page): Promise<string> {
  const { width, height, data } = PNG.sync.read(await page.locator("#qr").screenshot());
  return jsqr(new Uint8ClampedArray(data), width, height)?.data ?? "no QR code on the screen";
}

/** By how many CSS pixels the page is wider than its window; 0: nobody has to scroll sideways. */
export async function overflow(page: Page): Promise<number> {
  return Number(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"));
}
