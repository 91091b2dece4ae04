/**
 * The laws over many histories: `node scripts/properties.ts [--runs 10000] [--seed 1] [--law L4]`.
 * A failure names its seed; `--runs 1 --seed N` plays it alone.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { runs: { type: "string", default: "10000" }, seed: { type: "string", default: "1" }, law: { type: "string" } },
});

const filter = values.law === undefined ? [] : ["--testNamePattern", `\\[${values.law}\\]`];
const root = fileURLToPath(new URL("..", import.meta.url));
const run = spawnSync(process.execPath, ["node_modules/vitest/vitest.mjs", "run", "test/property/laws.test.ts", ...filter], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, PROPERTY_RUNS: values.runs, PROPERTY_SEED: values.seed },
});
process.exitCode = run.status ?? 1;
