/**
 * The delete set as stored: a base in shards by client range, and a delta since the last fold (update laws, A6).
 * Deletions grow for ever and scatter over all clients, so the base is not rewritten at each checkpoint: the small delta is, until it passes a quarter
 * of the base. Nothing is kept in memory between calls; what is not yet absorbed into the delta lives in the journal, with the vault store.
 */
import { LIMITS } from "../limits.ts";
import type { Checksum, Sql } from "../ports.ts";
import { type DeleteSet, DeleteSetBuilder, clientHash, clockCount, decodeDeleteSet, encodeDeleteSet, giveBack, union, unionSteps } from "../update/delete-set.ts";
import { joinDeleteSets } from "../update/join-delete-sets.ts";
import { ELEMENT_WORK, Pacer, STRUCT_WORK, withoutPauses } from "../update/pacer.ts";
import { DamagedRowError } from "./damage.ts";
import type { DeleteShard, RoomIndex } from "./room-index.ts";

const DELTA_ROW = 1;

/** Work between two pauses (`pacer.ts`): some 5 ms. */
const PAUSE_EVERY_WORK = 1024 * 1024;

/** Part of the index this store owns. */
export type DeleteDirectory = Pick<RoomIndex, "deltaBytes" | "shards" | "nextDeleteRow" | "hashes">;

function readDeleteBytes(sql: Sql, checksum: Checksum, row: number): Uint8Array {
  const found = sql.exec<{ sum: number; data: Uint8Array }>(`SELECT sum, data FROM room_deletes WHERE row = ?`, row)[0];
  if (found === undefined) throw new DamagedRowError({ kind: "deletes", row }, "row-missing");
  if (checksum(found.data) !== found.sum) throw new DamagedRowError({ kind: "deletes", row }, "checksum-mismatch");
  return found.data;
}

function readDeleteRow(sql: Sql, checksum: Checksum, row: number): DeleteSet {
  const bytes = readDeleteBytes(sql, checksum, row);
  try {
    return decodeDeleteSet(bytes, 0);
  } catch (cause) {
    throw new DamagedRowError({ kind: "deletes", row }, "row-unreadable", { cause });
  }
}

/** All stored deletions and `more`, encoded as at the end of an update. Shards are copied, only the delta is decoded. @throws {DamagedRowError} */
export function encodeStoredDeletes(sql: Sql, checksum: Checksum, directory: DeleteDirectory, more: DeleteSet): Uint8Array {
  const overlay = directory.deltaBytes > 0 ? union(readDeleteRow(sql, checksum, DELTA_ROW), more) : more;
  const shards = directory.shards.map((shard) => readDeleteBytes(sql, checksum, shard.row));
  try {
    return joinDeleteSets(shards, overlay);
  } catch (cause) {
    // Whichever it is: reading them one by one names it.
    for (const shard of directory.shards) readDeleteRow(sql, checksum, shard.row);
    throw cause;
  }
}

function writeDeleteRow(sql: Sql, checksum: Checksum, row: number, bytes: Uint8Array): void {
  sql.exec(
    `INSERT INTO room_deletes (row, sum, data) VALUES (?, ?, ?) ON CONFLICT (row) DO UPDATE SET sum = excluded.sum, data = excluded.data`,
    row,
    checksum(bytes),
    bytes,
  );
}

/** Stored deletions of these clients, or of all when none are named. Reads the delta and the shards concerned only. @throws {DamagedRowError} */
export function readDeletes(sql: Sql, checksum: Checksum, directory: DeleteDirectory, clients?: Iterable<number>): DeleteSet {
  return withoutPauses(readDeletesSteps(sql, checksum, directory, clients));
}

/** The same with a pause after each row. */
export function* readDeletesSteps(sql: Sql, checksum: Checksum, directory: DeleteDirectory, clients?: Iterable<number>): Generator<null, DeleteSet> {
  const parts: DeleteSet[] = [];
  if (directory.deltaBytes > 0) parts.push(readDeleteRow(sql, checksum, DELTA_ROW));
  const rows = clients === undefined ? directory.shards.map((shard) => shard.row) : shardRows(directory.shards, clients);
  for (const row of rows) {
    parts.push(readDeleteRow(sql, checksum, row));
    yield null;
  }
  const all = yield* unionSteps(parts, new Pacer(PAUSE_EVERY_WORK));
  for (const part of parts) giveBack(part, all);
  return all;
}

