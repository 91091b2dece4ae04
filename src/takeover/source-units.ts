/** The units of a source as the store may hold them: a unit that loading would collect is deleted there, though no delete set says so (update laws, L4, T3). */
import type { DeleteSet } from "../update/delete-set.ts";
import type { StructView } from "../update/visitor.ts";
import type { UnitDigest } from "./unit-digest.ts";

/** What the store knows as gone. */
export interface Gone {
  readonly deletes: DeleteSet;
  /** Clocks that the store keeps as GC. */
  readonly collected: DeleteSet;
}

/**
 * Adds clocks `[from, to)` of a source's struct. A live unit that the store has as GC counts as deleted where its struct had to become one; elsewhere with its
 * content, so that digests differ.
 * @param follows the clock before `from` was counted from another struct: then what is collected together with that clock had to follow it
 */
export function addSourceUnits(digest: UnitDigest, view: StructView, bytes: Uint8Array, from: number, to: number, gone: Gone, follows: boolean): void {
  const { client } = view;
  const { deletes, collected } = gone;
  const ranges = collected.ranges(client);
  let at = collected.overlap(client, from, to) * 2;
  if (ranges === undefined || at >= ranges.length) {
    digest.add(view, bytes, from, to, deletes);
    return;
  }
  const isCollected = hadToBeCollected(view, gone);
  let position = from;
  for (; at < ranges.length && ranges[at]! < to; at += 2) {
    const start = Math.max(ranges[at]!, from);
    if (!isCollected && !(follows && ranges[at]! < from)) continue;
    const end = Math.min(ranges[at + 1]!, to);
    digest.add(view, bytes, position, start, deletes);
    digest.addDeleted(client, start, end);
    position = end;
  }
  digest.add(view, bytes, position, to, deletes);
}

/** Whether a loading client makes this struct a GC: its parent is deleted, or parent, origin or right origin are collected. */
function hadToBeCollected(view: StructView, gone: Gone): boolean {
  const { parentClient, parentClock, originClient, originClock, rightClient, rightClock } = view;
  const { deletes, collected } = gone;
  if (parentClient >= 0 && (deletes.isDeleted(parentClient, parentClock) || collected.isDeleted(parentClient, parentClock))) return true;
  if (originClient >= 0 && collected.isDeleted(originClient, originClock)) return true;
  return rightClient >= 0 && collected.isDeleted(rightClient, rightClock);
}
