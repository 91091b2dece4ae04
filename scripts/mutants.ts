/**
 * `npm run mutants [-- --only <part of a name or file>]`: plants known faults one at a time in a copy of the tree and shows which
 * test notices each.
 * Ends with 1 when a fault survives the whole Node suite, no longer fits the source, or proves nothing because the tests could not run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Bench, type TestRun } from "./mutants/bench.ts";
import { FAULTS, type Fault } from "./mutants/faults.ts";
import { RULE_FAULTS } from "./mutants/rule-faults.ts";
import { TAKEOVER_FAULTS } from "./mutants/takeover-faults.ts";

/** Faults tried at a time: each runs one test process. */
const BENCHES = 2;

/** What became of one fault. */
interface Verdict {
  readonly caught: boolean;
  readonly text: string;
}

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
const faults = [...FAULTS, ...RULE_FAULTS, ...TAKEOVER_FAULTS].filter(({ name, file }) => name.includes(values.only) || file.includes(values.only));
const projectDir = join(import.meta.dirname, "..");
const tempDir = mkdtempSync(join(tmpdir(), "yaos-mutants-"));
process.on("exit", () => rmSync(tempDir, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const benches = Array.from({ length: BENCHES }, (_, at) => new Bench(projectDir, join(tempDir, `tree-${at}`)));
const startedMs = performance.now();
/** The whole suite without a fault, run when the first fault gets past the tests named for it. */
let soundSuite: Promise<TestRun> | undefined;

// A test that fails without any fault would seem to catch every one.
const sound = await benches[0]!.runAll(faults);
if (sound.kind !== "passed") {
  console.log(`The tests must pass before a fault is planted: ${describe(sound)}`);
  process.exit(1);
}

const nameWidth = Math.max(...faults.map((fault) => fault.name.length));
const fileWidth = Math.max(...faults.map((fault) => fault.file.length));
console.log(`${"fault".padEnd(nameWidth)}  ${"file".padEnd(fileWidth)}  caught by`);
const waiting = [...faults];
let caught = 0;
await Promise.all(
  benches.map(async (bench) => {
    for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
      const verdict = await tryFault(bench, fault);
      if (verdict.caught) caught += 1;
      console.log(`${fault.name.padEnd(nameWidth)}  ${fault.file.padEnd(fileWidth)}  ${verdict.text}`);
    }
  }),
);
console.log(`\n${caught} of ${faults.length} faults caught in ${Math.round((performance.now() - startedMs) / 1000)} s`);
process.exitCode = caught === faults.length && faults.length > 0 ? 0 : 1;

async function tryFault(bench: Bench, fault: Fault): Promise<Verdict> {
  const matches = bench.matches(fault);
  if (matches !== 1) return { caught: false, text: `OUT OF DATE: its text stands ${matches} times in the file` };
  const near = await bench.withFault(fault, () => bench.run(fault));
  if (near.kind !== "passed") return { caught: near.kind === "failed", text: describe(near) };
  soundSuite ??= bench.runSuite();
  const without = await soundSuite;
  if (without.kind !== "passed") return { caught: false, text: `SURVIVED its tests, and the whole suite fails without a fault: ${describe(without)}` };
  const far = await bench.withFault(fault, () => bench.runSuite());
  if (far.kind === "passed") return { caught: false, text: `SURVIVED ${far.tests} tests` };
  return { caught: far.kind === "failed", text: `(whole suite) ${describe(far)}` };
}

function describe(run: TestRun): string {
  if (run.kind === "passed") return `${run.tests} tests passed`;
  return run.kind === "failed" ? run.test : `NOT TESTED: ${run.why}`;
}
