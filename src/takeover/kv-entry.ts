/** One update of the key-value layout, read chunk by chunk from its keys. */
import { release } from "../release.ts";
import { bytesOf } from "./bytes-of.ts";
import { chunkKey, type KvFamily, manifestKey, vectorKey } from "./kv-keys.ts";
import { type ChunkLengths, chunkKeys, NOT_BYTES } from "./kv-listing.ts";
import type { Fault } from "./kv-verdict.ts";
import { LegacyDamageError, type LegacyEntry, type LegacyStorage } from "./legacy.ts";

/** Which entry it is. */
export interface KvPlace {
  readonly family: KvFamily;
  /** Version or sequence number. */
  readonly id: number;
  readonly isLive: boolean;
  readonly hasVector: boolean;
}

/** An entry whose chunks fit. Own properties, so that it may be spread; keys are made when asked for, as tens of thousands of entries may exist. */
export function wholeEntry(storage: LegacyStorage, place: KvPlace, partSizes: readonly number[], sha256: string | null): LegacyEntry {
  const { family, id, isLive, hasVector } = place;
  return {
    kind: family.kind,
    name: manifestKey(family, id),
    isLive,
    byteLength: partSizes.reduce((sum, size) => sum + size, 0),
    partSizes,
    sha256,
    get keys() {
      const keys = [manifestKey(family, id), ...partSizes.map((_, index) => chunkKey(family, id, index))];
      return hasVector ? [...keys, vectorKey(id)] : keys;
    },
    readPart: (part) => readChunk(storage, place, part, partSizes[part]!),
  };
}

/** An entry that is known not to verify: reading it says why. Its keys are its own all the same, and the one at fault is among them, there or not. */
export function damagedEntry(place: KvPlace, lengths: ChunkLengths, fault: Fault): LegacyEntry {
  const { family, id, isLive, hasVector } = place;
  // What lies there, and never nothing, or nobody would ask for a part.
  let byteLength = 0;
  for (const size of lengths.values()) if (size !== NOT_BYTES) byteLength += size;
  byteLength = Math.max(byteLength, 1);
  const keys = [manifestKey(family, id), ...chunkKeys(family, id, lengths)];
  if (hasVector) keys.push(vectorKey(id));
  if (!keys.includes(fault.key)) keys.push(fault.key);
  return {
    kind: family.kind,
    name: manifestKey(family, id),
    isLive,
    byteLength,
    partSizes: [byteLength],
    sha256: null,
    keys,
    readPart: () => {
      throw new LegacyDamageError(fault.key, fault.reason);
    },
  };
}

function readChunk(storage: LegacyStorage, { family, id }: KvPlace, index: number, size: number): Uint8Array {
  const key = chunkKey(family, id, index);
  const value = storage.get(key);
  const failed = `${family.context(id)} load failed`;
  if (value === undefined) throw new LegacyDamageError(key, `${failed}: missing chunk ${index}`);
  const bytes = bytesOf(value);
  if (bytes === null) throw new LegacyDamageError(key, `invalid binary payload for ${key}`);
  if (bytes.byteLength !== size) throw new LegacyDamageError(key, `${failed}: chunk ${index} has invalid length ${bytes.byteLength}`);
  if (bytes.byteLength === bytes.buffer.byteLength) return bytes;
  // The whole payload came along, up to 2 MB, and would stay until some later collection.
  const own = bytes.slice();
  release(bytes);
  return own;
}
