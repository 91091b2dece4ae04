/**
 * Journal entries of the key-value layout: those the metadata names, and every other that still can be proven.
 * Numbers run from 1 without gaps since the last checkpoint, so without usable metadata a gap says what is missing.
 */
import { LIMITS } from "../limits.ts";
import { damagedEntry, wholeEntry } from "./kv-entry.ts";
import { CHECKPOINT_POINTER, chunkKey, DOCUMENT_KEY, JOURNAL, JOURNAL_META, manifestKey } from "./kv-keys.ts";
import { ascending, chunkKeys, type KvInventory, takeInventory } from "./kv-listing.ts";
import { type MetaRecord, readMeta } from "./kv-records.ts";
import { judge } from "./kv-verdict.ts";
import type { LegacyEntry, LegacyFindings, LegacyProblem, LegacyStorage } from "./legacy.ts";

export function findJournal(storage: LegacyStorage): LegacyFindings {
  const found = takeInventory(storage, JOURNAL);
  const metaValue = storage.get(JOURNAL_META);
  const meta = readMeta(metaValue);
  const seqs = ascending(found.manifests.keys());
  const span = expectedSpan(found, meta, seqs);
  const entries: LegacyEntry[] = [];
  // Without any head this may be what an accepted loss left behind a clean-up: gaps are no news then, and clocks still tell of content that is missing.
  const hasHead = metaValue !== undefined || storage.get(CHECKPOINT_POINTER) !== undefined || storage.get(DOCUMENT_KEY) !== undefined;
  const hasPointer = storage.get(CHECKPOINT_POINTER) !== undefined;
  const problems = metaProblems(found, meta, seqs, span, hasHead, hasPointer);
  const otherKeys = metaValue === undefined ? [...found.unknown] : [JOURNAL_META, ...found.unknown];

  for (const seq of seqs) {
    const manifest = found.manifests.get(seq)!;
    const chunks = found.chunks.get(seq) ?? new Map<number, number>();
    const isLive = span.isOpen || (seq >= span.from && seq < span.to);
    const verdict = judge(storage, JOURNAL, seq, manifest, chunks);
    const place = { family: JOURNAL, id: seq, isLive, hasVector: false };
    if (verdict.kind === "damaged") {
      entries.push(damagedEntry(place, chunks, verdict.fault));
      continue;
    }
    entries.push(wholeEntry(storage, place, verdict.partSizes, manifest.sha256));
    if (verdict.derived !== null) problems.push({ ...verdict.derived, isLoss: false });
    const surplus = ascending(chunks.keys()).filter((index) => index >= verdict.partSizes.length);
    if (surplus.length > 0) {
      const keys = surplus.map((index) => chunkKey(JOURNAL, seq, index));
      otherKeys.push(...keys);
      problems.push({ key: keys[0]!, reason: `${keys.length} chunks more than journal entry ${seq} has`, isLoss: false });
    }
  }

  const litter = ascending(found.chunks.keys()).filter((seq) => !found.manifests.has(seq));
  for (const seq of litter) otherKeys.push(...chunkKeys(JOURNAL, seq, found.chunks.get(seq)!));
  const nameless = litter.filter((seq) => seq < span.from || seq >= span.to);
  if (nameless.length > 0) {
    const key = chunkKeys(JOURNAL, nameless[0]!, found.chunks.get(nameless[0]!)!)[0]!;
    // Beside a checkpoint or a whole journal these are what an incomplete clean-up left; with nothing else they may be all there was.
    const isLoss = meta.kind !== "valid" && seqs.length === 0 && !hasPointer;
    problems.push({ key, reason: `chunks of ${nameless.length} journal entries without a manifest: nothing proves them`, isLoss });
  }
  if (found.unknown.length > 0) problems.push({ key: found.unknown[0]!, reason: `${found.unknown.length} keys of no known form`, isLoss: false });
  return { entries, problems, lostVectors: [], otherKeys };
}

