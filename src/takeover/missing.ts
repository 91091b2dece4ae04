/** Names what is missing of a vault part of which could not be read. */
import type { MissingPart } from "../room/takeover-view.ts";
import type { ClockIndex } from "../storage/clock-index.ts";
import type { ClientRange } from "../update/news.ts";
import type { Blocked } from "./emit-closed.ts";

/** Named ranges kept; a vault with more holes counts as one of which not all can be named. */
const MAX_RANGES = 1_000;

/**
 * @param known what is stored
 * @param hints how far lost content is believed to have reached, per client
 * @param blocked structs that verify and wait for what is missing: they are not missing themselves
 */
export function missingPart(known: ClockIndex, hints: readonly ReadonlyMap<number, number>[], blocked: readonly Blocked[], reason: string): MissingPart {
  const wanted = new Map<number, number>();
  const want = (client: number, end: number): void => {
    if (end > known.end(client)) wanted.set(client, Math.max(wanted.get(client) ?? 0, end));
  };
  for (const hint of hints) for (const [client, end] of hint) want(client, end);
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
  return { ranges: ranges.slice(0, MAX_RANGES), isUnnamed: ranges.length === 0 || ranges.length > MAX_RANGES, reason };
}
