import { ensureChromium } from "../../scripts/chromium.ts";

/**
 * Vitest's hook before the page tests: makes sure that there is a Chromium. In CI its absence fails the run, so that nothing is green
 * by not running; elsewhere the tests that need it are skipped, and this says so.
 */
export function setup(): void {
  try {
    ensureChromium();
  } catch (error) {
    if (process.env["CI"] !== undefined) throw error;
    console.warn(`\n${(error as Error).message}\nThe tests in a browser are skipped.\n`);
  }
}
