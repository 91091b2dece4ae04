/** A short run of `npm run fuzz:http` against the bundle under test; the long one is CI's and people's. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

const projectDir = join(import.meta.dirname, "../..");

it("[LT9] 300 random requests end with documented answers and a clean log", () => {
  const run = spawnSync(process.execPath, [join(projectDir, "scripts/fuzz-http.ts"), "--count", "300", "--seed", "1"], {
    cwd: projectDir,
    encoding: "utf8",
    env: { ...process.env, YAOS_TEST_BUNDLE: process.env["YAOS_TEST_BUNDLE"] ?? join(projectDir, "dist") },
  });
  expect(run.stderr).toBe("");
  expect(run.stdout).toMatch(/^seed 1: 300 requests in .* 0 failures$/m);
  expect(run.status).toBe(0);
});
