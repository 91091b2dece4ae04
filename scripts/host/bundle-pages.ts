/**
 * Turns `pages/` (what runs in a visitor's browser) into text the Worker carries. The text is a checked-in module, since every
 * bundler that meets the Worker (wrangler, esbuild, Vite in the tests) reads a module, and no two of them read text files alike.
 */
import { join } from "node:path";
import { build } from "esbuild";

/** The generated module, relative to the project. */
export const BUNDLED_PAGES = "worker/pages/bundled.ts";

/** Names the pages' parts have in the generated module, and the sources they are made of. */
const PARTS = {
  STYLE: "style.css",
  SETUP_SCRIPT: "setup.ts",
  STATUS_SCRIPT: "status.ts",
  MOBILE_SETUP_SCRIPT: "mobile-setup.ts",
} as const;

/** The text of the generated module. The same sources and the same esbuild give the same text. */
export async function bundlePages(projectDir: string): Promise<string> {
  const lines = ["/** Made from `pages/` by `npm run pages`; a test fails when it is older than its sources. The QR encoder inside is uqr (MIT, Anthony Fu and Project Nayuki). */"];
  for (const [name, file] of Object.entries(PARTS)) lines.push("", `export const ${name} =`, `  ${JSON.stringify(await bundled(join(projectDir, "pages", file)))};`);
  return `${lines.join("\n")}\n`;
}

async function bundled(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    platform: "browser",
    target: ["chrome100", "firefox100", "safari15"],
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  });
  return (outputFiles[0]?.text ?? "").trim();
}
