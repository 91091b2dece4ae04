/**
 * What the first SQL layout left in an object (compat sheet, 5): one snapshot over all rows of `snapshot_chunks`, one update per row of
 * `journal`. It has no hashes and no lengths to rely on: decoding decides. Reads only, one row at a time.
 */
import type { Sql } from "../ports.ts";
import { joinFindings } from "./join-findings.ts";
import { LegacyDamageError, type LegacyEntry, type LegacyFindings, type LegacyProblem } from "./legacy.ts";
import { type SqlTable, lastIdGiven, tableState } from "./sql-tables.ts";

/** The snapshot first, then journal rows by id. */
export function findSqlEntries(sql: Sql): LegacyFindings {
  return joinFindings([findIn(sql, "snapshot_chunks", findSnapshot), findIn(sql, "journal", findJournalRows)]);
}

/** Rows of `_migration_meta`, which the first SQL generation wrote when it took over a key-value vault; null when there are none. */
export function readMigrationMeta(sql: Sql): Record<string, string> | null {
  if (tableState(sql, "_migration_meta") !== "present") return null;
  const rows = sql.exec<{ key: string; value: string }>(
    `SELECT key, value FROM _migration_meta WHERE typeof(key) = 'text' AND typeof(value) = 'text' ORDER BY key LIMIT ${MAX_MARKERS}`,
  );
  return rows.length === 0 ? null : Object.fromEntries(rows.map((row) => [row.key, row.value]));
}

/** It wrote seven. */
const MAX_MARKERS = 100;

function findIn(sql: Sql, table: SqlTable, find: (sql: Sql) => LegacyFindings): LegacyFindings {
  let state;
  try {
    state = tableState(sql, table);
    if (state === "present") return find(sql);
  } catch (error) {
    return only([{ key: table, reason: `cannot be read: ${messageOf(error)}`, isLoss: true }]);
  }
  return state === "absent" ? only([]) : only([{ key: table, reason: "a table of this name has other columns: not an older server's", isLoss: false }]);
}

function findSnapshot(sql: Sql): LegacyFindings {
  const rows = sql.exec<{ i: number; kind: string; bytes: number }>(
    `SELECT chunk_index AS i, typeof(data) AS kind, length(data) AS bytes FROM snapshot_chunks ORDER BY chunk_index`,
  );
  if (rows.length === 0) return only([]);
  const hole = rows.findIndex((row, index) => row.i !== index);
  // The old server joins what is there in order, whatever the numbers; where a row is really missing, that can hardly be read as an update.
  const problems: LegacyProblem[] = hole < 0 ? [] : [{ key: "snapshot_chunks", reason: `chunk ${hole} is missing before chunk ${rows[hole]!.i}`, isLoss: false }];
  const wrong = rows.find((row) => row.kind !== "blob");
  if (wrong !== undefined) return only([{ key: "snapshot_chunks", reason: `chunk ${wrong.i} is no BLOB but ${wrong.kind}`, isLoss: true }]);
  const partSizes = rows.map((row) => row.bytes);
  return { ...only(problems), entries: [sqlEntry("sql-snapshot", "snapshot_chunks", partSizes, (part) => snapshotChunk(sql, rows[part]!.i))] };
}

function findJournalRows(sql: Sql): LegacyFindings {
  const rows = sql.exec<{ id: number; kind: string; bytes: number; said: number }>(
    `SELECT id, typeof(data) AS kind, length(data) AS bytes, byte_length AS said FROM journal ORDER BY id`,
  );
  const entries: LegacyEntry[] = [];
  const problems: LegacyProblem[] = [];
  // Ids begin at 1, and rows go only when a snapshot comes.
  let before = hasSnapshot(sql) ? null : 0;
  for (const { id, kind, bytes, said } of rows) {
    const name = `journal row ${id}`;
    if (before !== null && id !== before + 1) {
      // Ids are never reused and all rows go at once. What a missing row held shows as missing clocks, if anything builds on it.
      problems.push(missingRows(before + 1, id - 1));
    }
    before = id;
    if (kind !== "blob") {
      problems.push({ key: name, reason: `data is no BLOB but ${kind}`, isLoss: true });
      continue;
    }
    if (said !== bytes) problems.push({ key: name, reason: `byte_length is ${said}, its data has ${bytes} bytes`, isLoss: false });
    entries.push(sqlEntry("sql-journal", name, [bytes], () => journalRow(sql, id)));
  }
  const given = lastIdGiven(sql);
  if (before !== null && rows.length > 0 && given > before) {
    problems.push(missingRows(before + 1, given));
  }
  return { ...only(problems), entries };
}

/** The same words wherever they are missed, so that a loss that was settled stays it. */
function missingRows(from: number, to: number): LegacyProblem {
  return { key: `journal row ${from}`, reason: `rows ${from} to ${to} are missing`, isLoss: false, mayBeLoss: true, of: `${from}-${to}`, upTo: to };
}

function hasSnapshot(sql: Sql): boolean {
  return tableState(sql, "snapshot_chunks") === "present" && sql.exec(`SELECT 1 FROM snapshot_chunks LIMIT 1`).length > 0;
}

function sqlEntry(kind: "sql-snapshot" | "sql-journal", name: string, partSizes: readonly number[], read: (part: number) => unknown): LegacyEntry {
  return {
    kind,
    name,
    isLive: true,
    byteLength: partSizes.reduce((sum, size) => sum + size, 0),
    partSizes,
    sha256: null,
    keys: [],
    readPart: (part) => {
      let data: unknown;
      try {
        data = read(part);
      } catch (error) {
        throw new LegacyDamageError(name, `cannot be read: ${messageOf(error)}`);
      }
      if (data instanceof Uint8Array && data.byteLength === partSizes[part]) return data;
      throw new LegacyDamageError(name, `part ${part} is missing or has another length than before`);
    },
  };
}

function snapshotChunk(sql: Sql, index: number): unknown {
  return sql.exec(`SELECT data FROM snapshot_chunks WHERE chunk_index = ?`, index)[0]?.["data"];
}

function journalRow(sql: Sql, id: number): unknown {
  return sql.exec(`SELECT data FROM journal WHERE id = ?`, id)[0]?.["data"];
}

function only(problems: readonly LegacyProblem[]): LegacyFindings {
  return { entries: [], problems, lostVectors: [], otherKeys: [] };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
