/** `emitClosed` over several sources, one after the other. */
import { LIMITS } from "../limits.ts";
import type { ClosedBatch } from "./closed-batch.ts";
import { type Blocked, type StoredClocks, emitClosed } from "./emit-closed.ts";
import type { Source } from "./source.ts";

/** Structs that do not follow on from what is stored, and the source they are in. */
export type WaitingStructs = Blocked & { readonly source: Source };

/**
 * Yields what the sources have and `stored` does not, with the source each batch is from, and null for a pause. What was yielded counts as stored once the caller
 * has made `stored` say so. Returns what still waits.
 */
export function* emitSources(sources: readonly Source[], stored: StoredClocks): Generator<{ readonly batch: ClosedBatch; readonly source: Source } | null, WaitingStructs[]> {
  const waiting: WaitingStructs[] = [];
  for (const source of sources) {
    const steps = emitClosed(source, stored, { batchBytes: LIMITS.takeoverBatchBytes, windowBytes: LIMITS.takeoverWindowBytes });
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) yield step.value === null ? null : { batch: step.value, source };
    for (const blocked of step.value) waiting.push({ ...blocked, source });
  }
  return waiting;
}
