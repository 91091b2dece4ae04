/** The last errors of a room, kept over restarts: a ring of rows, written only when something went wrong. */
import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";

export interface StoredError {
  readonly atMs: number;
  readonly event: string;
  readonly detail: string;
}

/** Characters of detail kept. */
const MAX_DETAIL_CHARS = 500;

/** Overwrites the oldest entry once the ring is full. */
export function recordError(sql: Sql, atMs: number, event: string, detail: string): void {
  // By number and not by time: clocks are set back.
  const number = (sql.exec<{ last: number | null }>(`SELECT max(number) AS last FROM room_errors`)[0]?.last ?? 0) + 1;
  sql.exec(
    `INSERT INTO room_errors (slot, number, at_ms, event, detail) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (slot) DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms, event = excluded.event, detail = excluded.detail`,
    number % LIMITS.storedErrorEntries,
    number,
    atMs,
    event,
    detail.slice(0, MAX_DETAIL_CHARS),
  );
}

/** Newest first. */
export function listErrors(sql: Sql): StoredError[] {
  return sql
    .exec<{ at_ms: number; event: string; detail: string }>(`SELECT at_ms, event, detail FROM room_errors ORDER BY number DESC`)
    .map((row) => ({ atMs: row.at_ms, event: row.event, detail: row.detail }));
}