function shardRows(shards: readonly DeleteShard[], clients: Iterable<number>): Set<number> {
  const rows = new Set<number>();
  for (const client of clients) {
    let low = 0;
    let high = shards.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (shards[middle]!.firstClient <= client) low = middle + 1;
      else high = middle;
    }
    for (let at = low - 1; at >= 0; at--) {
      const shard = shards[at]!;
      rows.add(shard.row);
      if (!(shard.continues && shard.firstClient === client)) break;
    }
  }
  return rows;
}

/** Deletions on their way into the store. */
export interface AbsorbedDeletes {
  /** To write into the index. */
  readonly directory: DeleteDirectory;
  /** The new delta row; null when nothing is written to it. */
  readonly delta: Uint8Array | null;
  /** Whether shards were written that replace others. */
  readonly folded: boolean;
}

/**
 * Prepares that `added` joins what is stored, with pauses. A fold writes the shards it changes to rows nothing names yet, so the work may be dropped at
 * any pause; {@link publishDeletes} makes it count. The tables must exist.
 * `all` must hold every stored deletion of the clients in `added`, `added` included: the new hashes are computed from it.
 * @throws {DamagedRowError}
 */
export function* absorbDeletes(sql: Sql, checksum: Checksum, directory: DeleteDirectory, added: DeleteSet, all: DeleteSet): Generator<null, AbsorbedDeletes> {
  if (added.isEmpty) return { directory, delta: null, folded: false };
  const pacer = new Pacer(PAUSE_EVERY_WORK);
  const hashes = new Map(directory.hashes);
  for (const client of added.clients()) {
    const ranges = all.ranges(client);
    if (ranges === undefined) continue;
    hashes.set(client, { hash: clientHash(ranges), clocks: clockCount(ranges) });
    pacer.spend(STRUCT_WORK + ranges.length * ELEMENT_WORK);
    yield* pacer.pause();
  }
  const delta = directory.deltaBytes > 0 ? yield* unionSteps([readDeleteRow(sql, checksum, DELTA_ROW), added], pacer) : added;
  yield null;
  const deltaBytes = encodeDeleteSet(delta);
  const baseBytes = directory.shards.reduce((sum, shard) => sum + shard.byteLength, 0);
  if (deltaBytes.byteLength <= Math.max(LIMITS.deleteDeltaBytes, baseBytes / 4)) {
    return { directory: { ...directory, deltaBytes: deltaBytes.byteLength, hashes }, delta: deltaBytes, folded: false };
  }
  yield null;
  return { directory: { ...(yield* fold(sql, checksum, directory, delta)), hashes }, delta: null, folded: true };
}

/** Writes the delta, or removes what a fold has replaced and what dropped folds have left. Call inside the transaction that writes the index. */
export function publishDeletes(sql: Sql, checksum: Checksum, absorbed: AbsorbedDeletes): void {
  if (absorbed.delta !== null) writeDeleteRow(sql, checksum, DELTA_ROW, absorbed.delta);
  if (!absorbed.folded) return;
  const named = new Set(absorbed.directory.shards.map((shard) => shard.row));
  for (const { row } of sql.exec<{ row: number }>(`SELECT row FROM room_deletes`)) {
    if (!named.has(row)) sql.exec(`DELETE FROM room_deletes WHERE row = ?`, row);
  }
}

/** A row's bytes, unchecked, for setting it aside; null when it is gone. */
export function readDeletesRaw(sql: Sql, row: number): Uint8Array | null {
  return sql.exec<{ data: Uint8Array }>(`SELECT data FROM room_deletes WHERE row = ?`, row)[0]?.data ?? null;
}

/**
 * The directory without a lost row. Its clients' hashes go too, so that the next client that sends their deletions is believed.
 * Call inside the transaction that sets the row aside.
 */
export function withoutDeleteRow(sql: Sql, directory: DeleteDirectory, row: number): DeleteDirectory {
  sql.exec(`DELETE FROM room_deletes WHERE row = ?`, row);
  if (row === DELTA_ROW) return { ...directory, deltaBytes: 0, hashes: new Map() };
  const at = directory.shards.findIndex((shard) => shard.row === row);
  const from = directory.shards[at]?.firstClient ?? 0;
  const upTo = directory.shards[at + 1]?.firstClient ?? Infinity;
  const hashes = new Map([...directory.hashes].filter(([client]) => client < from || client > upTo));
  const shards = directory.shards.filter((_, position) => position !== at);
  // The new first shard answers for every lower client, and what continued in the lost one begins with its neighbour.
  if (at >= 0 && at < shards.length) {
    shards[at] = { ...shards[at]!, continues: at > 0 && shards[at]!.continues, firstClient: at === 0 ? 0 : shards[at]!.firstClient };
  }
  return { ...directory, shards, hashes };
}

