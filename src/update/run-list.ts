/**
 * The runs of one chunk as columns of numbers: 20 bytes a run where objects take over a hundred. A room keeps the runs of all its chunks in memory, and after
 * years they are some hundred thousand (update laws, C9). Offsets are not kept: runs lie back to back.
 */
import type { ChunkRun } from "./chunk.ts";

/** Client, clock, end, structs, bytes. */
const COLUMNS = 5;
const MAX_NARROW = 0xffff_ffff;

/** Immutable. Iterating makes an object per run that the caller may keep. */
export class RunList implements Iterable<ChunkRun> {
  static readonly empty = new RunList(new Uint32Array(0));

  /** Narrow until a value needs more than 32 bits: client ids are random 32-bit numbers, clocks stay far below. */
  readonly #values: Uint32Array | Float64Array;

  private constructor(values: Uint32Array | Float64Array) {
    this.#values = values;
  }

  /** Of runs in the order in which they lie in their chunk, without gaps, the first at offset 0. */
  static from(runs: readonly ChunkRun[]): RunList {
    const isNarrow = runs.every((run) => run.client <= MAX_NARROW && run.end <= MAX_NARROW);
    const values = isNarrow ? new Uint32Array(runs.length * COLUMNS) : new Float64Array(runs.length * COLUMNS);
    let at = 0;
    let offset = 0;
    for (const run of runs) {
      if (run.offset !== offset) throw new RangeError(`Cannot list runs: one lies at byte ${run.offset}, not ${offset}`);
      values[at++] = run.client;
      values[at++] = run.clock;
      values[at++] = run.end;
      values[at++] = run.structCount;
      values[at++] = run.byteLength;
      offset += run.byteLength;
    }
    return new RunList(values);
  }

  get length(): number {
    return this.#values.length / COLUMNS;
  }

  /** Clocks of all runs together. */
  get clockCount(): number {
    let count = 0;
    for (let at = 0; at < this.#values.length; at += COLUMNS) count += this.#values[at + 2]! - this.#values[at + 1]!;
    return count;
  }

  *[Symbol.iterator](): IterableIterator<ChunkRun> {
    const values = this.#values;
    let offset = 0;
    for (let at = 0; at < values.length; at += COLUMNS) {
      const byteLength = values[at + 4]!;
      yield { client: values[at]!, clock: values[at + 1]!, end: values[at + 2]!, structCount: values[at + 3]!, offset, byteLength };
      offset += byteLength;
    }
  }
}
