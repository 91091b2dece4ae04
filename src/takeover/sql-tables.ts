/**
 * Which tables of the first SQL layout exist (compat sheet, 5), told from foreign tables of the same names by their columns.
 * Our own tables have other names.
 */
import type { Sql } from "../ports.ts";

export type SqlTable = "snapshot_chunks" | "journal" | "_migration_meta";

/** Columns we read; `created_at` of the journal is not among them. */
const COLUMNS: Record<SqlTable, readonly string[]> = {
  snapshot_chunks: ["chunk_index", "data"],
  journal: ["id", "data", "byte_length"],
  _migration_meta: ["key", "value"],
};

/** `foreign`: something of that name that is not that table. */
export type TableState = "absent" | "foreign" | "present";

export function tableState(sql: Sql, table: SqlTable): TableState {
  const [row] = sql.exec<{ type: string }>(`SELECT type FROM sqlite_schema WHERE name = ?`, table);
  if (row === undefined) return "absent";
  if (row.type !== "table") return "foreign";
  const names = new Set(sql.exec<{ name: string }>(`PRAGMA table_info(${table})`).map((column) => column.name));
  return COLUMNS[table].every((name) => names.has(name)) ? "present" : "foreign";
}

/** The engine's own note of the highest id ever given to a row of `journal`, which outlives the rows; 0 when there is none. */
export function lastIdGiven(sql: Sql): number {
  if (sql.exec(`SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'`).length === 0) return 0;
  return sql.exec<{ seq: number }>(`SELECT seq FROM sqlite_sequence WHERE name = 'journal'`)[0]?.seq ?? 0;
}
