/**
 * Erasing a vault: everything stored in the object goes, whatever kind it is and whoever wrote it, and a tombstone stays, so that devices that still have the
 * vault do not bring it back. One transaction: after a crash the vault is there, or the tombstone is.
 */
import type { Sql } from "../ports.ts";
import type { RoomKeys } from "./room-meta.ts";

const TOMBSTONE_DDL = `CREATE TABLE room_erased (lock INTEGER PRIMARY KEY CHECK (lock = 1), at_ms INTEGER NOT NULL) STRICT`;

/** Tables of the engine and of the platform, which nobody may drop. */
const NOT_OURS = /^(?:sqlite|_cf)_/;

function tableNames(sql: Sql): string[] {
  return sql.exec<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'table'`).map((row) => row.name);
}

/** When the vault was erased, epoch milliseconds, or null. */
export function readTombstone(sql: Sql): number | null {
  if (sql.exec(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'room_erased'`).length === 0) return null;
  return sql.exec<{ at_ms: number }>(`SELECT at_ms FROM room_erased`)[0]?.at_ms ?? null;
}

/** Removes all tables and all keys and writes the tombstone. A vault that is erased already keeps its first date, which is returned. */
export function eraseEverything(sql: Sql, keys: RoomKeys, atMs: number): number {
  const erasedAtMs = readTombstone(sql) ?? atMs;
  sql.transaction(() => {
    for (const name of tableNames(sql)) if (!NOT_OURS.test(name)) sql.exec(`DROP TABLE "${name.replaceAll('"', '""')}"`);
    keys.deleteAll();
    sql.exec(TOMBSTONE_DDL);
    sql.exec(`INSERT INTO room_erased (lock, at_ms) VALUES (1, ?)`, erasedAtMs);
  });
  return erasedAtMs;
}

/** Lets the vault begin anew. Returns whether there was a tombstone. */
export function liftTombstone(sql: Sql): boolean {
  if (readTombstone(sql) === null) return false;
  sql.exec(`DROP TABLE room_erased`);
  return true;
}
