/**
 * Which clocks some sources hold, all together: the store may have clocks in between from elsewhere, brought by a client into a hole, and those are nobody's
 * business when source and store are compared.
 */
import { firstEndingAfter } from "../update/delete-set.ts";
import type { ClientRange } from "../update/news.ts";
import type { Source } from "./source.ts";

export class CoveredClocks {
  /** Per client [start, end) pairs, ascending and disjoint. */
  readonly #ranges = new Map<number, Float64Array>();

  /** @param upTo clocks from here on are left out */
  static of(sources: readonly Source[], upTo: (client: number) => number): CoveredClocks {
    const found = new Map<number, [from: number, to: number][]>();
    const add = (client: number, from: number, to: number): void => {
      const end = Math.min(to, upTo(client));
      if (from >= end) return;
      const ranges = found.get(client);
      if (ranges === undefined) found.set(client, [[from, end]]);
      else ranges.push([from, end]);
    };
    for (const source of sources) {
      const skips = Map.groupBy(source.skips, (skip) => skip.client);
      for (const { client, clock, end } of source.sections) {
        let at = clock;
        for (const skip of skips.get(client) ?? []) {
          add(client, at, Math.min(skip.from, end));
          at = skip.to;
        }
        add(client, at, end);
      }
    }
    const covered = new CoveredClocks();
    for (const [client, ranges] of found) {
      ranges.sort((a, b) => a[0] - b[0]);
      const merged: number[] = [];
      for (const [from, to] of ranges) {
        const last = merged.length - 1;
        if (last > 0 && from <= merged[last]!) merged[last] = Math.max(merged[last]!, to);
        else merged.push(from, to);
      }
      covered.#ranges.set(client, Float64Array.from(merged));
    }
    return covered;
  }

  /** The covered parts of clocks `[from, to)`, ascending. */
  *parts(client: number, from: number, to: number): Generator<ClientRange, void> {
    const ranges = this.#ranges.get(client);
    if (ranges === undefined || from >= to) return;
    for (let at = firstEndingAfter(ranges, from) * 2; at < ranges.length && ranges[at]! < to; at += 2) {
      yield { client, from: Math.max(ranges[at]!, from), to: Math.min(ranges[at + 1]!, to) };
    }
  }

  /** The first covered clock at or after `from`, or Infinity. */
  next(client: number, from: number): number {
    const ranges = this.#ranges.get(client);
    if (ranges === undefined) return Infinity;
    const at = firstEndingAfter(ranges, from) * 2;
    return at < ranges.length ? Math.max(ranges[at]!, from) : Infinity;
  }

  /** Whether some clock in `[from, to)` is not covered. */
  hasHole(client: number, from: number, to: number): boolean {
    let at = from;
    for (const part of this.parts(client, from, to)) {
      if (part.from > at) return true;
      at = part.to;
    }
    return at < to;
  }
}
