/** Whether our tables hold all that a survey found, as far as it follows on: before a marker is written, and before anything is deleted. */
import type { VaultStore } from "../storage/vault-store.ts";
import { subtract } from "../update/delete-set.ts";
import type { Pacer } from "../update/pacer.ts";
import type { WaitingStructs } from "./emit-sources.ts";
import type { Source } from "./source.ts";
import type { Survey } from "./survey.ts";
import { type Verdict, verify } from "./verify.ts";

/**
 * @param waiting what does not follow on: it is left out
 * @param isAlone nothing but the sources was ever stored: then the deletions must be the same, not only all there
 */
export function* compare(store: VaultStore, found: Survey, waiting: readonly WaitingStructs[], isAlone: boolean, pacer: Pacer): Generator<null, Verdict> {
  const stored = store.readDeletes();
  const differ = (reason: string): Verdict => ({ ok: false, reason, digest: "", units: 0 });
  const lacking = subtract(found.deletes, stored);
  if (!lacking.isEmpty) return differ(`${lacking.rangeCount} delete ranges are not in SQL storage`);
  if (isAlone) {
    const more = subtract(stored, found.deletes);
    if (!more.isEmpty) return differ(`${more.rangeCount} delete ranges are there that no source has`);
  }
  return yield* verify(store, found.sources, reachOf(found.sources, waiting), pacer);
}

/** How far the sources reach per client, up to what follows on from nothing. */
function reachOf(sources: readonly Source[], waiting: readonly WaitingStructs[]): (client: number) => number {
  const reached = new Map<number, number>();
  for (const source of sources) for (const { client, end } of source.sections) reached.set(client, Math.max(reached.get(client) ?? 0, end));
  for (const { client, from, waitsFor } of waiting) {
    // Behind a gap of its own client it is the gap that nothing was stored from on.
    reached.set(client, Math.min(reached.get(client) ?? 0, waitsFor.client === client ? waitsFor.clock : from));
  }
  return (client) => reached.get(client) ?? 0;
}
