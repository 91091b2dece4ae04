/**
 * What is remembered of a takeover, as text under keys in a table of our own (`room_takeover`). The names of PR #51's marker rows mean here what they meant
 * there (compat sheet, 5.1); its own table `_migration_meta` is only ever read.
 */
import type { Sql } from "../ports.ts";
import type { MissingPart } from "../room/takeover-view.ts";
import type { LegacyKind, LegacyProblem } from "./legacy.ts";

/** Where a takeover stands. */
export type TakeoverState =
  /** Under way, or broken off: what our tables hold is not the whole vault yet. */
  | "moving"
  /** Everything is in our tables and was compared. */
  | "complete"
  /** What verifies is in our tables; something is lost. */
  | "incomplete"
  /** The old storage is being deleted, or the object ended in that. */
  | "cleaning";

/** One entry of the old storage and what became of it. */
export interface SourceReport {
  readonly name: string;
  readonly kind: LegacyKind;
  readonly bytes: number;
  readonly live: boolean;
  /** `united`; `lost`: it does not verify; `left`: it verifies and stays where it is. */
  readonly outcome: "united" | "lost" | "left";
  readonly reason: string | null;
}

export interface TakeoverRecord {
  readonly state: TakeoverState;
  /** Of the old storage at that time (`fingerprint.ts`); null when nothing was left of it. */
  readonly fingerprint: string | null;
  /** Moves begun since the last that ended, and clocks stored when the last of them began. */
  readonly attempts: number;
  readonly progress: number;
  /** What was decided about the pre-chunk `document`; null when there was none. */
  readonly document: "joined" | "left" | null;
  /** Losses (`lossId`) that count as such no more: an admin goes on without what they held, or a client has brought it. */
  readonly settled: readonly string[];
  /** Keys, or names of SQL rows, that the last clean-up has left because ours do not hold what is in them. */
  readonly keep: readonly string[];
  /** A clean-up was begun; the highest id that a row of PR #51's `journal` had then. Null before the first. */
  readonly cleanedUpTo: number | null;
  /** From the first deletion of a clean-up until one ends: that something of the old storage is missing is no news. */
  readonly isCleaning: boolean;
  readonly missing: MissingPart | null;
  readonly problems: readonly LegacyProblem[];
  /** All losses by name (`lossId`), up to `MAX_LOSSES`; `problems` may have fewer. */
  readonly losses: readonly string[];
  readonly sources: readonly SourceReport[];
  /** The marker: keys of the compat sheet, 5.1, and ours. Empty before the first move ended. */
  readonly marker: Readonly<Record<string, string>>;
}

const DDL = `CREATE TABLE IF NOT EXISTS room_takeover (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`;

/** Keys that are ours alone and no text for people. */
const INTERNAL = "takeover_record";
/** Reports longer than this many entries are cut: a record must stay a row. */
const MAX_LISTED = 200;
/** Losses by name that are remembered, and as many that are settled. */
const MAX_LOSSES = 5_000;

type Stored = Omit<TakeoverRecord, "marker">;

/** The record, or null when there never was a takeover here. @throws {TakeoverRecordError} when it cannot be read */
export function readRecord(sql: Sql): TakeoverRecord | null {
  if (sql.exec(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'room_takeover'`).length === 0) return null;
  const marker: Record<string, string> = {};
  let stored: Stored | null = null;
  for (const { key, value } of sql.exec<{ key: string; value: string }>(`SELECT key, value FROM room_takeover`)) {
    if (key === INTERNAL) stored = parse(value);
    else marker[key] = value;
  }
  return stored === null ? null : { ...stored, marker };
}

/** The same, and null for one that cannot be read: everything it says can be found out again, by a move. */
export function readableRecord(sql: Sql): TakeoverRecord | null {
  try {
    return readRecord(sql);
  } catch {
    return null;
  }
}

/** The record of a takeover cannot be read: nobody can say whether our tables hold the whole vault. */
export class TakeoverRecordError extends Error {
  readonly code = "takeover-record";
}

function parse(text: string): Stored {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch (cause) {
    throw new TakeoverRecordError("Cannot read the record of the takeover", { cause });
  }
  if (typeof stored !== "object" || stored === null || typeof (stored as Stored).state !== "string") throw new TakeoverRecordError("Cannot read the record of the takeover");
  return stored as Stored;
}

/** Writes the record over the one before, in one transaction; the caller may be in one already. Rows: one, and one per marker key. */
export function writeRecord(sql: Sql, record: TakeoverRecord): void {
  const { marker, ...rest } = record;
  const stored: Stored = { ...rest, problems: lossesFirst(rest.problems), losses: rest.losses.slice(0, MAX_LOSSES), settled: rest.settled.slice(-2 * MAX_LOSSES), sources: cut(rest.sources) };
  sql.transaction(() => {
    sql.exec(DDL);
    const put = (key: string, value: string): void => {
      sql.exec(`INSERT INTO room_takeover (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value`, key, value);
    };
    // A marker tells of one move only.
    sql.exec(`DELETE FROM room_takeover WHERE key <> ? AND key NOT IN (SELECT value FROM json_each(?))`, INTERNAL, JSON.stringify(Object.keys(marker)));
    put(INTERNAL, JSON.stringify(stored));
    for (const [key, value] of Object.entries(marker)) put(key, value);
  });
}

/** Names a loss: another one under the same key, of other content, is another loss. */
export function lossId({ key, of }: LegacyProblem): string {
  return `${key} (${(of ?? "missing").slice(0, 80)})`;
}

/** The first ones, losses before what costs nothing. */
function lossesFirst(problems: readonly LegacyProblem[]): readonly LegacyProblem[] {
  return problems.length <= MAX_LISTED ? problems : [...problems].sort((a, b) => Number(b.isLoss) - Number(a.isLoss)).slice(0, MAX_LISTED);
}

/** The first ones, whatever went wrong with one before what went well. */
function cut(sources: readonly SourceReport[]): readonly SourceReport[] {
  if (sources.length <= MAX_LISTED) return sources;
  return [...sources].sort((a, b) => Number(a.outcome === "united") - Number(b.outcome === "united")).slice(0, MAX_LISTED);
}
