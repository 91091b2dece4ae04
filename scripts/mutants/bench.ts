/**
 * A copy of the tree in which faults are planted one at a time and tests are run: of the Node suite, inside workerd, or against a bundle
 * made of the copy. The working tree is never touched.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "./faults.ts";

/** Longest run of the tests named for one fault in one suite, milliseconds. */
const RUN_TIMEOUT_MS = 180_000;
/** Of everything in one suite: with one worker the Node suite takes some three minutes on two busy cores. */
const SUITE_TIMEOUT_MS = 480_000;

/** Which suite a test file belongs to, by its folder. */
const SUITES = [
  { folder: "test/worker/", config: "vitest.worker.config.ts" },
  { folder: "test/process/", config: "vitest.process.config.ts" },
] as const;
const NODE_CONFIG = "vitest.config.ts";

/** Folders that no test reads, or that are made anew. */
const NOT_COPIED: ReadonlySet<string> = new Set(["node_modules", ".git", ".data", ".wrangler", "dist"]);

/** What running some tests showed. */
export type TestRun =
  | { readonly kind: "passed"; readonly tests: number }
  /** `test` is the first that failed, `why` the first line of its error. */
  | { readonly kind: "failed"; readonly test: string; readonly why: string }
  /** Nothing was tested: a file did not load, no test ran, or time was up. */
  | { readonly kind: "broken"; readonly why: string };

interface Report {
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string; readonly failureMessages?: readonly string[] | null }[];
  }[];
}

export class Bench {
  readonly #dir: string;
  readonly #vitest: string;

  /** Copies `projectDir` to `dir`, which must not exist; the installed packages are shared by a link. */
  constructor(projectDir: string, dir: string) {
    this.#dir = dir;
    this.#vitest = join(projectDir, "node_modules/vitest/vitest.mjs");
    mkdirSync(dir, { recursive: true });
    for (const entry of readdirSync(projectDir)) {
      if (!NOT_COPIED.has(entry)) cpSync(join(projectDir, entry), join(dir, entry), { recursive: true });
    }
    symlinkSync(join(projectDir, "node_modules"), join(dir, "node_modules"), "dir");
  }

  /** How often the text to be replaced stands in its file: anything but 1 means that the fault is out of date. */
  matches(fault: Fault): number {
    return readFileSync(join(this.#dir, fault.file), "utf8").split(fault.find).length - 1;
  }

  /** Plants the fault, calls `work`, and takes it out again. */
  async withFault<T>(fault: Fault, work: () => Promise<T>): Promise<T> {
    const file = join(this.#dir, fault.file);
    const sound = readFileSync(file, "utf8");
    writeFileSync(file, sound.replace(fault.find, () => fault.replace));
    try {
      return await work();
    } finally {
      writeFileSync(file, sound);
    }
  }

  /** All Node tests, until the first failure. */
  runSuite(): Promise<TestRun> {
    return this.#runSuite(NODE_CONFIG, [], SUITE_TIMEOUT_MS);
  }

  /** Runs the test files of all these faults, each in its suite, until the first failure. */
  runAll(faults: readonly Fault[]): Promise<TestRun> {
    return this.#run([...new Set(faults.flatMap((fault) => fault.tests))], SUITE_TIMEOUT_MS);
  }

  /** Runs the test files named for a fault, planted or not. */
  run({ tests }: Fault): Promise<TestRun> {
    return this.#run(tests, RUN_TIMEOUT_MS);
  }

  async #run(tests: readonly string[], timeoutMs: number): Promise<TestRun> {
    let passed = 0;
    for (const [config, files] of Map.groupBy(tests, configOf)) {
      const run = await this.#runSuite(config, files, timeoutMs);
      if (run.kind !== "passed") return run;
      passed += run.tests;
    }
    return { kind: "passed", tests: passed };
  }

  async #runSuite(config: string, tests: readonly string[], timeoutMs: number): Promise<TestRun> {
    const reportFile = join(this.#dir, "report.json");
    rmSync(reportFile, { force: true });
    const args = ["run", ...tests, "--config", config, "--bail", "1", "--maxWorkers", "1", "--reporter", "json", "--outputFile", reportFile];
    if (!(await this.#spawn(args, timeoutMs))) return { kind: "broken", why: `no end within ${timeoutMs / 1000} s` };
    return judge(readReport(reportFile));
  }

  /** Resolves to false when time was up. */
  #spawn(args: readonly string[], timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      // A bundle made elsewhere would not have the fault.
      const { YAOS_TEST_BUNDLE: _, ...env } = process.env;
      const child = spawn(process.execPath, [this.#vitest, ...args], { cwd: this.#dir, env, stdio: "ignore", detached: true });
      let inTime = true;
      const timer = setTimeout(() => {
        inTime = false;
        // The whole group: the tests run in children of the runner.
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      }, timeoutMs);
      child.on("close", () => {
        clearTimeout(timer);
        resolve(inTime);
      });
    });
  }
}

function configOf(test: string): string {
  return SUITES.find(({ folder }) => test.startsWith(folder))?.config ?? NODE_CONFIG;
}

function readReport(file: string): Report | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    return null;
  }
}

function judge(report: Report | null): TestRun {
  if (report === null) return { kind: "broken", why: "the tests wrote no report" };
  // Before the files: those that the first failure kept from running count as failed too.
  const failed = report.testResults.flatMap((file) => file.assertionResults).find((test) => test.status === "failed");
  if (failed !== undefined) {
    const why = (failed.failureMessages?.[0] ?? "").split("\n")[0]!;
    // A name that does not exist is the fault's own mistake, not something a test noticed.
    return why.startsWith("ReferenceError") ? { kind: "broken", why } : { kind: "failed", test: failed.fullName, why };
  }
  const unread = report.testResults.find((file) => file.status === "failed");
  if (unread !== undefined) return { kind: "broken", why: `${unread.name} does not load: ${(unread.message ?? "").split("\n")[0]}` };
  if (report.numTotalTests === 0) return { kind: "broken", why: "no test ran" };
  return { kind: "passed", tests: report.numTotalTests };
}
