/**
 * Streams a source as small updates that each can be loaded right after what came before: a struct goes out when it follows on from its client's
 * clocks and its origin, right origin and parent are stored or went out before (update laws, A3). What waits for something that does not come is
 * named and left behind, with everything of its client after it.
 */
import { LIMITS } from "../limits.ts";
import { cutStruct } from "../update/cut.ts";
import { STRUCT_WORK, Pacer } from "../update/pacer.ts";
import { SKIP_REF, type StructView } from "../update/visitor.ts";
import type { Blocked } from "./blocked-updates.ts";
import { BatchWriter, type ClosedBatch } from "./closed-batch.ts";
import type { Source } from "./source.ts";
import { StructCursor } from "./struct-cursor.ts";
import { WindowPool } from "./window-pool.ts";

export { type Blocked, blockedUpdates } from "./blocked-updates.ts";
export type { ClosedBatch } from "./closed-batch.ts";

/** Clocks that are stored. */
export interface StoredClocks {
  /** First clock of `client` that is missing. */
  end(client: number): number;
  /** Whether all clocks from `from` to `to - 1` are stored, behind a hole or not. */
  has(client: number, from: number, to: number): boolean;
}

export interface EmitOptions {
  /** Most bytes of a batch, unless a single struct is larger. */
  readonly batchBytes: number;
  /** Bytes of all windows together. */
  readonly windowBytes: number;
}

/** Smallest window of a client, bytes. */
const MIN_WINDOW_BYTES = 2 * 1024;
/** And the largest: more saves nothing. */
const MAX_WINDOW_BYTES = 256 * 1024;

/** Filling a window: a part may have to be read for it, and mostly is there. */
const LOAD_WORK = 64 * 1024;
/** A cut struct names an origin, which the whole one may not have done. */
const CUT_SLACK = 18;

/** Where a client's cursor stands. */
const GOES_ON = 0;
const AT_END = 1;
const IS_BLOCKED = 2;

/**
 * Null is a pause. Whoever takes a batch stores it before going on, or gives up: what went out counts as stored. Starting anew with a store
 * that has some of the batches brings the rest.
 * @param store asked at the start and for clients that `source` does not have; nothing else may be stored meanwhile
 * @throws {UpdateRefusedError} the bytes are no longer those that were read first
 * @throws {LegacyDamageError}
 */
export function* emitClosed(source: Source, store: StoredClocks, options: EmitOptions): Generator<ClosedBatch | null, Blocked[]> {
  const emission = new Emission(source, store, options);
  while (emission.run()) {
    if (emission.isFull) yield emission.take();
    else yield null;
  }
  if (!emission.isEmpty) yield emission.take();
  emission.end();
  return emission.blocked;
}

class Emission {
  readonly blocked: Blocked[] = [];
  /** The last `run` ended for a batch that is full. */
  isFull = false;
  readonly #source: Source;
  readonly #store: StoredClocks;
  readonly #batchBytes: number;
  readonly #batch: BatchWriter;
  readonly #pacer = new Pacer(LIMITS.chunkBytes);
  readonly #pool: WindowPool;
  /** Bytes of windows per byte of the update: all clients go on side by side at worst, and then each has its share. */
  readonly #windowShare: number;
  /** Index into the sections. */
  readonly #indexOf = new Map<number, number>();
  /** Per section: end of what is stored or went out, the state of its cursor, and the cursor once there is one. */
  readonly #ends: Float64Array;
  readonly #states: Uint8Array;
  readonly #cursors: (StructCursor | null)[];
  /** Sections being advanced, and the clock each must pass before the one below it can go on. */
  readonly #stack: number[] = [];
  readonly #needs: number[] = [];
  readonly #onStack: Uint8Array;
  #root = 0;

  constructor(source: Source, store: StoredClocks, options: EmitOptions) {
    const { sections } = source;
    this.#source = source;
    this.#store = store;
    this.#batchBytes = options.batchBytes;
    // Only a struct larger than a batch, or cuts, make it grow.
    this.#batch = new BatchWriter(Math.min(options.batchBytes, source.bytes.byteLength));
    this.#pool = new WindowPool(options.windowBytes);
    this.#windowShare = options.windowBytes / Math.max(1, source.bytes.byteLength);
    this.#ends = new Float64Array(sections.length);
    this.#states = new Uint8Array(sections.length);
    this.#onStack = new Uint8Array(sections.length);
    this.#cursors = sections.map(() => null);
    for (const [index, { client, end }] of sections.entries()) {
      this.#indexOf.set(client, index);
      const stored = store.end(client);
      this.#ends[index] = stored;
      if (stored >= end) this.#states[index] = AT_END;
    }
  }

  get isEmpty(): boolean {
    return this.#batch.isEmpty;
  }

  take(): ClosedBatch {
    this.isFull = false;
    return this.#batch.take();
  }

  /** Gives the memory back. */
  end(): void {
    this.#batch.end();
    this.#source.bytes.forget?.();
  }

