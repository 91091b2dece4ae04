/** Reads through everything an older server left, once: what verifies, what is lost, and whether the pre-chunk `document` joins. Writes nothing. */
import { DeleteSet, giveBack, unionSteps } from "../update/delete-set.ts";
import type { Pacer } from "../update/pacer.ts";
import { UpdateRefusedError } from "../update/refused.ts";
import { documentJoins } from "./document-rule.ts";
import { findLegacy } from "./find-legacy.ts";
import { CHECKPOINT_POINTER, JOURNAL_META } from "./kv-keys.ts";
import { isVectorProven, lostVectorOf } from "./kv-vector.ts";
import { LegacyDamageError, type LegacyEntry, type LegacyProblem, type LegacyStorage } from "./legacy.ts";
import { readSource } from "./read-source.ts";
import { type SourceReport, type TakeoverRecord, lossId } from "./record.ts";
import type { Source } from "./source.ts";

/** How far lost content reached, per client, and the key of its problem. Names holes, proves nothing. */
export interface LossHint {
  readonly key: string;
  readonly reach: ReadonlyMap<number, number>;
  /** What its bytes say was deleted, where they can be read at all. */
  readonly deletes: DeleteSet | null;
  /** Read out of bytes that nothing proves: it may name clocks that never were. */
  readonly isGuess: boolean;
}

export interface Survey {
  /** What is to be united, in order. Their own delete sets are in `deletes` and left out here, or each journal entry would hold the whole vault's. */
  readonly sources: readonly Source[];
  /** All deletions of `sources`. */
  readonly deletes: DeleteSet;
  readonly problems: readonly LegacyProblem[];
  /** Entries that do not verify. */
  readonly lost: readonly LegacyEntry[];
  /** What content that is lost is believed to have reached, for each loss of which that is known. */
  readonly hints: readonly LossHint[];
  /** Content is lost, as far as the old storage alone can tell. */
  readonly hasLoss: boolean;
  /** The pre-chunk `document`, when it verifies and does not join. */
  readonly left: Source | null;
  readonly document: "joined" | "left" | null;
  readonly otherKeys: readonly string[];
}

/** What is known from before. */
export interface Known {
  /** What was decided about `document`, or null. */
  readonly decided: "joined" | "left" | null;
  /** Our tables hold nothing. */
  readonly storeIsEmpty: boolean;
  /** Losses that count as such no more. */
  readonly settled: readonly string[];
  /** A clean-up was broken off: it may have left anything. */
  readonly isCleaning: boolean;
  /** Highest id of rows of PR #51's `journal` that a clean-up may have taken, or null. */
  readonly cleanedUpTo: number | null;
}

/** What a record says of it. @param storeIsEmpty our tables hold nothing */
export function knownFrom(record: TakeoverRecord | null, storeIsEmpty: boolean): Known {
  return {
    decided: record?.document ?? null,
    storeIsEmpty,
    settled: record?.settled ?? [],
    isCleaning: record?.isCleaning ?? false,
    cleanedUpTo: record?.cleanedUpTo ?? null,
  };
}

export function* survey(storage: LegacyStorage, known: Known, pacer: Pacer): Generator<null, Survey> {
  const { decided, storeIsEmpty } = known;
  const found = findLegacy(storage);
  const problems: LegacyProblem[] = [...found.problems];
  const hints: LossHint[] = [];
  for (const problem of found.problems) {
    // A checkpoint without its manifest: its vector may have outlived it.
    if (problem.isLoss && problem.key.startsWith("document:checkpoint:")) for (const reach of found.lostVectors) hints.push({ key: problem.key, reach, deletes: null, isGuess: true });
  }
  const lost: LegacyEntry[] = [];
  const sources: Source[] = [];
  let deletes = DeleteSet.empty;
  let document: Source | null = null;
  let lostDocument: LegacyProblem | null = null;
  const order = new SaveOrder();
  let mayHaveFiles = found.problems.some((problem) => problem.isLoss || problem.mayBeLoss === true);
  for (const entry of found.entries) {
    try {
      const source = yield* readSource(entry, () => storage.sha256(), pacer);
      if (source.trailingBytes > 0) problems.push({ key: entry.name, reason: `${source.trailingBytes} bytes behind the update, which nobody reads`, isLoss: false });
      if (entry.kind === "document") {
        document = source;
        continue;
      }
      const all: DeleteSet = yield* unionSteps([deletes, source.deletes], pacer);
      // Thousands of entries may each have brought the whole vault's.
      giveBack(deletes, all);
      giveBack(source.deletes, all);
      deletes = all;
      sources.push({ ...source, deletes: DeleteSet.empty });
      order.add(source);
    } catch (error) {
      const problem = problemOf(entry, error);
      lost.push(entry);
      if (entry.kind === "document") {
        lostDocument = problem;
        continue;
      }
      problems.push(problem);
      if (!entry.isLive) continue;
      // What is lost may have deleted files.
      mayHaveFiles = true;
      const believed = yield* believedSource(entry, storage, pacer);
      const proven = lostVectorOf(storage, entry);
      const reach = proven ?? reachOf(believed, order);
      if (reach !== null) hints.push({ key: problem.key, reach, deletes: believed?.deletes ?? null, isGuess: proven === null || !isVectorProven(storage, entry) });
    }
  }
  let decision: "joined" | "left" | null = null;
  // It would have joined nothing that has files of its own.
  const mattersLost = storeIsEmpty && !sources.some((source) => source.touchesVaultMaps);
  if (lostDocument !== null) problems.push({ ...lostDocument, isLoss: decided === "joined" || (decided === null && mattersLost) });
  if (document !== null) {
    decision = decided === "joined" || (!mayHaveFiles && (yield* documentJoins(document, sources, storeIsEmpty, pacer))) ? "joined" : "left";
    if (decision === "joined") {
      deletes = yield* unionSteps([document.deletes, deletes], pacer);
      sources.unshift({ ...document, deletes: DeleteSet.empty });
    }
  }
  const settledIds = new Set(known.settled);
  const hasHead = storage.get(CHECKPOINT_POINTER) !== undefined || storage.get(JOURNAL_META) !== undefined;
  const counted = problems.map((problem) => {
    if (settledIds.has(lossId(problem)) || isOfCleanUp(problem, known, lost, hasHead)) return { ...problem, isLoss: false };
    return problem.mayBeLoss === true ? { ...problem, isLoss: true } : problem;
  });
  return {
    sources,
    deletes,
    problems: counted,
    lost,
    hints,
    hasLoss: counted.some((problem) => problem.isLoss),
    left: decision === "left" ? document : null,
    document: decision,
    otherKeys: found.otherKeys,
  };
}

