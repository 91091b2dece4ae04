/** The older server's vault for a room whose own tables cannot be read: held in memory, stored nowhere. */
import { LIMITS } from "../limits.ts";
import { ClockIndex } from "../storage/clock-index.ts";
import { encodeDeleteSet } from "../update/delete-set.ts";
import { Pacer, withoutPauses } from "../update/pacer.ts";
import { emitSources } from "./emit-sources.ts";
import type { LegacyStorage } from "./legacy.ts";
import { readableRecord } from "./record.ts";
import { knownFrom, survey } from "./survey.ts";

/** All of it as updates that follow one on another, the deletions in the last; null when there is nothing, something does not verify, or it is too large. Reads only. */
export function fallbackUpdates(host: { readonly legacy: LegacyStorage }): readonly Uint8Array[] | null {
  const found = withoutPauses(survey(host.legacy, knownFrom(readableRecord(host.legacy.sql), true), new Pacer(Infinity)));
  if (found.hasLoss || found.sources.length === 0) return null;
  const known = new ClockIndex();
  const updates: Uint8Array[] = [];
  let bytes = found.deletes.estimateBytes;
  for (const step of emitSources(found.sources, known)) {
    if (step === null) continue;
    const { update, ranges } = step.batch;
    for (const range of ranges) known.add(range.client, range.from, range.to);
    updates.push(update);
    bytes += update.byteLength;
    if (bytes > LIMITS.maxFallbackBytes) return null;
  }
  // An update without structs.
  const deletions = encodeDeleteSet(found.deletes);
  const last = new Uint8Array(1 + deletions.byteLength);
  last.set(deletions, 1);
  return [...updates, last];
}
