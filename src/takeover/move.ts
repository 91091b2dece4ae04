/**
 * Moves the vault of an older server into our tables: survey, unite, compare, mark. The old storage is only read. Every step may be the last of an instance:
 * the next one begins again and finds what is stored.
 */
import { LIMITS } from "../limits.ts";
import type { Checksum, Log, Sql } from "../ports.ts";
import { DocumentSummaryCounter } from "../report/document-summary.ts";
import { countStored } from "../report/vault-summary.ts";
import type { MissingPart } from "../room/takeover-view.ts";
import { DamagedRowError } from "../storage/damage.ts";
import { BlobStore } from "../storage/blob-store.ts";
import { VaultStore } from "../storage/vault-store.ts";
import { Pacer } from "../update/pacer.ts";
import { compare } from "./compare.ts";
import type { LegacyProblem, LegacyStorage } from "./legacy.ts";
import { missingPart, settle } from "./missing.ts";
import { type TakeoverRecord, lossId, readableRecord, writeRecord } from "./record.ts";
import { type Survey, knownFrom, sourceReports, survey } from "./survey.ts";
import { type United, holdBlocked, unite } from "./unite.ts";
import type { Verdict } from "./verify.ts";

export interface MoveHost {
  readonly sql: Sql;
  readonly legacy: LegacyStorage;
  readonly checksum: Checksum;
  readonly clock: { nowMs(): number };
  readonly log: Log;
}

/** Work between two pauses, bytes: some 10 ms. */
const PAUSE_EVERY = 4 * 1024 * 1024;
/** Names the problem that source and result differ. */
const VERIFICATION = "verification";
/** Rows of ours that turn out damaged during one move. */
const MAX_DAMAGED = 100;

const NO_RECORD: TakeoverRecord = {
  state: "moving",
  fingerprint: null,
  attempts: 0,
  progress: 0,
  document: null,
  settled: [],
  keep: [],
  cleanedUpTo: null,
  isCleaning: false,
  missing: null,
  problems: [],
  losses: [],
  sources: [],
  marker: {},
};

/** A move that has been begun over and over without getting on. */
export class TakeoverStuckError extends Error {
  readonly code = "takeover-stuck";
  constructor(attempts: number) {
    super(`the takeover was broken off ${attempts} times without getting on; an admin may have it tried again`);
  }
}

/**
 * Runs the whole move. Yields where a turn may end; what it did up to there is durable with that turn.
 * @param fingerprint of the old storage as it is now
 * @returns the record it wrote: `complete` or `incomplete`
 * @throws {TakeoverStuckError}, {DamagedRowError} when our own tables cannot be read, and what the engine throws
 */
