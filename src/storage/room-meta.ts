/** Single facts of a room as text under a key (`room_meta`). Only for rooms that have their tables. */
import type { Sql } from "../ports.ts";

/** The key-value storage of a room's object, where older servers kept everything. Synchronous; commits with the SQL writes of the same turn. */
export interface RoomKeys {
  get(key: string): unknown;
  put(key: string, value: Readonly<Record<string, string | number | null>>): void;
  /** Removes every key. */
  deleteAll(): void;
}

/** Facts whose key begins with `prefix`. */
export function listMeta(sql: Sql, prefix: string): Map<string, string> {
  // The character after the last of the prefix ends the range, so that the primary key is used.
  const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
  const rows = sql.exec<{ key: string; value: string }>(`SELECT key, value FROM room_meta WHERE key >= ? AND key < ?`, prefix, end);
  return new Map(rows.map((row) => [row.key, row.value]));
}

export function readMeta(sql: Sql, key: string): string | null {
  return sql.exec<{ value: string }>(`SELECT value FROM room_meta WHERE key = ?`, key)[0]?.value ?? null;
}

export function writeMeta(sql: Sql, key: string, value: string): void {
  sql.exec(`INSERT INTO room_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value);
}

export function deleteMeta(sql: Sql, key: string): void {
  sql.exec(`DELETE FROM room_meta WHERE key = ?`, key);
}
