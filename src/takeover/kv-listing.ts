/**
 * One walk over the keys of a family: what is there, whatever pointer and metadata say. Keeps numbers, never a value: a chunk may bring
 * the whole payload along as its backing buffer (compat sheet, 4.2), so few are in memory at once.
 */
import { LIMITS } from "../limits.ts";
import { release } from "../release.ts";
import { bytesOf } from "./bytes-of.ts";
import { chunkKey, type KvFamily, readKey } from "./kv-keys.ts";
import { type ManifestRecord, readManifest } from "./kv-records.ts";
import type { LegacyStorage } from "./legacy.ts";

/** Length that stands for a chunk whose value is no bytes. */
export const NOT_BYTES = -1;

/** Chunks of one entry: index to bytes, or `NOT_BYTES`. */
export type ChunkLengths = ReadonlyMap<number, number>;

export interface KvInventory {
  /** By version or sequence number, malformed ones included. */
  readonly manifests: ReadonlyMap<number, ManifestRecord>;
  readonly chunks: ReadonlyMap<number, ChunkLengths>;
  /** Versions that have a state vector. */
  readonly vectors: ReadonlySet<number>;
  /** Keys under the prefix of no known form. */
  readonly unknown: readonly string[];
}

export function takeInventory(storage: LegacyStorage, family: KvFamily): KvInventory {
  const manifests = new Map<number, ManifestRecord>();
  const chunks = new Map<number, Map<number, number>>();
  const vectors = new Set<number>();
  const unknown: string[] = [];
  for (const [key, value] of walk(storage, family)) {
    const meaning = readKey(family, key);
    if (meaning.kind === "manifest") manifests.set(meaning.id, readManifest(family, value));
    else if (meaning.kind === "vector") vectors.add(meaning.id);
    else if (meaning.kind === "unknown") unknown.push(key);
    else if (meaning.kind === "chunk") {
      let lengths = chunks.get(meaning.id);
      if (lengths === undefined) chunks.set(meaning.id, (lengths = new Map()));
      const bytes = bytesOf(value);
      lengths.set(meaning.index, bytes?.byteLength ?? NOT_BYTES);
      // Each value is a clone of its own. Collected late, those of a large vault would be in memory together.
      if (bytes !== null) release(bytes);
    }
  }
  return { manifests, chunks, vectors, unknown };
}

/** Numbers in ascending order; listing gave them as text sorts. */
export function ascending(ids: Iterable<number>): number[] {
  return [...ids].sort((a, b) => a - b);
}

/** Keys of all chunks of an entry, by index. */
export function chunkKeys(family: KvFamily, id: number, lengths: ChunkLengths): string[] {
  return ascending(lengths.keys()).map((index) => chunkKey(family, id, index));
}

function* walk(storage: LegacyStorage, family: KvFamily): Generator<readonly [key: string, value: unknown]> {
  const chunkPrefix = `${family.prefix}chunk:`;
  let after: string | null = null;
  for (;;) {
    // Chunks come first in a family, manifests and metadata, all small, behind them.
    const isPastChunks: boolean = after !== null && after > chunkPrefix && !after.startsWith(chunkPrefix);
    const limit = isPastChunks ? LIMITS.legacyListBatch : LIMITS.legacyChunkBatch;
    const batch = storage.list(family.prefix, after, limit);
    yield* batch;
    if (batch.length < limit) return;
    after = batch.at(-1)![0];
  }
}
