/**
 * Answers to a step 1, built from byte ranges (update laws, A4). One frame whenever it fits, because several damage rich text (T7) and show states that
 * never were (T8); above that, causal frames last first, each decided afresh from the index as it is then, so that a rewrite in between loses nothing (C12).
 */
import { LIMITS } from "../limits.ts";
import { type FramePlan, planCausalFrames, planFrame } from "../update/assemble.ts";
import type { Chunk, ChunkRun } from "../update/chunk.ts";
import { union } from "../update/delete-set.ts";
import type { ClientRange } from "../update/news.ts";
import { rewrite } from "../update/rewrite.ts";
import { SYNC_HEAD_ROOM, syncFrameInPlace } from "../protocol/frames.ts";
import { release } from "../release.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import type { CommitWindow } from "./commit-window.ts";

/** The next frame for one client. Nothing big is in memory before `create`. */
export interface ServeStep {
  /** Goes out as step 2 and completes the answer; others go out as updates before it. */
  readonly closing: boolean;
  /** About the bytes `create` returns, never too few. */
  readonly byteLength: number;
  /** Stored chunks it carries. */
  readonly chunkIds: readonly number[];
  /** The whole frame. @throws {DamagedRowError} when a chunk cannot be read. */
  create(): Uint8Array;
}

/** Tail chunks live only for one answer; negative ids keep them apart from stored ones. */
const FIRST_TAIL_ID = -1;

const EMPTY_DELETE_SET: Uint8Array = Uint8Array.of(0);

/**
 * Plans the next frame that brings a client with vector `has` up to everything the room knows.
 * @param sent chunks that earlier frames of this answer carried
 * @throws {DamagedRowError} when the delete set or the journal cannot be read.
 */
export function nextServeStep(store: VaultStore, window: CommitWindow, has: (client: number) => number, sent: ReadonlySet<number>): ServeStep {
  const entries = new Map(store.index.chunks.map((chunk) => [chunk.id, chunk]));
  const chunks: { id: number; runs: Iterable<ChunkRun> }[] = store.index.chunks.filter((chunk) => !sent.has(chunk.id));
  const readStored = (id: number): Uint8Array => store.readChunk(entries.get(id)!);
  const stored = planFrame(chunks, has);
  const isSplit = sent.size > 0 || stored.byteLength + tailBound(store, window) > LIMITS.maxServeFrameBytes;
  if (isSplit) {
    const frames = planCausalFrames(chunks, has, LIMITS.maxServeFrameBytes / 2);
    // Last first: the client keeps them pending and integrates all at once when the first chunk arrives.
    if (frames.length > 1) return stepOf(frames.at(-1)!, false, EMPTY_DELETE_SET, readStored);
  }
  const tail = tailChunks(store, window, has);
  const all = [...chunks, ...tail.map((chunk, position) => ({ id: FIRST_TAIL_ID - position, runs: chunk.runs }))];
  const plan = tail.length === 0 ? stored : planFrame(all, has);
  return stepOf(plan, true, store.encodeDeletes(window.deletes), (id) => (id < 0 ? tail[FIRST_TAIL_ID - id]!.bytes : readStored(id)));
}

function stepOf(plan: FramePlan, closing: boolean, deleteBytes: Uint8Array, read: (id: number) => Uint8Array): ServeStep {
  return {
    closing,
    byteLength: SYNC_HEAD_ROOM + plan.byteLength + deleteBytes.byteLength,
    chunkIds: plan.chunkIds.filter((id) => id >= 0),
    create: () => syncFrameInPlace(plan.create(deleteBytes, read, SYNC_HEAD_ROOM, releaseStored), closing),
  };
}

/** A stored chunk was read for this answer alone. */
function releaseStored(id: number, bytes: Uint8Array): void {
  if (id >= 0) release(bytes);
}

/** Bytes that journal, window and delete set add to a frame at most, without reading any of them. */
function tailBound(store: VaultStore, window: CommitWindow): number {
  const { index } = store;
  // Where deletions cut a struct, its parts get heads of their own.
  const structs = 2 * (store.journalBytes + window.byteLength);
  const stored = index.shards.reduce((sum, shard) => sum + shard.byteLength, index.deltaBytes);
  const recent = DELETE_RANGE_BYTES * (store.journalDeletes.rangeCount + window.deletes.rangeCount);
  return structs + stored + recent + SYNC_HEAD_ROOM;
}

/** Two clocks of up to eight bytes. */
const DELETE_RANGE_BYTES = 16;

/** Journal and window rewritten as chunks, when the client lacks any of it. */
function tailChunks(store: VaultStore, window: CommitWindow, has: (client: number) => number): Chunk[] {
  const lacks = (ranges: readonly ClientRange[]): boolean => ranges.some((range) => has(range.client) < range.to);
  const lacksJournal = store.journal.some((row) => lacks(row.ranges));
  const lacksWindow = lacks(window.ranges);
  const updates = [...(lacksJournal ? store.readJournalUpdates() : []), ...(lacksWindow ? window.updates : [])];
  if (updates.length === 0) return [];
  const clients = new Set([...(lacksJournal ? store.journal.flatMap((row) => row.ranges) : []), ...(lacksWindow ? window.ranges : [])].map((range) => range.client));
  return rewrite(
    updates.map((bytes) => ({ bytes, runs: null })),
    // What else was deleted the client is told by the delete set.
    { deletes: union(store.readDeletes(clients), window.deletes), chunkBytes: LIMITS.chunkBytes },
  );
}
