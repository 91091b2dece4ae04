/**
 * `npm run bench`: this server, a y-partyserver room and a bare relay, each under `workerd serve`, with the same client and the same vaults.
 *
 *   npm run bench -- [--quick] [--only wake,join] [--sizes 1,13,31] [--servers ours,baseline,relay] [--runs 5] [--no-write]
 *
 * Prints one table, writes `bench/results.json` and the README section between the bench markers; with `--only` the rows of other cases stay. Vaults are made once and kept in
 * `$YAOS_BENCH_CACHE` (default: a folder in the temporary directory). `YAOS_BENCH_LOG=1` shows what the servers log.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { checkpointCase } from "./bench/cases/checkpoint.ts";
import { fanOutCase } from "./bench/cases/fan-out.ts";
import { heapCase } from "./bench/cases/heap.ts";
import { joinCase } from "./bench/cases/join.ts";
import { keystrokesCase } from "./bench/cases/keystrokes.ts";
import { memoryCase } from "./bench/cases/memory.ts";
import { receiptsCase } from "./bench/cases/receipts.ts";
import { reconnectCase } from "./bench/cases/reconnect.ts";
import { requestsCase } from "./bench/cases/requests.ts";
import { takeoverCase } from "./bench/cases/takeover.ts";
import { wakeCase } from "./bench/cases/wake.ts";
import type { BenchCase, BenchContext } from "./bench/context.ts";
import { endAll } from "./bench/process.ts";
import { readRows, rewriteReadme, textTable, writeJson, type RunInfo } from "./bench/report.ts";
import { MeasuredServer } from "./bench/servers.ts";
import { Recorder, SERVER_KINDS, type ServerKind } from "./bench/stats.ts";
import { loadLegacyJournal, loadVault, type Vault, type VaultForm } from "./bench/vaults.ts";

const PROJECT_DIR = join(import.meta.dirname, "..");
const CASES: readonly BenchCase[] = [wakeCase, reconnectCase, joinCase, fanOutCase, memoryCase, heapCase, keystrokesCase, receiptsCase, checkpointCase, requestsCase, takeoverCase];

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string" },
    sizes: { type: "string" },
    servers: { type: "string" },
    runs: { type: "string" },
    "no-write": { type: "boolean", default: false },
  },
});

const quick = flags.quick;
const sizes = (flags.sizes ?? (quick ? "1,4" : "1,13,31")).split(",").map(Number).toSorted((a, b) => a - b);
const runs = Number(flags.runs ?? (quick ? 2 : 5));
if (sizes.some((size) => !(size > 0)) || !(runs > 0)) throw new Error("bench: --sizes and --runs take positive numbers");
const chosen = chooseCases(flags.only);
const kinds = chooseServers(flags.servers);

const cacheDir = process.env["YAOS_BENCH_CACHE"] ?? join(tmpdir(), "yaos-bench");
mkdirSync(cacheDir, { recursive: true });
const runDir = mkdtempSync(join(cacheDir, "run-"));
const cleanUp = (): void => {
  endAll();
  rmSync(runDir, { recursive: true, force: true });
};
process.once("exit", cleanUp);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const log = (line: string): void => console.error(`bench: ${line}`);
const vaults = new Map<string, Vault>();
const recorder = new Recorder();
const servers: MeasuredServer[] = [];
for (const kind of kinds) servers.push(await MeasuredServer.build(kind, runDir));
const context: BenchContext = {
  servers,
  sizes,
  runs,
  quick,
  recorder,
  vault(megabytes: number, form: VaultForm): Vault {
    const key = `${megabytes}-${form}`;
    const vault = vaults.get(key) ?? loadVault(cacheDir, megabytes, form, log);
    vaults.set(key, vault);
    return vault;
  },
  legacyJournal: (megabytes) => loadLegacyJournal(cacheDir, megabytes, log),
  log,
};

const failures: string[] = [];
for (const benchCase of chosen) {
  const startedAt = performance.now();
  log(`${benchCase.name} …`);
  try {
    await benchCase.run(context);
  } catch (error) {
    // One case that cannot run must not cost the others their figures; the exit code tells.
    failures.push(benchCase.name);
    console.error(error);
    endAll();
  }
  log(`${benchCase.name} took ${Math.round((performance.now() - startedAt) / 1000)} s`);
}

const workerd = (JSON.parse(readFileSync(join(PROJECT_DIR, "node_modules", "workerd", "package.json"), "utf8")) as { version: string }).version;
const info: RunInfo = { date: new Date().toISOString().slice(0, 10), workerd, quick, runs };
console.log(textTable(recorder.rows));
if (!flags["no-write"]) {
  const file = join(PROJECT_DIR, "bench", "results.json");
  const chosenNames = new Set(chosen.map((benchCase) => benchCase.name));
  const kept = flags.only === undefined ? [] : readRows(file).filter((row) => !chosenNames.has(row.caseName));
  const places = new Map(CASES.map((benchCase, place) => [benchCase.name, place]));
  const rows = [...kept, ...recorder.rows].toSorted((a, b) => (places.get(a.caseName) ?? 0) - (places.get(b.caseName) ?? 0));
  writeJson(file, rows, info);
  if (!rewriteReadme(join(PROJECT_DIR, "README.md"), rows, info)) log("README.md has no bench markers, left alone");
}
if (failures.length > 0) {
  log(`failed: ${failures.join(", ")}`);
  process.exitCode = 1;
}
process.exit();

function chooseCases(only: string | undefined): readonly BenchCase[] {
  if (only === undefined) return CASES;
  const names = only.split(",");
  const unknown = names.filter((name) => !CASES.some((benchCase) => benchCase.name === name));
  if (unknown.length > 0) throw new Error(`bench: no case ${unknown.join(", ")}; there are ${CASES.map((c) => c.name).join(", ")}`);
  return CASES.filter((benchCase) => names.includes(benchCase.name));
}

function chooseServers(list: string | undefined): readonly ServerKind[] {
  if (list === undefined) return SERVER_KINDS;
  const names = list.split(",");
  if (names.some((name) => !SERVER_KINDS.includes(name as ServerKind))) throw new Error(`bench: servers are ${SERVER_KINDS.join(", ")}`);
  return SERVER_KINDS.filter((kind) => names.includes(kind));
}
