/**
 * Puts what the sources have and the store does not into the store: small causal batches through the same checkpoints that edits go through, each of them
 * durable by itself. Whoever starts anew after a crash does the same again; what is stored is skipped.
 */
import { LIMITS } from "../limits.ts";
import { release } from "../release.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { DeleteSet, subtract } from "../update/delete-set.ts";
import type { ClientRange } from "../update/news.ts";
import { blockedUpdates } from "./emit-closed.ts";
import { type WaitingStructs, emitSources } from "./emit-sources.ts";
import type { Source } from "./source.ts";

export interface United {
  /** Structs of the sources that do not follow on from what is stored. */
  readonly blocked: readonly WaitingStructs[];
}

/**
 * @param deletes all deletions of the sources
 * @throws {DamagedRowError} when a row of ours that must be rewritten cannot be trusted; what was stored before stands
 */
export function* unite(store: VaultStore, sources: readonly Source[], deletes: DeleteSet, atMs: () => number): Generator<null, United> {
  // With the first batch, so that later ones are stripped as they are written.
  let fresh = subtract(deletes, store.readDeletes());
  const known = store.clocks.clone();
  let updates: Uint8Array[] = [];
  let ranges: ClientRange[] = [];
  let bytes = 0;
  function* flush(): Generator<null, void> {
    if (updates.length === 0 && fresh.isEmpty) return;
    const batch = { updates, ranges, deletes: fresh, held: [], released: [] };
    [updates, ranges, bytes, fresh] = [[], [], 0, DeleteSet.empty];
    yield* store.checkpoint(batch, atMs());
    for (const update of batch.updates) release(update);
  }
  let blocked: WaitingStructs[] = [];
  // What follows on only now may wait in a source that was read before.
  for (let progress = true; progress; progress &&= blocked.length > 0) {
    progress = false;
    const steps = emitSources(sources, known);
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) {
      if (step.value === null) {
        yield null;
        continue;
      }
      const { batch } = step.value;
      progress = true;
      for (const range of batch.ranges) known.add(range.client, range.from, range.to);
      updates.push(batch.update);
      ranges.push(...batch.ranges);
      bytes += batch.update.byteLength;
      if (bytes >= LIMITS.takeoverBatchBytes) yield* flush();
    }
    blocked = step.value;
  }
  yield* flush();
  return { blocked };
}

/** Keeps structs that follow on from nothing as the room keeps such structs of its clients. Returns whether all of them fit. */
export function* holdBlocked(store: VaultStore, blocked: United["blocked"], atMs: () => number): Generator<null, boolean> {
  let heldBytes = store.held.reduce((sum, row) => sum + row.update.byteLength, 0);
  for (const each of blocked) {
    for (const update of blockedUpdates(each.source, [each], LIMITS.chunkBytes)) {
      if (store.held.some((row) => sameBytes(row.update, update))) continue;
      heldBytes += update.byteLength;
      if (heldBytes > LIMITS.maxPendingBytes || store.held.length >= LIMITS.maxPendingUpdates) return false;
      store.commit({ updates: [], ranges: [], deletes: DeleteSet.empty, held: [update], released: [] }, atMs());
      yield null;
    }
  }
  return true;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, at) => byte === b[at]);
}
