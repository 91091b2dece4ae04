/**
 * The journal: one row per commit, the updates of one window side by side.
 *
 * A row is live when `seq = absorbed + slot`: a checkpoint raises `absorbed` and the next commits overwrite the slots from 1 on, so the journal is
 * emptied without a billed delete. What a crash leaves is the last committed row; a missing row between two live ones is a hole and is reported.
 *
 * Row data: var-uint count, then per update its var-uint length and bytes. Row summary: var-uint range count, then client, first clock, clocks per range;
 * then the row's new deletions in the wire form of a delete set; the last four bytes are the CRC-32 (little-endian) of all before.
 */
import { ByteReader, ByteWriter } from "../update/varint.ts";
import { type DeleteSet, decodeDeleteSet, encodeDeleteSet } from "../update/delete-set.ts";
import { type ClientRange, withDeletes } from "../update/news.ts";
import type { Checksum, Sql } from "../ports.ts";
import { DamagedRowError } from "./damage.ts";

/** What a wake knows of a row without reading its updates. */
export interface JournalRowSummary {
  readonly slot: number;
  readonly seq: number;
  readonly atMs: number;
  readonly byteLength: number;
  readonly ranges: readonly ClientRange[];
  readonly deletes: DeleteSet;
}

/** Rows that open found: live ones in order, and what is wrong. */
export interface JournalState {
  readonly rows: readonly JournalRowSummary[];
  /** Sequence numbers missing between live rows. */
  readonly gaps: readonly number[];
  /** Rows whose summary cannot be trusted. */
  readonly damaged: readonly DamagedRowError[];
}

export function encodeRowData(updates: readonly Uint8Array[]): Uint8Array {
  const out = new ByteWriter(updates.reduce((sum, update) => sum + update.byteLength + 5, 5));
  out.varUint(updates.length);
  for (const update of updates) {
    out.varUint(update.byteLength);
    out.bytes(update, 0, update.byteLength);
  }
  return out.finish();
}

export function encodeRowSummary(ranges: readonly ClientRange[], deletes: DeleteSet, checksum: Checksum): Uint8Array {
  const out = new ByteWriter();
  out.varUint(ranges.length);
  for (const range of ranges) {
    out.varUint(range.client);
    out.varUint(range.from);
    out.varUint(range.to - range.from);
  }
  const deleteBytes = encodeDeleteSet(deletes);
  out.bytes(deleteBytes, 0, deleteBytes.byteLength);
  const body = out.finish();
  const summary = new Uint8Array(body.byteLength + 4);
  summary.set(body);
  new DataView(summary.buffer).setUint32(body.byteLength, checksum(body), true);
  return summary;
}

function decodeRowSummary(bytes: Uint8Array, slot: number, checksum: Checksum): { ranges: ClientRange[]; deletes: DeleteSet } {
  if (bytes.byteLength < 5) throw new DamagedRowError({ kind: "journal", slot }, "row-unreadable");
  const body = bytes.subarray(0, bytes.byteLength - 4);
  const sum = new DataView(bytes.buffer, bytes.byteOffset + body.byteLength, 4).getUint32(0, true);
  if (checksum(body) !== sum) throw new DamagedRowError({ kind: "journal", slot }, "checksum-mismatch");
  const input = new ByteReader(body);
  const ranges: ClientRange[] = [];
  for (let left = input.varUint(); left > 0; left--) {
    const client = input.varUint();
    const from = input.varUint();
    ranges.push({ client, from, to: from + input.varUint() });
  }
  return { ranges, deletes: decodeDeleteSet(body, input.pos) };
}

/** Writes one row. Committed with the turn. The caller has checked the row cap. */
export function appendRow(
  sql: Sql,
  row: { slot: number; seq: number; atMs: number; sum: number; summary: Uint8Array; data: Uint8Array },
): void {
  sql.exec(
    `INSERT INTO room_journal (slot, seq, at_ms, sum, summary, data) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, at_ms = excluded.at_ms, sum = excluded.sum, summary = excluded.summary, data = excluded.data`,
    row.slot,
    row.seq,
    row.atMs,
    row.sum,
    row.summary,
    row.data,
  );
}

