/**
 * Finds the Chromium the page tests drive, or installs Debian's. Run as a program it prints the path:
 * `npm exec -- node scripts/chromium.ts`. The browser is not an npm package of ours: those download one from elsewhere when installed.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Where distributions put it. */
const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"] as const;

/** The program's path: `CHROMIUM_PATH`, or the first known place that has it; null when there is none. */
export function findChromium(): string | null {
  const told = process.env["CHROMIUM_PATH"]?.trim() ?? "";
  if (told !== "") return existsSync(told) ? told : null;
  return PLACES.find((place) => existsSync(place)) ?? null;
}

/**
 * Finds Chromium or installs it with apt-get, which takes root.
 * @throws {Error} saying what to do, when neither works.
 */
export function ensureChromium(): string {
  const found = findChromium();
  if (found !== null) return found;
  const told = process.env["CHROMIUM_PATH"]?.trim() ?? "";
  if (told !== "") throw new Error(`Cannot find Chromium: CHROMIUM_PATH names ${told}, which does not exist`);
  if (process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) {
    throw new Error("Cannot find Chromium: install the package chromium, or name the program in CHROMIUM_PATH");
  }
  const log = apt(["update"]) ?? apt(["install", "-y", "--no-install-recommends", "chromium"]);
  const installed = findChromium();
  if (installed === null) throw new Error(`Cannot install Chromium with apt-get; name one in CHROMIUM_PATH\n${log ?? ""}`);
  return installed;
}

/** Runs apt-get; null when it succeeded, else the end of what it said. */
function apt(args: readonly string[]): string | null {
  const run = spawnSync("apt-get", args, { encoding: "utf8", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  return run.status === 0 ? null : `${run.stdout}${run.stderr}`.slice(-2_000);
}

if (import.meta.main) console.log(ensureChromium());
