/** Which chunk a reference falls into: cut points of new structs, handed to the chunks that hold the clocks they name. */
import { type CutPoints, mergeCutPoints } from "../update/cut-points.ts";
import type { ChunkEntry } from "./room-index.ts";

/** The chunk with those of `cuts` that fall inside its runs; the same entry when none does. A run's own first clock needs no cut. */
export function withCuts(chunk: ChunkEntry, cuts: CutPoints): ChunkEntry {
  const mine = new Map<number, number[]>();
  for (const run of chunk.runs) {
    const clocks = cuts.get(run.client);
    if (clocks === undefined) continue;
    for (let at = firstAbove(clocks, run.clock); at < clocks.length && clocks[at]! < run.end; at++) {
      const list = mine.get(run.client);
      if (list === undefined) mine.set(run.client, [clocks[at]!]);
      else list.push(clocks[at]!);
    }
  }
  if (mine.size === 0) return chunk;
  const added = new Map([...mine].map(([client, clocks]) => [client, Float64Array.from(clocks).sort()]));
  return { ...chunk, cuts: mergeCutPoints([chunk.cuts, added]) };
}

/** How many splits a client that loads the chunk has to make itself. */
export function cutCount(cuts: CutPoints): number {
  let count = 0;
  for (const clocks of cuts.values()) count += clocks.length;
  return count;
}

function firstAbove(clocks: Float64Array, clock: number): number {
  let low = 0;
  let high = clocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (clocks[middle]! > clock) high = middle;
    else low = middle + 1;
  }
  return low;
}
