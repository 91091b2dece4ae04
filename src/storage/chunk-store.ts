/** Chunks as rows: one row up to the BLOB limit, part rows above it (a single struct can be larger than a row: update laws, A8). */
import { LIMITS } from "../limits.ts";
import type { Checksum, Sql } from "../ports.ts";
import type { ChunkEntry } from "./room-index.ts";
import { DamagedRowError } from "./damage.ts";
import { joinParts, splitParts } from "./parts.ts";

/** Rows per chunk id: 64 parts of over a megabyte hold more than the largest frame. */
const PARTS_PER_CHUNK = 64;
const PART_BYTES = LIMITS.maxBlobBytes;

if (PARTS_PER_CHUNK * PART_BYTES < 2 * LIMITS.maxFrameBytes) throw new Error("chunk-store: a chunk must hold the largest struct");

/** Writes `bytes` as chunk `id`, over whatever stood there. Returns the part count and the checksum for the index. */
export function writeChunk(sql: Sql, checksum: Checksum, id: number, bytes: Uint8Array): { parts: number; sum: number } {
  const parts = splitParts(bytes, PART_BYTES);
  for (const [part, slice] of parts.entries()) {
    sql.exec(
      `INSERT INTO room_chunk (row, sum, data) VALUES (?, ?, ?) ON CONFLICT (row) DO UPDATE SET sum = excluded.sum, data = excluded.data`,
      id * PARTS_PER_CHUNK + part,
      checksum(slice),
      slice,
    );
  }
  return { parts: parts.length, sum: checksum(bytes) };
}

/** Bytes of a chunk, checked. @throws {DamagedRowError} when a part is missing or any checksum differs. */
export function readChunk(sql: Sql, checksum: Checksum, entry: ChunkEntry): Uint8Array {
  const origin = { kind: "chunk", id: entry.id } as const;
  const first = entry.id * PARTS_PER_CHUNK;
  const rows = sql.exec<{ row: number; sum: number; data: Uint8Array }>(
    `SELECT row, sum, data FROM room_chunk WHERE row >= ? AND row < ? ORDER BY row`,
    first,
    first + entry.parts,
  );
  if (rows.length !== entry.parts) throw new DamagedRowError(origin, "row-missing");
  const bytes = joinParts(rows.map((row) => row.data));
  if (bytes.byteLength !== entry.byteLength || checksum(bytes) !== entry.sum) throw new DamagedRowError(origin, "checksum-mismatch");
  return bytes;
}

/** The stored bytes of a chunk, unchecked, part by part, for setting a damaged one aside. */
export function readChunkRaw(sql: Sql, id: number, parts: number): Uint8Array[] {
  const first = id * PARTS_PER_CHUNK;
  return sql.exec<{ data: Uint8Array }>(`SELECT data FROM room_chunk WHERE row >= ? AND row < ? ORDER BY row`, first, first + parts).map((row) => row.data);
}

/** Removes every chunk that `keep` does not name: what a crash left of a staged checkpoint, and what a rewrite replaced. */
export function dropChunksExcept(sql: Sql, keep: ReadonlyMap<number, number>): number {
  let dropped = 0;
  for (const { row } of sql.exec<{ row: number }>(`SELECT row FROM room_chunk`)) {
    const id = Math.floor(row / PARTS_PER_CHUNK);
    if (row - id * PARTS_PER_CHUNK < (keep.get(id) ?? 0)) continue;
    sql.exec(`DELETE FROM room_chunk WHERE row = ?`, row);
    dropped += 1;
  }
  return dropped;
}
