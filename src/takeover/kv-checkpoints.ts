/**
 * Checkpoints of the key-value layout: the one the pointer names, and every other that still can be proven.
 * Without a usable pointer all of them count, because the old server had one of them.
 */
import { CHECKPOINT_POINTER, CHECKPOINTS, chunkKey, JOURNAL_META, manifestKey, vectorKey } from "./kv-keys.ts";
import { damagedEntry, wholeEntry } from "./kv-entry.ts";
import { ascending, chunkKeys, type KvInventory, takeInventory } from "./kv-listing.ts";
import { type PointerRecord, readMeta, readPointer } from "./kv-records.ts";
import { lostVectorOf, vectorFault } from "./kv-vector.ts";
import { judge, type Verdict } from "./kv-verdict.ts";
import type { LegacyEntry, LegacyFindings, LegacyProblem, LegacyStorage } from "./legacy.ts";

export function findCheckpoints(storage: LegacyStorage): LegacyFindings {
  const found = takeInventory(storage, CHECKPOINTS);
  const pointerValue = storage.get(CHECKPOINT_POINTER);
  const pointer = readPointer(pointerValue);
  const entries: LegacyEntry[] = [];
  const problems = pointerProblems(found, pointer);
  const lostVectors: ReadonlyMap<number, number>[] = [];
  const otherKeys = pointerValue === undefined ? [...found.unknown] : [CHECKPOINT_POINTER, ...found.unknown];
  const lose = (version: number): void => {
    const vector = lostVectorOf(storage, version);
    if (vector !== null) lostVectors.push(vector);
  };

  if (pointer.kind === "valid" && !found.manifests.has(pointer.version)) lose(pointer.version);
  const verdicts = new Map<number, Verdict>();
  for (const version of ascending(found.manifests.keys())) {
    verdicts.set(version, judge(storage, CHECKPOINTS, version, found.manifests.get(version)!, found.chunks.get(version) ?? new Map()));
  }
  let newestWhole = 0;
  for (const [version, verdict] of verdicts) if (verdict.kind === "whole") newestWhole = version;
  for (const [version, verdict] of verdicts) {
    // A checkpoint is the whole document: without a pointer, one that is newer and whole has all that a damaged older one had.
    const isNamed = pointer.kind === "valid" ? pointer.version === version : verdict.kind === "whole" || version > newestWhole;
    const chunks = found.chunks.get(version) ?? new Map<number, number>();
    const place = { family: CHECKPOINTS, id: version, isLive: isNamed, hasVector: found.vectors.has(version) };
    if (verdict.kind === "damaged") {
      entries.push(damagedEntry(place, chunks, verdict.fault));
      continue;
    }
    const manifest = found.manifests.get(version)!;
    entries.push(wholeEntry(storage, place, verdict.partSizes, manifest.sha256));
    if (verdict.derived !== null) problems.push({ ...verdict.derived, isLoss: false });
    const aside = isNamed ? vectorFault(storage, version, manifest) : null;
    if (aside !== null) problems.push({ key: vectorKey(version), reason: aside, isLoss: false });
    const surplus = ascending(chunks.keys()).filter((index) => index >= verdict.partSizes.length);
    if (surplus.length > 0) {
      const keys = surplus.map((index) => chunkKey(CHECKPOINTS, version, index));
      otherKeys.push(...keys);
      problems.push({ key: keys[0]!, reason: `${keys.length} chunks more than the checkpoint has`, isLoss: false });
    }
  }

  const stray = strays(found);
  otherKeys.push(...stray.keys);
  const named = pointer.kind === "valid" ? pointer.version : null;
  const nameless = stray.versions.filter((version) => version !== named);
  if (nameless.length > 0) {
    if (pointer.kind === "valid" || found.manifests.size > 0 || isFirstAttempt(storage, found, pointer)) {
      problems.push({ key: manifestKey(CHECKPOINTS, nameless[0]!), reason: `${nameless.length} checkpoints with chunks and no manifest: never published, or replaced`, isLoss: false });
    } else {
      for (const version of nameless) {
        problems.push({ key: manifestKey(CHECKPOINTS, version), reason: `checkpoint pointer and manifest missing although version ${version} has left keys`, isLoss: true });
        lose(version);
      }
    }
  }
  if (found.unknown.length > 0) problems.push({ key: found.unknown[0]!, reason: `${found.unknown.length} keys of no known form`, isLoss: false });
  return { entries, problems, lostVectors, otherKeys };
}

function pointerProblems(found: KvInventory, pointer: PointerRecord): LegacyProblem[] {
  const count = found.manifests.size;
  if (pointer.kind === "invalid") {
    // A pointer is only ever written with a checkpoint: with none left, what it named is gone.
    return [{ key: CHECKPOINT_POINTER, reason: "checkpoint pointer is invalid", isLoss: count === 0 }];
  }
  if (pointer.kind === "absent") {
    if (count === 0) return [];
    return [{ key: CHECKPOINT_POINTER, reason: `checkpoint pointer missing although ${count} checkpoint manifests exist`, isLoss: false }];
  }
  if (found.manifests.has(pointer.version)) return [];
  return [{ key: manifestKey(CHECKPOINTS, pointer.version), reason: CHECKPOINTS.manifestFault(pointer.version), isLoss: true }];
}

/**
 * Chunks of a first checkpoint that was never published: intermediate builds wrote chunks before the transaction that writes pointer, manifest
 * and vector (compat sheet, 4.1). All of its content is still in the journal; where it is not, missing clocks tell.
 */
function isFirstAttempt(storage: LegacyStorage, found: KvInventory, pointer: PointerRecord): boolean {
  const meta = readMeta(storage.get(JOURNAL_META));
  return pointer.kind === "absent" && found.vectors.size === 0 && meta.kind === "valid" && meta.entryCount > 0;
}

/** Chunks and state vectors of versions without a manifest. */
function strays(found: KvInventory): { versions: number[]; keys: string[] } {
  const versions = ascending(new Set([...found.chunks.keys(), ...found.vectors])).filter((version) => !found.manifests.has(version));
  const keys: string[] = [];
  for (const version of versions) {
    keys.push(...chunkKeys(CHECKPOINTS, version, found.chunks.get(version) ?? new Map()));
    if (found.vectors.has(version)) keys.push(vectorKey(version));
  }
  return { versions, keys };
}
