/**
 * The index of a room: which chunks make up the vault, what each covers, where the delete set lies, and up to which journal row all of it reaches.
 * Small enough to read whole at every wake. Written in the transaction of each checkpoint, and by nothing else; twice, because nothing can be read without it.
 *
 * Bytes: var-uints throughout. format (1) · absorbed seq · next chunk id · next delete row · chunk count, then per chunk: id, part count, byte length, CRC-32,
 * deleted clocks since its rewrite, run count, then per run: client, clock, end - clock, struct count, byte length (offsets follow, runs lie
 * back to back), then the byte length of its cut points and these ·
 * delete delta bytes · shard count, then per shard: row, first client, continues (0 or 1), byte length, range count · hash count, then per client: client, hash, deleted clocks · lost
 * range count, then per range: client, first clock, clocks · 0, or 1 and the healers: client count, then per client: client, end ·
 * lost deletions like the hashes.
 */
import { ByteReader, ByteWriter } from "../update/varint.ts";
import type { ChunkRun } from "../update/chunk.ts";
import { type CutPoints, decodeCutPoints, encodeCutPoints } from "../update/cut-points.ts";
import { RunList } from "../update/run-list.ts";
import { LIMITS } from "../limits.ts";
import type { Checksum, Sql } from "../ports.ts";
import type { ClientRange } from "../update/news.ts";
import { type DamageReason, DamagedRowError } from "./damage.ts";
import { joinParts, splitParts } from "./parts.ts";

const FORMAT = 1;

/** One chunk of the vault, as the index knows it. */
export interface ChunkEntry {
  readonly id: number;
  readonly parts: number;
  readonly byteLength: number;
  /** CRC-32 of the whole chunk. */
  readonly sum: number;
  /** Clocks deleted in it since it was last rewritten; policy for compaction. */
  deletedClocks: number;
  /** Clocks inside its structs that later structs refer to: where to split at its next rewrite, so that no loading client has to (update laws, A2, A7). */
  readonly cuts: CutPoints;
  readonly runs: RunList;
}

/** One row of the delete set's base: clients from `firstClient` up to the next shard's. */
export interface DeleteShard {
  readonly row: number;
  readonly firstClient: number;
  /** Whether the first client's ranges began in the shard before. */
  readonly continues: boolean;
  readonly byteLength: number;
  readonly rangeCount: number;
}

export interface RoomIndex {
  /** Highest journal `seq` that is contained in the chunks. */
  readonly absorbed: number;
  readonly nextChunkId: number;
  readonly nextDeleteRow: number;
  /** In causal order: a chunk depends on nothing after it. The last may be the open tail. */
  readonly chunks: readonly ChunkEntry[];
  /** Bytes of the delta row, 0 when there is none. */
  readonly deltaBytes: number;
  /** Ascending by `firstClient`. */
  readonly shards: readonly DeleteShard[];
  /** Per client with deletions: of its canonical ranges, base and delta together, journal left out. */
  readonly hashes: ReadonlyMap<number, DeleteFingerprint>;
  /** Clocks whose row was damaged and set aside. Those that a client has brought back since are no longer missing. */
  readonly lost: readonly ClientRange[];
  /**
   * Not null while a row is lost that may have held anything (a missing journal row, a delete shard): per client the end a connecting client must have to
   * count as one that has what was lost. What the room knew when it noticed, so that edits stored since shut nobody out.
   */
  readonly healers: ReadonlyMap<number, number> | null;
  /** Per client whose stored deletions were lost: what they were. A state vector does not show who has them. */
  readonly lostDeletes: ReadonlyMap<number, DeleteFingerprint>;
}

export const EMPTY_INDEX: RoomIndex = {
  absorbed: 0,
  nextChunkId: 1,
  nextDeleteRow: 2,
  chunks: [],
  deltaBytes: 0,
  shards: [],
  hashes: new Map(),
  lost: [],
  healers: null,
  lostDeletes: new Map(),
};

/** What one client's deletions were, without them. */
export interface DeleteFingerprint {
  /** `clientHash` of the canonical ranges. */
  readonly hash: number;
  /** Clocks they cover. */
  readonly clocks: number;
}

