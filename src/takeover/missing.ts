/** Names what is missing of a vault part of which could not be read. */
import type { MissingPart } from "../room/takeover-view.ts";
import type { ClockIndex } from "../storage/clock-index.ts";
import { type DeleteSet, covers } from "../update/delete-set.ts";
import type { ClientRange } from "../update/news.ts";
import type { Blocked } from "./emit-closed.ts";
import type { LegacyProblem } from "./legacy.ts";
import { type TakeoverRecord, lossId } from "./record.ts";
import type { Source } from "./source.ts";
import type { LossHint } from "./survey.ts";

/** Structs that wait, and the source they are in. */
type Waiting = Blocked & { readonly source: Pick<Source, "entry"> };

/** Named ranges kept; a vault with more holes counts as one of which not all can be named. */
const MAX_RANGES = 1_000;

/**
 * @param known what is stored
 * @param hints how far lost content is believed to have reached, per client
 * @param blocked structs that verify and wait for what is missing: they are not missing themselves
 * @param unknown keys of losses of which no hint tells
 */
export function missingPart(known: ClockIndex, hints: readonly LossHint[], blocked: readonly Waiting[], unknown: readonly string[], reason: string): MissingPart {
  const wanted = new Map<number, number>();
  const want = (client: number, end: number): void => {
    if (end > known.end(client)) wanted.set(client, Math.max(wanted.get(client) ?? 0, end));
  };
  for (const { reach } of hints) for (const [client, end] of reach) want(client, end);
  // What no hint tells of may be what something waits for; where nothing does, it has no name.
  const isUnknownNamed = unknown.every((key) => isWaitedFor(key, blocked)) && blocked.some(({ waitsFor }) => waitsFor.clock >= Math.max(known.end(waitsFor.client), wanted.get(waitsFor.client) ?? 0));
  for (const { client, from, waitsFor } of blocked) {
    want(waitsFor.client, waitsFor.clock + 1);
    if (from > known.end(client)) want(client, from);
  }
  const waiting = new Map<number, { from: number; to: number }[]>();
  for (const { client, from, to } of blocked) {
    const ranges = waiting.get(client) ?? [];
    waiting.set(client, ranges);
    ranges.push({ from, to });
  }
  const ranges: ClientRange[] = [];
  for (const [client, end] of wanted) {
    let at = known.end(client);
    for (const { from, to } of (waiting.get(client) ?? []).sort((a, b) => a.from - b.from)) {
      if (from >= end) break;
      if (from > at) ranges.push({ client, from: at, to: from });
      at = Math.max(at, to);
    }
    if (at < end) ranges.push({ client, from: at, to: end });
  }
  const isUnnamed = ranges.length === 0 || ranges.length > MAX_RANGES || (unknown.length > 0 && !isUnknownNamed);
  return { ranges: ranges.slice(0, MAX_RANGES), isUnnamed, isUnsure: hints.some(({ isGuess }) => isGuess), reason };
}

/** Whether something waits that was saved after what is lost: what was saved last, nothing waits for. */
function isWaitedFor(key: string, blocked: readonly Waiting[]): boolean {
  const isKv = key.startsWith("document:");
  const at = key.startsWith("document:journal:") || key.startsWith("journal row ") ? numberIn(key) : 0;
  return blocked.some(({ source: { entry } }) => entry.kind === (isKv ? "journal" : "sql-journal") && at !== null && numberIn(entry.name)! >= at);
}

/** The first number of a key: a sequence number, the id of a row. */
function numberIn(key: string): number | null {
  const found = /\d+/.exec(key);
  return found === null ? null : Number(found[0]);
}

/**
 * The problems of a survey with those losses taken back that are none: what they held is stored, from elsewhere in the old storage or from a client.
 * @param before the record of the move before: what was named missing then and is stored now tells that its losses are healed, once nothing waits any more
 */
export function settle(problems: readonly LegacyProblem[], hints: readonly LossHint[], store: Stored, before: TakeoverRecord, blocked: readonly Blocked[]): LegacyProblem[] {
  const { clocks, deletes } = store;
  const isFilled = isStored(before.missing, clocks) && blocked.length === 0;
  const settled = new Set(before.settled);
  return problems.map((found) => {
    // A clean-up was thought to have taken it, but something waits for what was there.
    const isWaitedFor = found.mayBeLoss === true && !found.isLoss && blocked.length > 0 && !settled.has(lossId(found));
    const problem = isWaitedFor ? { ...found, isLoss: true } : found;
    if (!problem.isLoss) return problem;
    const own = hints.filter(({ key }) => key === problem.key);
    // Clocks alone do not tell whether the deletions are there too.
    const isCovered = own.length > 0 && own.every((hint) => [...hint.reach].every(([client, end]) => clocks.has(client, 0, end)) && hint.deletes !== null && covers(deletes, hint.deletes));
    const isHealed = isCovered || (isFilled && before.problems.some(({ key, isLoss }) => isLoss && key === problem.key));
    if (!isHealed) return problem;
    // Nothing waits any more, but nobody knows all that a loss without a hint held.
    const healed = isCovered ? "what it held is stored" : "what waited for it is stored; whatever else it held is not known";
    return { ...problem, isLoss: false, reason: `${problem.reason} (${healed})` };
  });
}

/** What our tables hold after a move. */
export interface Stored {
  readonly clocks: ClockIndex;
  readonly deletes: DeleteSet;
}

/** Whether everything that was missing by name is stored, and nothing else was missing. */
export function isStored(missing: MissingPart | null, known: ClockIndex): boolean {
  return missing !== null && !missing.isUnnamed && missing.ranges.every(({ client, from, to }) => known.has(client, from, to));
}
