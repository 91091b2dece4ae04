import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SERVER_VERSION } from "../../worker/version.ts";

test("the version told to clients is the package's", () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as { version: string };
  expect(SERVER_VERSION).toBe(manifest.version);
});
