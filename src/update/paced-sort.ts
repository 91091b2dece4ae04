/**
 * A stable sort that can pause: a vault that one device imported has hundreds of thousands of references to one client, and sorting them is
 * one call of tens of milliseconds otherwise. Blocks are sorted by the engine, then merged two by two.
 */

import type { Pacer } from "./pacer.ts";

/** Elements the engine sorts in one call: about 2 ms. */
const MAX_BLOCK = 16_384;
/** Comparing and moving one element once, as work (`pacer.ts`); a block's sort costs about ten times that for each. */
const MERGE_WORK = 8;
const BLOCK_WORK = 96;

/**
 * Sorts `items` in place.
 * @param sortBlock sorts a part in place, by the same order
 * @param isAfter whether `a` must come after `b`: false for equals, which then stay in their order
 */
export function* pacedSort<Items extends Int32Array | Float64Array>(
  items: Items,
  sortBlock: (part: Items) => void,
  isAfter: (a: number, b: number) => boolean,
  pacer: Pacer,
): Generator<null, void> {
  const count = items.length;
  const block = Math.min(MAX_BLOCK, Math.max(2, pacer.countBetween(BLOCK_WORK)));
  for (let from = 0; from < count; from += block) {
    const part = items.subarray(from, Math.min(count, from + block)) as Items;
    sortBlock(part);
    pacer.spend(part.length * BLOCK_WORK);
    yield* pacer.pause();
  }
  if (count <= block) return;
  let source = items;
  let target = items.slice() as Items;
  for (let width = block; width < count; width *= 2) {
    for (let from = 0; from < count; from += 2 * width) {
      const middle = Math.min(count, from + width);
      const to = Math.min(count, from + 2 * width);
      let left = from;
      let right = middle;
      for (let at = from; at < to; ) {
        const stop = Math.min(to, at + pacer.countLeft(MERGE_WORK));
        pacer.spend((stop - at) * MERGE_WORK);
        for (; at < stop; at++) {
          const takeRight = left === middle || (right < to && isAfter(source[left]!, source[right]!));
          target[at] = takeRight ? source[right++]! : source[left++]!;
        }
        yield* pacer.pause();
      }
    }
    [source, target] = [target, source];
  }
  if (source !== items) items.set(source);
}
