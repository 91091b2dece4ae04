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
  /** Bytes scanned or written between two pauses. */
  yieldEveryBytes?: number;
}

const YIELD_EVERY_BYTES = 4 * 1024 * 1024;

/**
 * Yields the chunks in causal order, and `null` where a caller that works in bounded turns may pause.
 * The sources' bytes must not change until the end.
 * @throws {UpdateRefusedError} when a source is not what the strict reader accepts; no chunk has been yielded then.
 */
export function* rewriteSteps(sources: readonly Source[], options: RewriteOptions): Generator<Chunk | null, void> {
  const yieldEveryBytes = options.yieldEveryBytes ?? YIELD_EVERY_BYTES;
  const table = new StructTable();
  let scanned = 0;
  for (let i = 0; i < sources.length; i++) {
    table.scan(sources[i]!, i);
    scanned += sources[i]!.bytes.length;
    if (scanned >= yieldEveryBytes) {
      scanned = 0;
      yield null;
    }
  }
  if (table.count === 0) return;
  const cuts = internalCuts(table, null, options.cuts ?? null);
  const causal = new CausalOrder(table, orderByClient(table));
  const builder = new ChunkBuilder(table, sources, options.chunkBytes);
  const splitter = new Splitter(table, sources, builder, cuts, options.deletes, options.collected ?? null);
  if (table.count > LARGE_TABLE) yield null;

  let pausedAt = 0;
  for (let row = causal.next(); row !== -1; row = causal.next()) {
    splitter.emit(row, causal.from);
    while (builder.ready.length > 0) yield builder.ready.shift()!;
    if (builder.addedBytes - pausedAt >= yieldEveryBytes) {
      pausedAt = builder.addedBytes;
      yield null;
    }
  }
  builder.close();
  yield* builder.ready;
}

/** Structs from which ordering and cutting alone take long enough to deserve a pause. */
const LARGE_TABLE = 50_000;

/** All chunks at once, for callers that need no pauses. */
export function rewrite(sources: readonly Source[], options: RewriteOptions): Chunk[] {
  const chunks: Chunk[] = [];
  for (const chunk of rewriteSteps(sources, options)) {
    if (chunk !== null) chunks.push(chunk);
  }
  return chunks;
}
