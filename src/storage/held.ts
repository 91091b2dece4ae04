/**
 * Structs behind a gap: stored as they came, in order of arrival, apart from the journal (update laws, T1 and T13). They are not served, not relayed and not in
 * the state vector until the gap closes; then they are placed like a fresh arrival and their rows go with that commit.
 */
import type { Checksum, Sql } from "../ports.ts";
import { DamagedRowError } from "./damage.ts";

/** One held update, without deletions. */
export interface HeldRow {
  readonly row: number;
  readonly update: Uint8Array;
}

/** All held rows in order of arrival, and those that fail their checksum. */
export function readHeld(sql: Sql, checksum: Checksum): { rows: HeldRow[]; damaged: DamagedRowError[] } {
  const rows: HeldRow[] = [];
  const damaged: DamagedRowError[] = [];
  for (const found of sql.exec<{ row: number; sum: number; data: Uint8Array }>(`SELECT row, sum, data FROM room_held ORDER BY row`)) {
    if (checksum(found.data) === found.sum) rows.push({ row: found.row, update: found.data });
    else damaged.push(new DamagedRowError({ kind: "held", row: found.row }, "checksum-mismatch"));
  }
  return { rows, damaged };
}

export function insertHeld(sql: Sql, checksum: Checksum, row: number, atMs: number, update: Uint8Array): HeldRow {
  sql.exec(`INSERT INTO room_held (row, at_ms, sum, data) VALUES (?, ?, ?, ?)`, row, atMs, checksum(update), update);
  return { row, update };
}

export function deleteHeld(sql: Sql, rows: readonly number[]): void {
  for (const row of rows) sql.exec(`DELETE FROM room_held WHERE row = ?`, row);
}

/** A held row's bytes, unchecked, for setting it aside. */
export function readHeldRaw(sql: Sql, row: number): Uint8Array | null {
  return sql.exec<{ data: Uint8Array }>(`SELECT data FROM room_held WHERE row = ?`, row)[0]?.data ?? null;
}
