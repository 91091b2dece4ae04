/**
 * Whether the chunks found of an entry can be its content: as its manifest cuts them, or, when the manifest is wrong about the cut, in
 * whatever way gives the manifest's hash. The hash decides, every other field can be found again.
 */
import { release } from "../release.ts";
import { bytesOf } from "./bytes-of.ts";
import { chunkKey, type KvFamily, manifestKey } from "./kv-keys.ts";
import { type ChunkLengths, NOT_BYTES } from "./kv-listing.ts";
import type { ManifestRecord } from "./kv-records.ts";
import type { LegacyStorage } from "./legacy.ts";

/** Something wrong, in the old server's words, and the key at fault. */
export interface Fault {
  readonly key: string;
  readonly reason: string;
}

export type Verdict =
  /** `derived` is what the old server would have refused although the content hashes right. */
  | { readonly kind: "whole"; readonly partSizes: readonly number[]; readonly derived: Fault | null }
  | { readonly kind: "damaged"; readonly fault: Fault };

/** Reads chunks only when the manifest is wrong about them. The hash of content whose manifest fits is left to who reads it anyway. */
export function judge(storage: LegacyStorage, family: KvFamily, id: number, manifest: ManifestRecord, lengths: ChunkLengths): Verdict {
  const fault = recordFault(family, id, manifest) ?? cutFault(family, id, manifest, lengths);
  if (fault === null) return { kind: "whole", partSizes: contiguous(lengths).slice(0, manifest.chunkCount!), derived: null };
  const partSizes = cutByHash(storage, family, id, manifest, lengths);
  return partSizes === null ? { kind: "damaged", fault } : { kind: "whole", partSizes, derived: fault };
}

function recordFault(family: KvFamily, id: number, manifest: ManifestRecord): Fault | null {
  const key = manifestKey(family, id);
  if (!manifest.isWellFormed) return { key, reason: family.manifestFault(id) };
  if (manifest.id === id) return null;
  const isCheckpoint = family.kind === "checkpoint";
  return { key, reason: isCheckpoint ? `checkpoint version mismatch (pointer=${id}, manifest=${String(manifest.id)})` : family.manifestFault(id) };
}

/** The first of the old server's checks that fails (compat sheet, 4.3), in its order; null when chunks and manifest fit. */
function cutFault(family: KvFamily, id: number, manifest: ManifestRecord, lengths: ChunkLengths): Fault | null {
  const chunkCount = manifest.chunkCount!;
  const chunkSize = manifest.chunkSizeBytes!;
  const byteLength = manifest.byteLength!;
  const failed = `${family.context(id)} load failed`;
  const sizes = contiguous(lengths);
  let found = 0;
  for (const index of lengths.keys()) if (index < chunkCount) found += 1;
  // As few as are missing, the first of them is named.
  if (found < chunkCount) {
    let missing = 0;
    while (lengths.has(missing)) missing += 1;
    return { key: chunkKey(family, id, missing), reason: `${failed}: expected ${chunkCount} chunks, found ${found}` };
  }
  let total = 0;
  for (let index = 0; index < chunkCount; index += 1) {
    const key = chunkKey(family, id, index);
    const size = sizes[index];
    if (size === undefined) return { key, reason: `invalid binary payload for ${key}` };
    const isFinal = index === chunkCount - 1;
    if (!isFinal && size !== chunkSize) return { key, reason: `${failed}: chunk ${index} has invalid length ${size}` };
    if (isFinal && size > chunkSize) return { key, reason: `${failed}: final chunk is too large (${size})` };
    total += size;
    if (total > byteLength) return { key, reason: `${failed}: chunk bytes exceed manifest size` };
  }
  if (total === byteLength) return null;
  return { key: manifestKey(family, id), reason: `${failed}: expected ${byteLength} bytes, reconstructed ${total}` };
}

/** Sizes of the chunks from 0 up to the first that is missing or no bytes. */
function contiguous(lengths: ChunkLengths): number[] {
  const sizes: number[] = [];
  for (;;) {
    const size = lengths.get(sizes.length);
    if (size === undefined || size === NOT_BYTES) return sizes;
    sizes.push(size);
  }
}

/** The cut whose bytes hash as the manifest says: its own number of chunks, its own number of bytes, or all there are. */
function cutByHash(storage: LegacyStorage, family: KvFamily, id: number, manifest: ManifestRecord, lengths: ChunkLengths): readonly number[] | null {
  if (manifest.sha256 === null) return null;
  const sizes = contiguous(lengths);
  const counts = new Set<number>([sizes.length]);
  if (manifest.chunkCount !== null && manifest.chunkCount <= sizes.length) counts.add(manifest.chunkCount);
  let total = 0;
  for (const [index, size] of sizes.entries()) {
    total += size;
    // Empty chunks behind it change no byte.
    if (total === manifest.byteLength && size > 0) counts.add(index + 1);
  }
  for (const count of counts) {
    if (hashOf(storage, family, id, count) === manifest.sha256) return sizes.slice(0, count);
  }
  return null;
}

function hashOf(storage: LegacyStorage, family: KvFamily, id: number, chunkCount: number): string | null {
  const sha256 = storage.sha256();
  for (let index = 0; index < chunkCount; index += 1) {
    const bytes = bytesOf(storage.get(chunkKey(family, id, index)));
    if (bytes === null) return null;
    sha256.update(bytes);
    release(bytes);
  }
  return sha256.digest();
}
