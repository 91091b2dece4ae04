/**
 * The tables of a room and the numbered migrations that make them.
 *
 * All names begin with `room_`: the tables of older servers (`journal`, `snapshot_chunks`, `_migration_meta`) share ideas with ours, not columns,
 * and stay as they are for a way back. Opening writes nothing when the schema is current; a fresh object gets its tables with its first write.
 */
import type { Sql } from "../ports.ts";

/** The schema this code writes. */
export const SCHEMA_VERSION = 1;

/** The oldest code that may open what this code writes; kept in the database so that a rollback works or is refused by name. */
export const MIN_SAFE_VERSION = 1;

/** The database was written by a newer server than this one can safely read. */
export class SchemaTooNewError extends Error {
  readonly code = "schema-too-new";
  constructor(found: number) {
    super(`Cannot open room: its storage needs schema version ${found}, this server reads up to ${SCHEMA_VERSION}`);
  }
}

/** Our tables are there and do not say which schema they are: reading on would show an empty vault in place of one that cannot be read. */
export class SchemaDamagedError extends Error {
  readonly code = "schema-damaged";
  constructor(what: string) {
    super(`Cannot open room: ${what}`);
  }
}

/** One step from a schema version to the next, run in one transaction with all steps before it. */
export interface Migration {
  readonly to: number;
  readonly name: string;
  readonly statements: readonly string[];
}

export const MIGRATIONS: readonly Migration[] = [
  {
    to: 1,
    name: "rooms-as-journal-and-chunks",
    statements: [
      // Key to value. `schema_version`, `min_safe_version` (the runtime refuses PRAGMA user_version), `proved_at_ms`; `access:<credential>`: the epoch below which
      // that credential no longer counts; `registered`: the install knows this room; `schema_path`: how the document's own schema version came about, as JSON.
      `CREATE TABLE room_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`,
      // One row per commit. `slot` counts from 1 since the last checkpoint and is overwritten after the next, because deletes are billed;
      // a row is live when seq = absorbed + slot. `sum` is the CRC-32 of `data`; `summary` carries its own. Summary before data: a wake reads
      // the summaries only, and SQLite leaves the overflow pages behind them alone.
      `CREATE TABLE room_journal (
         slot INTEGER PRIMARY KEY, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, sum INTEGER NOT NULL,
         summary BLOB NOT NULL, data BLOB NOT NULL) STRICT`,
      // Parts of chunks: row = chunk id * 64 + part.
      `CREATE TABLE room_chunk (row INTEGER PRIMARY KEY, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`,
      // The index of chunks and delete shards, in parts; everything not named here is not part of the vault. Twice, in tables of their own so that
      // no page holds both: without an index the whole room is unreadable.
      `CREATE TABLE room_index (part INTEGER PRIMARY KEY, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`,
      `CREATE TABLE room_index_copy (part INTEGER PRIMARY KEY, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`,
      // The delete set: row 1 is the delta since the last fold, the others are shards of the base by client range.
      `CREATE TABLE room_deletes (row INTEGER PRIMARY KEY, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`,
      // Structs behind a gap, in order of arrival: stored, not served, not relayed until the gap closes. Part rows: key = number of arrival * 64 + part,
      // `parts` of them; `sum` is the CRC-32 of this part.
      `CREATE TABLE room_held (
         key INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, parts INTEGER NOT NULL, sum INTEGER NOT NULL, data BLOB NOT NULL) STRICT`,
      // Rows that failed their checksum, set aside with their bytes for a human.
      `CREATE TABLE room_damaged (
         row INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, origin TEXT NOT NULL, reason TEXT NOT NULL, data BLOB NOT NULL) STRICT`,
      // The last errors, a ring by slot.
      `CREATE TABLE room_errors (slot INTEGER PRIMARY KEY, number INTEGER NOT NULL, at_ms INTEGER NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL) STRICT`,
    ],
  },
];

const UPSERT_META = `INSERT INTO room_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`;

/** Notes that storage could be written at this time, after a failure. */
export function noteProof(sql: Sql, atMs: number): void {
  sql.exec(UPSERT_META, "proved_at_ms", String(atMs));
}

/** Tables without which there is no room. */
const CORE_TABLES = ["room_meta", "room_journal", "room_index", "room_chunk", "room_deletes", "room_held", "room_damaged", "room_errors"];

/** Whether this object has our tables, and at which version. Reads only. @throws {SchemaTooNewError}, {SchemaDamagedError} */
export function readSchemaVersion(sql: Sql): number {
  const names = new Set(sql.exec<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'table'`).map((row) => row.name));
  const found = CORE_TABLES.filter((name) => names.has(name));
  if (found.length === 0) return 0;
  const missing = CORE_TABLES.filter((name) => !names.has(name));
  if (missing.length > 0) throw new SchemaDamagedError(`table ${missing.join(", ")} is missing`);
  const meta = new Map<string, string>();
  for (const row of sql.exec<{ key: string; value: string }>(`SELECT key, value FROM room_meta WHERE key IN ('schema_version', 'min_safe_version')`)) meta.set(row.key, row.value);
  const version = versionOf(meta, "schema_version");
  const minSafe = versionOf(meta, "min_safe_version");
  if (minSafe > SCHEMA_VERSION) throw new SchemaTooNewError(minSafe);
  return version;
}

function versionOf(meta: ReadonlyMap<string, string>, key: string): number {
  const value = Number(meta.get(key));
  if (!Number.isSafeInteger(value) || value < 1) throw new SchemaDamagedError(`${key} is unreadable`);
  return value;
}

/** Runs the migrations that are missing, all in one transaction. Returns whether it wrote. @throws {SchemaTooNewError} */
export function migrate(sql: Sql): boolean {
  const from = readSchemaVersion(sql);
  if (from >= SCHEMA_VERSION) return false;
  sql.transaction(() => {
    for (const step of MIGRATIONS) {
      if (step.to <= from) continue;
      for (const statement of step.statements) sql.exec(statement);
    }
    sql.exec(UPSERT_META, "schema_version", String(SCHEMA_VERSION));
    sql.exec(UPSERT_META, "min_safe_version", String(MIN_SAFE_VERSION));
  });
  return true;
}