function writeFingerprints(out: ByteWriter, fingerprints: ReadonlyMap<number, DeleteFingerprint>): void {
  out.varUint(fingerprints.size);
  for (const [client, { hash, clocks }] of fingerprints) {
    out.varUint(client);
    out.varUint(hash);
    out.varUint(clocks);
  }
}

function readFingerprints(input: ByteReader): Map<number, DeleteFingerprint> {
  const fingerprints = new Map<number, DeleteFingerprint>();
  for (let left = input.varUint(); left > 0; left--) fingerprints.set(input.varUint(), { hash: input.varUint(), clocks: input.varUint() });
  return fingerprints;
}

/** Bytes of the index as stored. */
export function encodeIndex(index: RoomIndex): Uint8Array {
  const out = new ByteWriter();
  out.varUint(FORMAT);
  out.varUint(index.absorbed);
  out.varUint(index.nextChunkId);
  out.varUint(index.nextDeleteRow);
  out.varUint(index.chunks.length);
  for (const chunk of index.chunks) {
    out.varUint(chunk.id);
    out.varUint(chunk.parts);
    out.varUint(chunk.byteLength);
    out.varUint(chunk.sum);
    out.varUint(chunk.deletedClocks);
    out.varUint(chunk.runs.length);
    for (const run of chunk.runs) {
      out.varUint(run.client);
      out.varUint(run.clock);
      out.varUint(run.end - run.clock);
      out.varUint(run.structCount);
      out.varUint(run.byteLength);
    }
    const cuts = encodeCutPoints(chunk.cuts);
    out.varUint(cuts.byteLength);
    out.bytes(cuts);
  }
  out.varUint(index.deltaBytes);
  out.varUint(index.shards.length);
  for (const shard of index.shards) {
    out.varUint(shard.row);
    out.varUint(shard.firstClient);
    out.varUint(shard.continues ? 1 : 0);
    out.varUint(shard.byteLength);
    out.varUint(shard.rangeCount);
  }
  writeFingerprints(out, index.hashes);
  out.varUint(index.lost.length);
  for (const range of index.lost) {
    out.varUint(range.client);
    out.varUint(range.from);
    out.varUint(range.to - range.from);
  }
  out.varUint(index.healers === null ? 0 : 1);
  if (index.healers !== null) {
    out.varUint(index.healers.size);
    for (const [client, end] of index.healers) {
      out.varUint(client);
      out.varUint(end);
    }
  }
  writeFingerprints(out, index.lostDeletes);
  return out.finish();
}

/** @throws {DamagedRowError} when the bytes are not an index of a known format. */
export function decodeIndex(bytes: Uint8Array): RoomIndex {
  const damaged = (cause: unknown): DamagedRowError => new DamagedRowError({ kind: "index" }, "row-unreadable", { cause });
  try {
    const input = new ByteReader(bytes);
    const format = input.varUint();
    if (format !== FORMAT) throw new RangeError(`index format ${format} is unknown`);
    const absorbed = input.varUint();
    const nextChunkId = input.varUint();
    const nextDeleteRow = input.varUint();
    const chunks: ChunkEntry[] = [];
    for (let left = input.varUint(); left > 0; left--) {
      const id = input.varUint();
      const parts = input.varUint();
      const byteLength = input.varUint();
      const sum = input.varUint();
      const deletedClocks = input.varUint();
      const runs: ChunkRun[] = [];
      let offset = 0;
      for (let runsLeft = input.varUint(); runsLeft > 0; runsLeft--) {
        const client = input.varUint();
        const clock = input.varUint();
        const end = clock + input.varUint();
        const structCount = input.varUint();
        const runBytes = input.varUint();
        runs.push({ client, clock, end, structCount, offset, byteLength: runBytes });
        offset += runBytes;
      }
      const cutBytes = input.varUint();
      const cutStart = input.pos;
      input.skip(cutBytes);
      const cuts = decodeCutPoints(bytes.subarray(cutStart, cutStart + cutBytes));
      chunks.push({ id, parts, byteLength, sum, deletedClocks, cuts, runs: RunList.from(runs) });
    }
    const deltaBytes = input.varUint();
    const shards: DeleteShard[] = [];
    for (let left = input.varUint(); left > 0; left--) {
      shards.push({
        row: input.varUint(),
        firstClient: input.varUint(),
        continues: input.varUint() === 1,
        byteLength: input.varUint(),
        rangeCount: input.varUint(),
      });
    }
    const hashes = readFingerprints(input);
    const lost: ClientRange[] = [];
    for (let left = input.varUint(); left > 0; left--) {
      const client = input.varUint();
      const from = input.varUint();
      lost.push({ client, from, to: from + input.varUint() });
    }
    const healers = input.varUint() === 0 ? null : new Map<number, number>();
    if (healers !== null) for (let left = input.varUint(); left > 0; left--) healers.set(input.varUint(), input.varUint());
    const lostDeletes = readFingerprints(input);
    if (input.left > 0) throw new RangeError(`${input.left} bytes after the index`);
    return { absorbed, nextChunkId, nextDeleteRow, chunks, deltaBytes, shards, hashes, lost, healers, lostDeletes };
  } catch (cause) {
    throw damaged(cause);
  }
}