/** Whether it tells of nothing but what a clean-up has deleted. */
function isOfCleanUp(problem: LegacyProblem, { isCleaning, cleanedUpTo }: Known, lost: readonly LegacyEntry[], hasHead: boolean): boolean {
  if (problem.upTo !== undefined) return cleanedUpTo !== null && problem.upTo <= cleanedUpTo;
  // Heads go first: where there is one, an older server has written since.
  if (!isCleaning || hasHead || !problem.key.startsWith("document:")) return false;
  // Manifests go before what they name, so an entry that is there was not touched.
  return !lost.some((entry) => entry.name === problem.key || entry.keys.includes(problem.key));
}

function problemOf(entry: LegacyEntry, error: unknown): LegacyProblem {
  const of = entry.sha256 ?? `${entry.byteLength} bytes`;
  if (error instanceof LegacyDamageError) return { key: error.key, reason: error.message, isLoss: entry.isLive, of };
  if (error instanceof UpdateRefusedError) return { key: entry.name, reason: `no update that can be read: ${error.message}`, isLoss: entry.isLive, of };
  throw error;
}

/** Bytes that fail their checksum mostly still say whose clocks they were, and of which maps. Believed for naming holes and for caution. */
function* believedSource(entry: LegacyEntry, storage: LegacyStorage, pacer: Pacer): Generator<null, Source | null> {
  if (entry.sha256 === null) return null;
  try {
    return yield* readSource({ ...entry, sha256: null }, () => storage.sha256(), pacer);
  } catch (error) {
    if (error instanceof LegacyDamageError || error instanceof UpdateRefusedError) return null;
    throw error;
  }
}

/** How far bytes that fail their checksum reached: only where they follow on from the entries before. */
function reachOf(believed: Source | null, order: SaveOrder): ReadonlyMap<number, number> | null {
  // Deletions alone: nothing that could be looked for.
  if (believed === null || believed.sections.length === 0 || !order.follows(believed)) return null;
  order.add(believed);
  return new Map(believed.sections.map((section) => [section.client, section.end]));
}

/**
 * What entries of the key-value layout had saved, one after the other: each goes on where those before it end, or says again all that the one before it said,
 * when a base was not moved (compat sheet, 5.4). A torn clock, which might pass for clocks that are stored, does neither.
 */
class SaveOrder {
  readonly #ends = new Map<number, number>();
  #last: Source | null = null;

  add(source: Source): void {
    if (source.entry.kind !== "checkpoint" && source.entry.kind !== "journal") return;
    for (const { client, end } of source.sections) this.#ends.set(client, Math.max(this.#ends.get(client) ?? 0, end));
    this.#last = source;
  }

  follows(source: Source): boolean {
    const before = new Map(this.#last?.sections.map((section) => [section.client, section]));
    let repeated = 0;
    let isNews = false;
    for (const { client, clock, end } of source.sections) {
      if (end > (this.#ends.get(client) ?? 0)) isNews = true;
      const earlier = before.get(client);
      if (earlier !== undefined && earlier.clock === clock && earlier.end <= end) repeated += 1;
      else if (clock !== (this.#ends.get(client) ?? 0)) return false;
    }
    // Nothing was ever saved that brought no clock.
    return isNews && (repeated === 0 || repeated === before.size);
  }
}

/** What became of every entry, for debug. */
export function sourceReports(found: Survey): SourceReport[] {
  const report = (entry: LegacyEntry, outcome: SourceReport["outcome"], reason: string | null): SourceReport => ({
    name: entry.name,
    kind: entry.kind,
    bytes: entry.byteLength,
    live: entry.isLive,
    outcome,
    reason,
  });
  const reports = found.sources.map((source) => report(source.entry, "united", null));
  for (const entry of found.lost) {
    // Said last: what made it unreadable, not what was odd about it before.
    const problem = found.problems.findLast(({ key }) => key === entry.name || entry.keys.includes(key));
    reports.push(report(entry, "lost", problem?.reason ?? "cannot be read"));
  }
  if (found.left !== null) reports.push(report(found.left.entry, "left", "files were written after it, or may have been, or it has none: it would bring deleted files back"));
  return reports;
}
