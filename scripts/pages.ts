/** `npm run pages`: writes the browser parts of the pages into the Worker's sources. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stop } from "esbuild";
import { BUNDLED_PAGES, bundlePages } from "./host/bundle-pages.ts";

const projectDir = join(import.meta.dirname, "..");
writeFileSync(join(projectDir, BUNDLED_PAGES), await bundlePages(projectDir));
await stop();
