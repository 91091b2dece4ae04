/**
 * Answers to a step 1, built from byte ranges (update laws, A4). One frame whenever it fits, because several damage rich text (T7) and show states that
 * never were (T8). Reads what the client lacks, one chunk at a time, and the delete set.
 */
import { LIMITS } from "../limits.ts";
import { planCausalFrames, planFrame } from "../update/assemble.ts";
import type { Chunk, ChunkRun } from "../update/chunk.ts";
import { encodeDeleteSet } from "../update/delete-set.ts";
import { rewrite } from "../update/rewrite.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import type { CommitWindow } from "./commit-window.ts";
import { knownDeletes } from "./ingest.ts";

/** One update to send; `closing` goes out as step 2, those before it as updates. */
export interface ServedUpdate {
  readonly closing: boolean;
  readonly update: Uint8Array;
}

/** Tail chunks live only for one answer; negative ids keep them apart from stored ones. */
const FIRST_TAIL_ID = -1;

/**
 * Yields the updates that bring a client with vector `has` up to everything the room knows, in sending order. At most one big buffer exists at a time
 * when the caller drops each before asking for the next.
 * @throws {DamagedRowError} when something the client needs cannot be read.
 */
export function* serve(store: VaultStore, window: CommitWindow, has: (client: number) => number): Generator<ServedUpdate, void> {
  const deletes = knownDeletes(store, window);
  const deleteBytes = encodeDeleteSet(deletes);
  const tail = tailChunks(store, window, has, deletes);
  const chunks: { id: number; runs: readonly ChunkRun[] }[] = store.index.chunks.map((chunk) => ({ id: chunk.id, runs: chunk.runs }));
  for (const [position, chunk] of tail.entries()) chunks.push({ id: FIRST_TAIL_ID - position, runs: chunk.runs });
  const entries = new Map(store.index.chunks.map((chunk) => [chunk.id, chunk]));
  const read = (id: number): Uint8Array => (id < 0 ? tail[FIRST_TAIL_ID - id]!.bytes : store.readChunk(entries.get(id)!));

  const plan = planFrame(chunks, has);
  if (plan.byteLength + deleteBytes.byteLength <= LIMITS.maxServeFrameBytes) {
    yield { closing: true, update: plan.create(deleteBytes, read) };
    return;
  }
  const frames = planCausalFrames(chunks, has, LIMITS.maxServeFrameBytes / 2);
  // Last first: the client keeps them pending and integrates all at once when the first chunk arrives.
  for (let at = frames.length - 1; at > 0; at--) yield { closing: false, update: frames[at]!.create(EMPTY_DELETE_SET, read) };
  yield { closing: true, update: frames[0]!.create(deleteBytes, read) };
}

const EMPTY_DELETE_SET: Uint8Array = Uint8Array.of(0);

/** Journal and window rewritten as chunks, when the client lacks any of it. */
function tailChunks(store: VaultStore, window: CommitWindow, has: (client: number) => number, deletes: Parameters<typeof rewrite>[1]["deletes"]): Chunk[] {
  const lacksJournal = store.journal.some((row) => row.ranges.some((range) => has(range.client) < range.to));
  const updates = [...(lacksJournal ? store.readJournalUpdates() : []), ...window.updates];
  if (updates.length === 0) return [];
  return rewrite(
    updates.map((bytes) => ({ bytes, runs: null })),
    { deletes, chunkBytes: LIMITS.chunkBytes },
  );
}