/**
 * Reads every live row's summary. Reads no update. Slots are filled from 1 on, so up to the last live one each must hold its own row: what lies there
 * instead is damage, whatever its `seq` says, and only an empty slot is a gap. Behind the last live one lie rows that were absorbed.
 */
export function readJournal(sql: Sql, absorbed: number, checksum: Checksum): JournalState {
  const stored = sql.exec<{ slot: number; seq: number; at_ms: number; bytes: number; summary: Uint8Array | null }>(
    `SELECT slot, seq, at_ms, length(data) AS bytes, CASE WHEN seq = ? + slot THEN summary END AS summary FROM room_journal ORDER BY slot`,
    absorbed,
  );
  // A row that claims to be later than it can be was live too.
  const last = stored.findLast((row) => row.seq > absorbed)?.slot ?? 0;
  const rows: JournalRowSummary[] = [];
  const gaps: number[] = [];
  const damaged: DamagedRowError[] = [];
  let expected = 1;
  for (const row of stored) {
    if (row.slot > last || row.slot < 1) continue;
    for (; expected < row.slot; expected++) gaps.push(absorbed + expected);
    expected = row.slot + 1;
    try {
      if (row.summary === null) throw new DamagedRowError({ kind: "journal", slot: row.slot }, "row-unreadable");
      rows.push({ slot: row.slot, seq: row.seq, atMs: row.at_ms, byteLength: row.bytes, ...decodeRowSummary(row.summary, row.slot, checksum) });
    } catch (error) {
      damaged.push(
        error instanceof DamagedRowError ? error : new DamagedRowError({ kind: "journal", slot: row.slot }, "row-unreadable", { cause: error }),
      );
    }
  }
  return { rows, gaps, damaged };
}

/** The updates of one row. @throws {DamagedRowError} */
export function readRow(sql: Sql, slot: number, seq: number, checksum: Checksum): Uint8Array[] {
  const row = sql.exec<{ seq: number; sum: number; data: Uint8Array }>(`SELECT seq, sum, data FROM room_journal WHERE slot = ?`, slot)[0];
  if (row === undefined || row.seq !== seq) throw new DamagedRowError({ kind: "journal", slot }, "row-missing");
  if (checksum(row.data) !== row.sum) throw new DamagedRowError({ kind: "journal", slot }, "checksum-mismatch");
  try {
    const input = new ByteReader(row.data);
    const updates: Uint8Array[] = [];
    for (let left = input.varUint(); left > 0; left--) {
      const length = input.varUint();
      const start = input.pos;
      input.skip(length);
      updates.push(row.data.subarray(start, start + length));
    }
    if (input.left > 0) throw new RangeError(`${input.left} bytes after the last update`);
    return updates;
  } catch (cause) {
    throw new DamagedRowError({ kind: "journal", slot }, "row-unreadable", { cause });
  }
}

/** The stored data of a row, unchecked, for setting it aside; null when the row is gone. */
export function readRowRaw(sql: Sql, slot: number): Uint8Array | null {
  return sql.exec<{ data: Uint8Array }>(`SELECT data FROM room_journal WHERE slot = ?`, slot)[0]?.data ?? null;
}

/** Puts a row without structs where one was lost, so that the sequence has no gap. Deletions that are still known stay. */
export function emptyRow(sql: Sql, checksum: Checksum, row: { slot: number; seq: number; atMs: number; deletes: DeleteSet }): JournalRowSummary {
  const data = encodeRowData(row.deletes.isEmpty ? [] : [withDeletes(null, row.deletes)]);
  const summary = encodeRowSummary([], row.deletes, checksum);
  appendRow(sql, { slot: row.slot, seq: row.seq, atMs: row.atMs, sum: checksum(data), summary, data });
  return { slot: row.slot, seq: row.seq, atMs: row.atMs, byteLength: data.byteLength, ranges: [], deletes: row.deletes };
}
