/** Rows that could not be trusted, kept with their bytes: nothing of the room reads them again, a human may. */
import type { Sql } from "../ports.ts";
import { type DamagedRowError, describeOrigin } from "./damage.ts";

/** One row set aside, without its bytes. */
export interface DamagedRow {
  readonly atMs: number;
  readonly origin: string;
  readonly reason: string;
  readonly byteLength: number;
}

/** Keeps `data`. Call inside the transaction that takes the row out of use. */
export function keepDamaged(sql: Sql, atMs: number, error: DamagedRowError, data: Uint8Array): void {
  sql.exec(`INSERT INTO room_damaged (at_ms, origin, reason, data) VALUES (?, ?, ?, ?)`, atMs, describeOrigin(error.origin), error.reason, data);
}

/** All rows set aside, newest first. */
export function listDamaged(sql: Sql): DamagedRow[] {
  return sql
    .exec<{ at_ms: number; origin: string; reason: string; bytes: number }>(
      `SELECT at_ms, origin, reason, length(data) AS bytes FROM room_damaged ORDER BY row DESC LIMIT 100`,
    )
    .map((row) => ({ atMs: row.at_ms, origin: row.origin, reason: row.reason, byteLength: row.bytes }));
}
