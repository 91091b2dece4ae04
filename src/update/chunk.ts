/**
 * What a chunk is: structs as byte ranges per client, so that serving copies ranges instead of reading structs.
 * The bytes of a run are plain Yjs v1 structs without a section header; the run says whose and which clocks they are.
 */

/** Structs of one client with contiguous clocks, at bytes `[offset, offset + byteLength)` of their chunk. */
export interface ChunkRun {
  client: number;
  /** First clock. */
  clock: number;
  /** Clock after the last. */
  end: number;
  /** Structs in the run, at least 1; never a Skip. */
  structCount: number;
  offset: number;
  byteLength: number;
}

/** Runs in descending order of client, ascending clocks within one client; `bytes` holds them in that order without gaps. */
export interface Chunk {
  runs: ChunkRun[];
  bytes: Uint8Array;
}

/** What the rewriter reads: a chunk, or (`runs` null) a whole v1 update, whose own delete set is ignored. */
export interface Source {
  bytes: Uint8Array;
  runs: Iterable<ChunkRun> | null;
}