/** Which sequence numbers the old server would have loaded. */
interface Span {
  readonly from: number;
  readonly to: number;
  /** All that is found counts, within the span or not. */
  readonly isOpen: boolean;
  /** The metadata's counts are wrong although its total says that nothing is missing. */
  readonly isMiscounted: boolean;
}

function expectedSpan(found: KvInventory, meta: MetaRecord, seqs: readonly number[]): Span {
  if (meta.kind === "valid") {
    const from = meta.nextSeq - meta.entryCount;
    const named = seqs.filter((seq) => seq >= from && seq < meta.nextSeq);
    const isOff = named.length < meta.entryCount || bytesOfAll(found, named) !== meta.totalBytes;
    const isMiscounted = isOff && seqs.length > 0 && bytesOfAll(found, seqs) === meta.totalBytes;
    return { from, to: meta.nextSeq, isOpen: isMiscounted, isMiscounted };
  }
  // Chunks and manifest were written together: a first chunk alone is an entry that lost its manifest.
  let last = seqs.at(-1) ?? 0;
  for (const [seq, chunks] of found.chunks) if (chunks.has(0)) last = Math.max(last, seq);
  if (meta.kind === "invalid" && meta.nextSeq !== null) last = Math.max(last, meta.nextSeq - 1);
  return { from: 1, to: last + 1, isOpen: true, isMiscounted: false };
}

function bytesOfAll(found: KvInventory, seqs: readonly number[]): number {
  let sum = 0;
  for (const seq of seqs) sum += found.manifests.get(seq)!.byteLength ?? 0;
  return sum;
}

function metaProblems(found: KvInventory, meta: MetaRecord, seqs: readonly number[], span: Span, hasHead: boolean, hasPointer: boolean): LegacyProblem[] {
  const problems: LegacyProblem[] = [];
  const named = seqs.filter((seq) => seq >= span.from && seq < span.to);
  const missing = span.to - span.from - named.length;
  const counts = `journal load failed: expected ${span.to - span.from} manifests, found ${named.length}`;
  if (meta.kind === "invalid") {
    // A checkpoint leaves an empty journal: nothing says that there was an entry since.
    problems.push({ key: JOURNAL_META, reason: meta.reason, isLoss: seqs.length === 0 && !meta.isEmpty && !hasPointer });
  } else if (meta.kind === "absent") {
    if (seqs.length > 0) {
      problems.push({ key: JOURNAL_META, reason: `journal metadata missing although ${seqs.length} journal manifests exist`, isLoss: false });
    }
  } else if (missing === 0 || span.isMiscounted) {
    const total = bytesOfAll(found, named);
    const reason = missing > 0 ? counts : `journal load failed: metadata totalBytes mismatch (expected ${meta.totalBytes}, got ${total})`;
    if (missing > 0 || total !== meta.totalBytes) problems.push({ key: JOURNAL_META, reason, isLoss: false });
    return problems;
  }
  const isLoss = hasHead || seqs.length === 0;
  for (const seq of gaps(named, span, LIMITS.maxNamedLegacyLosses)) problems.push({ key: manifestKey(JOURNAL, seq), reason: counts, isLoss, ...(isLoss ? {} : { mayBeLoss: true }) });
  if (missing > LIMITS.maxNamedLegacyLosses) {
    problems.push({ key: JOURNAL_META, reason: `${counts}; ${missing - LIMITS.maxNamedLegacyLosses} of the missing are not named here`, isLoss });
  }
  return problems;
}

/** The first `most` numbers of the span that are not among `present`, which is ascending. Metadata may name any number of them. */
function gaps(present: readonly number[], span: Span, most: number): number[] {
  const missing: number[] = [];
  let next = span.from;
  for (const seq of [...present, span.to]) {
    while (next < seq && missing.length < most) missing.push(next++);
    if (missing.length === most) return missing;
    next = seq + 1;
  }
  return missing;
}
