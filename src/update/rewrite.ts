/**
 * The rewriter: any number of updates and chunks in, chunks out, without ever building a document (update laws, A2 and A3).
 * Every clock of the sources comes out exactly once. Deleted content is stripped, neighbours are squashed where nobody refers
 * to the boundary and split where somebody does, and causes come in the same or an earlier chunk than what rests on them.
 */

import { CausalOrder } from "./causal-order.ts";
import { ChunkBuilder } from "./chunk-builder.ts";
import type { Chunk, Source } from "./chunk.ts";
import { internalCuts, type CutPoints } from "./cut-points.ts";
import type { DeleteSet } from "./delete-set.ts";
import { Pacer } from "./pacer.ts";
import { Splitter } from "./splitter.ts";
import { orderByClient, StructTable } from "./struct-table.ts";

export interface RewriteOptions {
  /** Everything known deleted, in the sources or not. */
  deletes: DeleteSet;
  /** Clocks that structs outside the sources refer to. */
  cuts?: CutPoints;
  /** Clocks outside the sources that are GC structs, for a deep strip across chunks (L4). */
  collected?: DeleteSet;
  /** Size of a chunk, bytes; a struct that alone is larger makes a larger chunk. */
  chunkBytes: number;
  /** Work between two pauses: bytes scanned or written, and what costs as much (`pacer.ts`). */
  yieldEveryBytes?: number;
}

/** Some 5 ms once the engine has compiled the code, several times that before. */
const YIELD_EVERY_BYTES = 2 * 1024 * 1024;

/**
 * Yields the chunks in causal order, and `null` where a caller that works in bounded turns may pause.
 * The sources' bytes must not change until the end.
 * @throws {UpdateRefusedError} when a source is not what the strict reader accepts; no chunk has been yielded then.
 */
export function* rewriteSteps(sources: readonly Source[], options: RewriteOptions): Generator<Chunk | null, void> {
  const pacer = new Pacer(options.yieldEveryBytes ?? YIELD_EVERY_BYTES);
  const table = new StructTable();
  yield* table.scan(sources, pacer);
  if (table.count === 0) return;
  const cuts = yield* internalCuts(table, null, options.cuts ?? null, pacer);
  const causal = new CausalOrder(table, yield* orderByClient(table, pacer));
  const builder = new ChunkBuilder(table, sources, options.chunkBytes, pacer);
  const splitter = new Splitter(table, sources, builder, cuts, options.deletes, options.collected ?? null, pacer);

  for (let row = causal.next(); row !== -1; row = causal.next()) {
    const end = table.clock[row]! + table.length[row]!;
    for (let clock = causal.from; clock < end; ) {
      clock = splitter.emit(row, clock);
      if (builder.isFull) yield* finished(builder, pacer);
      else if (pacer.isDue) yield* pacer.pause();
    }
  }
  yield* finished(builder, pacer);
  table.giveBack();
}

function* finished(builder: ChunkBuilder, pacer: Pacer): Generator<Chunk | null, void> {
  const chunk = yield* builder.close();
  // The caller has a chunk to store: what comes after is another turn's work.
  pacer.restart();
  if (chunk !== null) yield chunk;
}

/** All chunks at once, for callers that need no pauses. */
export function rewrite(sources: readonly Source[], options: RewriteOptions): Chunk[] {
  const chunks: Chunk[] = [];
  for (const chunk of rewriteSteps(sources, { yieldEveryBytes: Infinity, ...options })) {
    if (chunk !== null) chunks.push(chunk);
  }
  return chunks;
}
