/**
 * Structs behind a gap: stored as they came, in order of arrival, apart from the journal (update laws, T1 and T13). They are not served, not relayed and not in
 * the state vector until the gap closes; then they are placed like a fresh arrival and their rows go with that commit.
 *
 * An update larger than a row lies in part rows (offline edits and a huge paste after them, while the room waits for the edits before). Every part has its own
 * checksum and the number of parts, so that a missing one is noticed by any that is left.
 */
import { LIMITS } from "../limits.ts";
import type { Checksum, Sql } from "../ports.ts";
import { DamagedRowError } from "./damage.ts";
import { joinParts, splitParts } from "./parts.ts";

/** One held update, without deletions. `row` is its number in the order of arrival. */
export interface HeldRow {
  readonly row: number;
  readonly update: Uint8Array;
}

/** Row keys per held update: the part rows of number n have the keys from n times this on. */
const PARTS_PER_UPDATE = 64;
const PART_BYTES = LIMITS.maxBlobBytes;

if (PARTS_PER_UPDATE * PART_BYTES < LIMITS.maxPendingBytes) throw new Error("held: the parts of one update must hold all that may be held");

/** All held updates in order of arrival, and those of which a part is missing or fails its checksum. */
export function readHeld(sql: Sql, checksum: Checksum): { rows: HeldRow[]; damaged: DamagedRowError[] } {
  const updates = new Map<number, { parts: number; isSound: boolean; data: Uint8Array[] }>();
  for (const found of sql.exec<{ key: number; parts: number; sum: number; data: Uint8Array }>(
    `SELECT key, parts, sum, data FROM room_held ORDER BY key`,
  )) {
    const row = Math.floor(found.key / PARTS_PER_UPDATE);
    const update = updates.get(row) ?? { parts: found.parts, isSound: true, data: [] };
    updates.set(row, update);
    update.data.push(found.data);
    if (checksum(found.data) !== found.sum || found.parts !== update.parts) update.isSound = false;
  }
  const rows: HeldRow[] = [];
  const damaged: DamagedRowError[] = [];
  for (const [row, { parts, isSound, data }] of updates) {
    if (data.length !== parts) damaged.push(new DamagedRowError({ kind: "held", row }, "row-missing"));
    else if (!isSound) damaged.push(new DamagedRowError({ kind: "held", row }, "checksum-mismatch"));
    else rows.push({ row, update: joinParts(data) });
  }
  return { rows, damaged };
}

/** Stores one update under a number that is not taken. Call inside the transaction of its commit. */
export function insertHeld(sql: Sql, checksum: Checksum, row: number, atMs: number, update: Uint8Array): HeldRow {
  const parts = splitParts(update, PART_BYTES);
  for (const [part, data] of parts.entries()) {
    sql.exec(
      `INSERT INTO room_held (key, at_ms, parts, sum, data) VALUES (?, ?, ?, ?, ?)`,
      row * PARTS_PER_UPDATE + part,
      atMs,
      parts.length,
      checksum(data),
      data,
    );
  }
  return { row, update };
}

export function deleteHeld(sql: Sql, rows: readonly number[]): void {
  for (const row of rows) sql.exec(`DELETE FROM room_held WHERE key >= ? AND key < ?`, row * PARTS_PER_UPDATE, (row + 1) * PARTS_PER_UPDATE);
}

/** What is left of a held update's parts, unchecked, for setting it aside. */
export function readHeldRaw(sql: Sql, row: number): Uint8Array[] {
  return sql
    .exec<{ data: Uint8Array }>(`SELECT data FROM room_held WHERE key >= ? AND key < ? ORDER BY key`, row * PARTS_PER_UPDATE, (row + 1) * PARTS_PER_UPDATE)
    .map((found) => found.data);
}