/** Two copies, written together. Tables of their own, so that no page of the database holds both. */
const COPY_TABLES = { 1: "room_index", 2: "room_index_copy" } as const;

type CopyNumber = keyof typeof COPY_TABLES;

/**
 * Reads the index. The second copy is read only when the first cannot be trusted; then `damaged` names the first, and `writeIndex` makes both sound again.
 * @throws {DamagedRowError} when neither copy can be trusted.
 */
export function readIndex(sql: Sql, checksum: Checksum): { index: RoomIndex; damaged: DamagedRowError[] } {
  const first = readCopy(sql, checksum, 1);
  if (!(first instanceof DamagedRowError)) return { index: first, damaged: [] };
  const second = readCopy(sql, checksum, 2);
  if (!(second instanceof DamagedRowError)) return { index: second, damaged: [first] };
  throw new DamagedRowError({ kind: "index" }, first.reason, { cause: first });
}

/** The index as one copy has it, or what is wrong with that. */
function readCopy(sql: Sql, checksum: Checksum, copy: CopyNumber): RoomIndex | DamagedRowError {
  const damaged = (reason: DamageReason, cause?: unknown): DamagedRowError => new DamagedRowError({ kind: "index", copy }, reason, { cause });
  const rows = sql.exec<{ part: number; sum: number; data: Uint8Array }>(`SELECT part, sum, data FROM ${COPY_TABLES[copy]} ORDER BY part`);
  if (rows.length === 0) return damaged("row-missing");
  for (const [position, row] of rows.entries()) {
    if (row.part !== position) return damaged("row-missing");
    // Each part's sum goes over the part alone; the last part says how many there are through the decoder's end check.
    if (checksum(row.data) !== row.sum) return damaged("checksum-mismatch");
  }
  try {
    return decodeIndex(joinParts(rows.map((row) => row.data)));
  } catch (cause) {
    return damaged("row-unreadable", cause);
  }
}

/** The stored parts of one copy, unchecked, for setting it aside. */
export function readIndexRaw(sql: Sql, copy: CopyNumber): Uint8Array[] {
  return sql.exec<{ data: Uint8Array }>(`SELECT data FROM ${COPY_TABLES[copy]} ORDER BY part`).map((row) => row.data);
}

/** Writes both copies of the index over the old ones. Call inside the transaction that publishes what it names. */
export function writeIndex(sql: Sql, checksum: Checksum, index: RoomIndex): void {
  const parts = splitParts(encodeIndex(index), LIMITS.chunkBytes);
  for (const table of Object.values(COPY_TABLES)) {
    for (const [part, data] of parts.entries()) {
      sql.exec(
        `INSERT INTO ${table} (part, sum, data) VALUES (?, ?, ?) ON CONFLICT (part) DO UPDATE SET sum = excluded.sum, data = excluded.data`,
        part,
        checksum(data),
        data,
      );
    }
    sql.exec(`DELETE FROM ${table} WHERE part >= ?`, parts.length);
  }
}
