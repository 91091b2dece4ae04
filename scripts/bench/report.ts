/** One table, for the terminal, the JSON file and the README. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { mediansOf, SERVER_KINDS, type Row } from "./stats.ts";

export const BENCH_START = "<!-- bench:start -->";
export const BENCH_END = "<!-- bench:end -->";

export interface RunInfo {
  readonly date: string;
  readonly workerd: string;
  readonly quick: boolean;
  readonly runs: number;
}

interface Line {
  readonly cells: readonly string[];
  readonly met: boolean | null;
}

const HEADER = ["case", "setting", "this server", "y-partyserver room", "bare relay", "baseline ÷ ours", "aim", "met"];

function line(row: Row): Line {
  const medians = mediansOf(row);
  const met = row.met?.(medians) ?? null;
  const cell = (value: number | undefined): string => (value === undefined ? "–" : `${round(value)} ${row.unit}`.trimEnd());
  return { cells: [row.name, row.setting, cell(medians.ours), cell(medians.baseline), cell(medians.relay), ratio(row), row.aim ?? "", met === null ? "" : met ? "yes" : "no"], met };
}

/** How many times better or worse than the baseline, whichever way the figure counts. */
function ratio(row: Row): string {
  const { ours, baseline } = mediansOf(row);
  if (ours === undefined || baseline === undefined || ours === 0 || baseline === 0) return "–";
  const times = row.better === "lower" ? baseline / ours : ours / baseline;
  // Within what a figure rounds to there is no difference to tell.
  if (Math.abs(times - 1) < 0.02) return "the same";
  return times > 1 ? `${round(times)} × better` : `${round(1 / times)} × worse`;
}

/** Three significant digits. */
function round(value: number): string {
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return Number(value.toFixed(Math.min(digits, 4))).toLocaleString("en-US", { maximumFractionDigits: 4 });
}

function header(): readonly string[] {
  return HEADER.map((name) => (name === "baseline ÷ ours" ? "against the room" : name));
}

export function markdownTable(rows: readonly Row[]): string {
  const format = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [format(header()), format(HEADER.map(() => "---")), ...rows.map((row) => format(line(row).cells))].join("\n");
}

/** The same table with columns padded for a terminal. */
export function textTable(rows: readonly Row[]): string {
  const lines = [header(), ...rows.map((row) => line(row).cells)];
  const widths = HEADER.map((_, column) => Math.max(...lines.map((cells) => (cells[column] ?? "").length)));
  return lines.map((cells) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n");
}

/** The rows of an earlier run, verdicts as they were; none when there is no file. For a run of some cases, which must not drop the others' figures. */
export function readRows(file: string): Row[] {
  if (!existsSync(file)) return [];
  const { results } = JSON.parse(readFileSync(file, "utf8")) as { results: readonly StoredRow[] };
  return results.map((stored) => ({
    caseName: stored.case,
    name: stored.metric,
    setting: stored.setting,
    unit: stored.unit,
    better: stored.better,
    samples: stored.samples,
    ...(stored.aim === null ? {} : { aim: stored.aim }),
    ...(stored.met === null ? {} : { met: () => stored.met }),
  }));
}

interface StoredRow {
  readonly case: string;
  readonly metric: string;
  readonly setting: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  readonly aim: string | null;
  readonly met: boolean | null;
  readonly samples: Row["samples"];
}

export function writeJson(file: string, rows: readonly Row[], info: RunInfo): void {
  const results = rows.map((row) => ({
    case: row.caseName,
    metric: row.name,
    setting: row.setting,
    unit: row.unit,
    better: row.better,
    aim: row.aim ?? null,
    met: row.met?.(mediansOf(row)) ?? null,
    medians: mediansOf(row),
    samples: Object.fromEntries(SERVER_KINDS.filter((kind) => row.samples[kind] !== undefined).map((kind) => [kind, row.samples[kind]?.map((value) => Number(value.toFixed(3)))])),
  }));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...info, cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, results }, null, 2)}\n`);
}

/** Replaces what lies between the two markers. A README without them is left alone; returns whether it was written. */
export function rewriteReadme(file: string, rows: readonly Row[], info: RunInfo): boolean {
  if (!existsSync(file)) return false;
  const text = readFileSync(file, "utf8");
  const start = text.indexOf(BENCH_START);
  const end = text.indexOf(BENCH_END);
  if (start < 0 || end < start) return false;
  const note = `Medians of ${info.runs} runs on ${cpus().length} cores, ${info.date}, workerd ${info.workerd}, all three servers and the client on the same machine${info.quick ? " (quick run)" : ""}. Vaults: notes of 4 KB, 40 edits each, dozens of past clients, imported by one device unless noted. Made by \`npm run bench\`.`;
  writeFileSync(file, `${text.slice(0, start + BENCH_START.length)}\n${note}\n\n${markdownTable(rows)}\n${text.slice(end)}`);
  return true;
}