/** Writes the shards the delta touches anew, with it; what has grown too large is cut. Shards that share a client are rewritten together. */
function* fold(sql: Sql, checksum: Checksum, directory: DeleteDirectory, delta: DeleteSet): Generator<null, Omit<DeleteDirectory, "hashes">> {
  const shards: DeleteShard[] = [];
  let nextDeleteRow = directory.nextDeleteRow;
  const groups = groupShards(directory.shards);
  const deltaClients = [...delta.clients()].sort((a, b) => a - b);
  let position = 0;
  for (const [index, group] of groups.entries()) {
    const upTo = groups[index + 1]?.[0]?.firstClient ?? Infinity;
    const mine = new DeleteSetBuilder();
    let touched = false;
    for (; position < deltaClients.length && deltaClients[position]! < upTo; position++) {
      touched = true;
      addClient(mine, delta, deltaClients[position]!);
    }
    if (!touched) {
      shards.push(...group);
      continue;
    }
    const merged = union(mine.build(), ...group.map((shard) => readDeleteRow(sql, checksum, shard.row)));
    for (const piece of cutToShards(merged)) {
      const row = nextDeleteRow++;
      const bytes = encodeDeleteSet(piece.set);
      writeDeleteRow(sql, checksum, row, bytes);
      // The first shard answers for every client below its neighbour, so that a new low client has a place.
      const firstClient = shards.length === 0 ? 0 : piece.firstClient;
      shards.push({ row, firstClient, continues: piece.continues, byteLength: bytes.byteLength, rangeCount: piece.set.rangeCount });
      yield null;
    }
  }
  return { deltaBytes: 0, shards, nextDeleteRow };
}

/** Consecutive shards that continue one client belong together; an empty base is one empty group. */
function groupShards(shards: readonly DeleteShard[]): DeleteShard[][] {
  const groups: DeleteShard[][] = [];
  for (const shard of shards) {
    if (shard.continues) groups.at(-1)!.push(shard);
    else groups.push([shard]);
  }
  return groups.length === 0 ? [[]] : groups;
}

function addClient(builder: DeleteSetBuilder, set: DeleteSet, client: number): void {
  const ranges = set.ranges(client)!;
  for (let at = 0; at < ranges.length; at += 2) builder.add(client, ranges[at]!, ranges[at + 1]! - ranges[at]!);
}

/** Bytes a range takes at most as stored: two var-uints of clock differences, rarely above five bytes together. */
const RANGE_BYTES = 5;

/**
 * Cuts a set into pieces of about the same size, up to the shard size and one client more. Inside a client it cuts only where one has more than a shard
 * holds, since shards that share a client are folded together.
 */
function* cutToShards(set: DeleteSet): Generator<{ firstClient: number; continues: boolean; set: DeleteSet }> {
  const total = set.rangeCount * RANGE_BYTES;
  const enough = total / Math.ceil(total / LIMITS.deleteShardBytes);
  let builder = new DeleteSetBuilder();
  let estimate = 0;
  let firstClient = 0;
  let continues = false;
  for (const client of [...set.clients()].sort((a, b) => a - b)) {
    const ranges = set.ranges(client)!;
    const isLarge = (ranges.length / 2) * RANGE_BYTES > LIMITS.deleteShardBytes;
    for (let at = 0; at < ranges.length; at += 2) {
      const isEnough = at === 0 ? estimate >= enough || (isLarge && estimate > 0) : isLarge && estimate >= LIMITS.deleteShardBytes;
      if (isEnough) {
        yield { firstClient, continues, set: builder.build() };
        builder = new DeleteSetBuilder();
        estimate = 0;
      }
      if (estimate === 0) {
        firstClient = client;
        continues = at > 0;
      }
      builder.add(client, ranges[at]!, ranges[at + 1]! - ranges[at]!);
      estimate += RANGE_BYTES;
    }
  }
  if (estimate > 0) yield { firstClient, continues, set: builder.build() };
}