  /** Goes on until a batch is full or a pause is due, and returns whether there is more. */
  run(): boolean {
    const stack = this.#stack;
    for (;;) {
      if (stack.length === 0) {
        while (this.#root < this.#states.length && this.#states[this.#root] !== GOES_ON) this.#root++;
        if (this.#root === this.#states.length) return false;
        this.#push(this.#root, Infinity);
      }
      const section = stack[stack.length - 1]!;
      if (this.#states[section] !== GOES_ON || this.#ends[section]! > this.#needs[stack.length - 1]!) {
        this.#pop();
        continue;
      }
      if (this.#pacer.isDue) {
        this.#pacer.restart();
        return true;
      }
      this.#advance(section);
      if (this.isFull) return true;
    }
  }

  /** Takes one struct, or steps over one that is stored, or finds what must go first, or that there is nothing more to take. */
  #advance(section: number): void {
    const cursor = this.#cursorOf(section);
    const view = cursor.peek();
    if (view === null) {
      this.#leave(section, AT_END);
      return;
    }
    const end = this.#ends[section]!;
    if (view.clock + view.length <= end) {
      this.#pass(cursor, view);
    } else if (view.clock > end || view.ref === SKIP_REF) {
      this.#blockAtGap(section, cursor);
    } else if (this.#isReady(section, view, view.clock < end)) {
      if (!this.#batch.isEmpty && this.#batch.byteLengthWith(view.end - view.start + CUT_SLACK) > this.#batchBytes) {
        this.isFull = true;
        return;
      }
      const { log } = this.#batch;
      const start = log.length;
      cutStruct(view, cursor.window, Math.max(0, end - view.clock), log);
      const reached = view.clock + view.length;
      this.#batch.added(view.client, end, reached, start);
      this.#ends[section] = reached;
      this.#pass(cursor, view);
    }
  }

  #pass(cursor: StructCursor, view: StructView): void {
    this.#pacer.spend(view.end - view.start + STRUCT_WORK);
    cursor.advance();
  }

  /** Whether everything the struct refers to is there (GC refers to nothing); else what it waits for goes first, or its client is blocked. */
  #isReady(section: number, view: StructView, isCut: boolean): boolean {
    // The rest of a struct refers to the part before it, and no longer to the parent.
    return (
      (isCut || this.#isThere(section, view.client, view.originClient, view.originClock)) &&
      this.#isThere(section, view.client, view.rightClient, view.rightClock) &&
      (isCut || this.#isThere(section, view.client, view.parentClient, view.parentClock))
    );
  }

  #isThere(section: number, own: number, client: number, clock: number): boolean {
    // The strict reader has seen that a struct refers to earlier clocks of its own client only.
    if (client === -1 || client === own) return true;
    const other = this.#indexOf.get(client);
    if (clock < (other === undefined ? this.#store.end(client) : this.#ends[other]!)) return true;
    // One on the stack waits for this one in turn: neither can ever be loaded.
    if (other === undefined || this.#states[other] !== GOES_ON || this.#onStack[other] === 1) this.#block(section, this.#ends[section]!, client, clock);
    else this.#push(other, clock);
    return false;
  }

  #blockAtGap(section: number, cursor: StructCursor): void {
    // Skips are no content: what is blocked begins behind them.
    let view = cursor.peek();
    while (view !== null && view.ref === SKIP_REF) {
      this.#pass(cursor, view);
      view = cursor.peek();
    }
    if (view === null) this.#leave(section, AT_END);
    else this.#block(section, view.clock, view.client, this.#ends[section]!);
  }

  #block(section: number, from: number, waitsForClient: number, clock: number): void {
    this.#leave(section, IS_BLOCKED);
    const { client, end } = this.#source.sections[section]!;
    if (this.#store.has(client, from, end)) return;
    this.blocked.push({ client, from, to: end, waitsFor: { client: waitsForClient, clock } });
  }

  #leave(section: number, state: number): void {
    this.#states[section] = state;
    this.#cursors[section]?.drop();
    this.#cursors[section] = null;
  }

  #cursorOf(section: number): StructCursor {
    const found = this.#cursors[section];
    if (found != null) return found;
    const run = this.#source.sections[section]!;
    const share = Math.floor((run.to - run.from) * this.#windowShare);
    const cursor = new StructCursor(this.#source.bytes, run, Math.min(MAX_WINDOW_BYTES, Math.max(MIN_WINDOW_BYTES, share)), this.#keep);
    this.#cursors[section] = cursor;
    return cursor;
  }

  readonly #keep = (cursor: StructCursor, byteLength: number): void => {
    if (byteLength > 0) this.#pacer.spend(LOAD_WORK);
    this.#pool.keep(cursor, byteLength);
  };

  #push(section: number, need: number): void {
    this.#stack.push(section);
    this.#needs.push(need);
    this.#onStack[section] = 1;
    const cursor = this.#cursors[section];
    if (cursor) this.#pool.touch(cursor);
  }

  #pop(): void {
    this.#onStack[this.#stack.pop()!] = 0;
    this.#needs.pop();
    this.#pacer.spend(STRUCT_WORK);
  }
}
