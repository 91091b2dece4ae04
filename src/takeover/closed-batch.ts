/** Gathers structs of many clients as they come in causal order, and writes them as one update with a section per client. */
import { release } from "../release.ts";
import type { ClientRange } from "../update/news.ts";
import { ByteWriter } from "../update/varint.ts";

/** Structs whose causes are all in the store or in an earlier batch, or in this one. */
export interface ClosedBatch {
  /** A v1 update, one section per client, without deletions. The bytes are the receiver's. */
  readonly update: Uint8Array;
  /** The clocks it brings; one range per client. */
  readonly ranges: ClientRange[];
}

/** Bytes of a section header at most, and of the two numbers around all sections. */
const SECTION_BYTES = 24;
const FRAME_BYTES = 10;

/** One client's share of the batch. */
interface Share {
  readonly range: ClientRange;
  structCount: number;
  /** Where its runs of structs lie in the log: [start, end) pairs flattened. */
  readonly runs: number[];
}

export class BatchWriter {
  /** Structs in the order in which they came. Whoever adds one writes it here first. */
  readonly log: ByteWriter;
  readonly #shares = new Map<number, Share>();
  #last: Share | null = null;

  /** @param capacity bytes reserved. */
  constructor(capacity: number) {
    this.log = new ByteWriter(capacity);
  }

  get isEmpty(): boolean {
    return this.#shares.size === 0;
  }

  /** Most bytes the update would have now. */
  get byteLength(): number {
    return this.log.length + this.#shares.size * SECTION_BYTES + FRAME_BYTES;
  }

  /** Most bytes it would have with another struct of so many bytes. */
  byteLengthWith(structBytes: number): number {
    return this.byteLength + structBytes + SECTION_BYTES;
  }

  /** The log's bytes from `start` on are clocks `from` to `to - 1` of `client`, and follow on from what it has here. */
  added(client: number, from: number, to: number, start: number): void {
    const end = this.log.length;
    let share = this.#last;
    if (share === null || share.range.client !== client) {
      share = this.#shares.get(client) ?? null;
      if (share === null) {
        share = { range: { client, from, to }, structCount: 0, runs: [] };
        this.#shares.set(client, share);
      }
      this.#last = share;
    }
    share.range.to = to;
    share.structCount++;
    const { runs } = share;
    if (runs.length > 0 && runs[runs.length - 1] === start) runs[runs.length - 1] = end;
    else runs.push(start, end);
  }

  /** The batch, and an empty one begins. */
  take(): ClosedBatch {
    const log = this.log.finish();
    const writer = new ByteWriter(this.byteLength);
    const ranges: ClientRange[] = [];
    writer.varUint(this.#shares.size);
    for (const { range, structCount, runs } of this.#shares.values()) {
      writer.varUint(structCount);
      writer.varUint(range.client);
      writer.varUint(range.from);
      for (let i = 0; i < runs.length; i += 2) writer.bytes(log, runs[i]!, runs[i + 1]!);
      ranges.push(range);
    }
    writer.byte(0);
    this.log.reset();
    this.#shares.clear();
    this.#last = null;
    return { update: writer.finish(), ranges };
  }

  /** No more batches: gives the memory back. */
  end(): void {
    release(this.log.finish());
  }
}
