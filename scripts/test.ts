/**
 * `npm test`: runs the four suites one after the other (in Node, inside workerd, whole processes, pages in a browser) and ends with the plain
 * line `N passed, N failed`. A suite without a single test, a file that does not load and an error outside any test count
 * as failures, so that nothing is green by not running. Skipped tests count as neither.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const projectDir = join(import.meta.dirname, "..");
const SUITES = ["vitest.config.ts", "vitest.worker.config.ts", "vitest.process.config.ts", "vitest.pages.config.ts"] as const;

/** The part of vitest's JSON report we count. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[];
}

const resultDir = mkdtempSync(join(tmpdir(), "yaos-test-"));
let passed = 0;
let failed = 0;
for (const config of SUITES) {
  console.log(`\n== ${config}`);
  const result = runSuite(config);
  passed += result.passed;
  failed += result.failed;
}
rmSync(resultDir, { recursive: true, force: true });
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function runSuite(config: string): { passed: number; failed: number } {
  const reportFile = join(resultDir, `${config}.json`);
  const { status } = spawnSync(
    process.execPath,
    [join(projectDir, "node_modules/vitest/vitest.mjs"), "run", "--config", config, "--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`],
    { cwd: projectDir, stdio: ["ignore", "inherit", "inherit"] },
  );
  const report = readReport(reportFile);
  if (report === undefined) return complain(`${config} wrote no report`, 0, 1);
  const brokenFiles = report.testResults.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  ).length;
  const found = report.numFailedTests + brokenFiles;
  if (report.numPassedTests + found === 0) return complain(`${config} ran no test`, 0, 1);
  if (status !== 0 && found === 0) return complain(`${config} ended with ${status} though no test failed`, report.numPassedTests, 1);
  return { passed: report.numPassedTests, failed: found };
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    return undefined;
  }
}

function complain(why: string, passedTests: number, failedTests: number): { passed: number; failed: number } {
  console.log(why);
  return { passed: passedTests, failed: failedTests };
}