export function* move(host: MoveHost, fingerprint: string | null): Generator<null, TakeoverRecord> {
  const { sql, clock, log } = host;
  const startedMs = clock.nowMs();
  const store = new VaultStore(sql, host.checksum);
  openWhole(store, startedMs);
  const before = readableRecord(sql) ?? NO_RECORD;
  const storeWasEmpty = store.clocks.vector.size === 0;
  const begun = begin(sql, before, fingerprint, clocksOf(store));
  const pacer = new Pacer(PAUSE_EVERY);
  yield null;

  const found = yield* survey(host.legacy, knownFrom(before, storeWasEmpty), pacer);
  // Kept before anything of it is stored: later the tables are not empty any more.
  const document = found.document ?? before.document;
  if (document !== begun.document) writeRecord(sql, { ...begun, document });
  yield null;
  let united: United | null = null;
  let verdict: Verdict | null = null;
  for (let damaged = 0; verdict === null; ) {
    try {
      united = yield* unite(store, found.sources, found.deletes, () => clock.nowMs());
      verdict = yield* compare(store, found, united.blocked, storeWasEmpty && before.state === "moving" && before.fingerprint === null, pacer);
    } catch (error) {
      if (!(error instanceof DamagedRowError) || ++damaged > MAX_DAMAGED) throw error;
      // What was in it comes from the old storage again, or from a client that has it.
      store.setAside([error], clock.nowMs());
    }
  }
  const settled = settle(found.problems, found.hints, { clocks: store.clocks, deletes: store.readDeletes() }, before, united!.blocked);
  const problems = verdict.ok ? settled : [...settled, differenceOf(verdict.reason, fingerprint, before)];
  const hasLoss = problems.some((problem) => problem.isLoss);
  let missing: MissingPart | null = null;
  if (hasLoss) {
    const reasons = problems.filter((problem) => problem.isLoss).map((problem) => problem.reason);
    const reason = reasons.length === 1 ? reasons[0]! : `${reasons[0]!} and ${reasons.length - 1} more`;
    const open = new Set(problems.filter((problem) => problem.isLoss).map((problem) => problem.key));
    const hints = found.hints.filter(({ key }) => open.has(key));
    const told = new Set(hints.map(({ key }) => key));
    missing = missingPart(store.clocks, hints, united!.blocked, [...open].filter((key) => !told.has(key)), reason);
  } else if (!(yield* holdBlocked(store, united!.blocked, () => clock.nowMs()))) {
    problems.push({ key: "held", reason: "more structs wait behind gaps than a room keeps; the rest stays in the old storage", isLoss: false });
  }
  const counter = new DocumentSummaryCounter(store.readDeletes());
  yield* countStored(store, counter, pacer);
  const { activePathCount } = counter.finish();
  const nowMs = clock.nowMs();
  const sources = sourceReports(found);
  const record: TakeoverRecord = {
    ...begun,
    state: hasLoss ? "incomplete" : "complete",
    document,
    attempts: 0,
    // What is settled now stays so when an old server has written again.
    settled: settledNow(before, found.problems, problems),
    missing,
    problems,
    losses: problems.filter((problem) => problem.isLoss).map(lossId),
    sources,
    marker: {
      migration_completed: hasLoss ? "false" : "true",
      migrated_at: new Date(nowMs).toISOString(),
      source_format: formatOf(found),
      source_entries: String(found.sources.length),
      source_bytes: String(found.sources.reduce((sum, source) => sum + source.entry.byteLength, 0)),
      snapshot_bytes: String(store.chunkBytes),
      active_path_count: String(activePathCount),
      duration_ms: String(nowMs - startedMs),
      attempts: String(begun.attempts),
      lost_entries: String(found.lost.filter((entry) => entry.isLive).length),
      digest: verdict.digest,
      digest_units: String(verdict.units),
      clients: String(store.clocks.vector.size),
    },
  };
  sql.transaction(() => {
    writeRecord(sql, record);
    // Those servers kept attachments nowhere else.
    if (counter.blobPathCount > 0) new BlobStore(sql, host.checksum).noteR2Used(nowMs);
  });
  log.event(hasLoss ? "error" : "info", hasLoss ? "takeover.incomplete" : "takeover.complete", {
    format: formatOf(found),
    entries: found.sources.length,
    lost: found.lost.length,
    durationMs: nowMs - startedMs,
  });
  return record;
}

/** What counts as a loss no more: what did not before, and what was brought back. @param found and @param problems go side by side */
function settledNow(before: TakeoverRecord, found: readonly LegacyProblem[], problems: readonly LegacyProblem[]): string[] {
  const healed = found.filter((problem, at) => problem.isLoss && !problems[at]!.isLoss);
  return [...new Set([...before.settled, ...healed.map(lossId)])];
}

/** Source and result differ: a loss of its own, of this state of the old storage. */
function differenceOf(reason: string, fingerprint: string | null, before: TakeoverRecord): LegacyProblem {
  const problem: LegacyProblem = { key: VERIFICATION, reason, isLoss: true, of: fingerprint ?? "" };
  return before.settled.includes(lossId(problem)) ? { ...problem, isLoss: false } : problem;
}

/** Takes damaged rows out of use as the room would. @throws {DamagedRowError} when nothing can be read */
function openWhole(store: VaultStore, nowMs: number): void {
  const { gaps, damaged } = store.open();
  if (gaps.length > 0 || damaged.length > 0) store.setAside(damaged, nowMs);
}

/** Notes that a move begins, so that a broken one is known as such. @throws {TakeoverStuckError} */
function begin(sql: Sql, before: TakeoverRecord, fingerprint: string | null, progress: number): TakeoverRecord {
  const isAgain = before.state === "moving" && before.fingerprint === fingerprint && before.progress === progress;
  const attempts = isAgain ? before.attempts + 1 : 1;
  if (attempts > LIMITS.maxTakeoverAttempts) throw new TakeoverStuckError(before.attempts);
  const begun: TakeoverRecord = { ...before, state: "moving", fingerprint, attempts, progress };
  writeRecord(sql, begun);
  return begun;
}

function clocksOf(store: VaultStore): number {
  let clocks = 0;
  for (const end of store.clocks.vector.values()) clocks += end;
  return clocks;
}

/** The older servers' own words for it, and ours where they had none. */
function formatOf(found: Survey): string {
  const kinds = new Set(found.sources.map((source) => source.entry.kind));
  const isKv = kinds.has("checkpoint") || kinds.has("journal");
  const isSql = kinds.has("sql-snapshot") || kinds.has("sql-journal");
  const formats = [...(found.document === "joined" ? ["legacy+kv"] : isKv ? ["kv"] : []), ...(isSql ? ["sql"] : [])];
  return formats.length === 0 ? "none" : formats.join("+");
}
