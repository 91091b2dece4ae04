/** State vectors that stand beside checkpoints: rebuilt when wrong, and a hint to what is gone when their checkpoint is. */
import { UpdateRefusedError } from "../update/refused.ts";
import { decodeStateVector } from "../update/state-vector.ts";
import { bytesOf } from "./bytes-of.ts";
import { CHECKPOINTS, manifestKey, readKey, vectorKey } from "./kv-keys.ts";
import { type ManifestRecord, readManifest } from "./kv-records.ts";
import type { LegacyEntry, LegacyStorage } from "./legacy.ts";

/** Why the old server would refuse a checkpoint's state vector, in its words (compat sheet, 4.3); null when it would not. */
export function vectorFault(storage: LegacyStorage, version: number, manifest: ManifestRecord): string | null {
  const key = vectorKey(version);
  const value = storage.get(key);
  if (value === undefined) return `checkpoint state vector missing for version ${version}`;
  const bytes = bytesOf(value);
  if (bytes === null) return `invalid binary payload for ${key}`;
  if (manifest.vectorByteLength !== null && bytes.byteLength !== manifest.vectorByteLength) {
    return `checkpoint state vector length mismatch (expected ${manifest.vectorByteLength}, got ${bytes.byteLength})`;
  }
  return manifest.vectorSha256 !== null && hashOf(storage, bytes) !== manifest.vectorSha256 ? "checkpoint state vector sha256 mismatch" : null;
}

/**
 * Ends of clocks that a lost checkpoint had, from the state vector that outlived it: one that its manifest's hash proves, or, where no
 * hash is left, one that decodes. Null when there is none, or for an entry of another kind.
 */
export function lostVectorOf(storage: LegacyStorage, lost: LegacyEntry | number): ReadonlyMap<number, number> | null {
  const version = typeof lost === "number" ? lost : versionOf(lost);
  if (version === null) return null;
  const bytes = bytesOf(storage.get(vectorKey(version)));
  if (bytes === null) return null;
  const { vectorSha256 } = readManifest(CHECKPOINTS, storage.get(manifestKey(CHECKPOINTS, version)));
  if (vectorSha256 !== null && hashOf(storage, bytes) !== vectorSha256) return null;
  try {
    return decodeStateVector(bytes);
  } catch (error) {
    if (error instanceof UpdateRefusedError) return null;
    throw error;
  }
}

/** Whether a manifest's hash stands behind what `lostVectorOf` says of an entry. */
export function isVectorProven(storage: LegacyStorage, lost: LegacyEntry): boolean {
  const version = versionOf(lost);
  return version !== null && readManifest(CHECKPOINTS, storage.get(manifestKey(CHECKPOINTS, version))).vectorSha256 !== null;
}

function versionOf(entry: LegacyEntry): number | null {
  if (entry.kind !== "checkpoint") return null;
  const key = readKey(CHECKPOINTS, entry.name);
  return key.kind === "manifest" ? key.id : null;
}

function hashOf(storage: LegacyStorage, bytes: Uint8Array): string {
  const sha256 = storage.sha256();
  sha256.update(bytes);
  return sha256.digest();
}
