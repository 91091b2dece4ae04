/**
 * All structs of some sources as columns of numbers: 45 bytes a struct instead of an object each (a 34 MB vault has 618,000).
 * Clients are dense indexes here (`clientIds` maps back), so that per-client state elsewhere is an array too.
 */

import type { Source } from "./chunk.ts";
import { ELEMENT_WORK, type Pacer, STRUCT_WORK } from "./pacer.ts";
import { pacedSort } from "./paced-sort.ts";
import { readRun, UpdateReader } from "./reader.ts";
import { GC_REF, HAS_ORIGIN, SKIP_REF, type StructView, type UpdateVisitor } from "./visitor.ts";

/** Clocks fit 32 bits in every vault ever seen; the columns widen once when one does not. */
type ClockColumn = Uint32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

const MAX_NARROW = 0xffff_ffff;
const FIRST_CAPACITY = 1024;

export class StructTable {
  /** Rows in use; the columns are longer. */
  count = 0;
  /** Dense index of the struct's client. */
  client = new Int32Array(FIRST_CAPACITY);
  clock: ClockColumn = new Uint32Array(FIRST_CAPACITY);
  length: ClockColumn = new Uint32Array(FIRST_CAPACITY);
  /** Which source, and the struct's byte range in it; `content` is where the content begins. */
  source = new Int32Array(FIRST_CAPACITY);
  start = new Int32Array(FIRST_CAPACITY);
  end = new Int32Array(FIRST_CAPACITY);
  content = new Int32Array(FIRST_CAPACITY);
  info = new Uint8Array(FIRST_CAPACITY);
  /** Left origin, or the explicit parent item when there is no origin (never both in the format); client -1 for neither. */
  leftClient = new Int32Array(FIRST_CAPACITY);
  leftClock: ClockColumn = new Uint32Array(FIRST_CAPACITY);
  /** Right origin, client -1 for none. */
  rightClient = new Int32Array(FIRST_CAPACITY);
  rightClock: ClockColumn = new Uint32Array(FIRST_CAPACITY);
  /** Client ids by dense index, those only referred to included. */
  readonly clientIds: number[] = [];

  #indexes = new Map<number, number>();
  #lastId = -1;
  #lastIndex = -1;
  #capacity = FIRST_CAPACITY;
  #source = 0;
  readonly #visitor: UpdateVisitor = { struct: (view) => this.#push(view) };

  /**
   * Appends all structs of some sources in their order; Skips are left out. Pauses inside a large update, and between the runs of a chunk.
   * @throws {UpdateRefusedError} when the bytes are not what the strict reader accepts, or a run ends elsewhere than it says.
   */
  *scan(sources: readonly Source[], pacer: Pacer): Generator<null, void> {
    for (let index = 0; index < sources.length; index++) {
      const { bytes, runs } = sources[index]!;
      this.#source = index;
      if (runs === null) {
        const reader = new UpdateReader(bytes, this.#visitor);
        for (let isRead = false; !isRead; ) {
          const limit = pacer.left;
          isRead = reader.readSome(limit) !== null;
          // What is not the end has used up its limit.
          pacer.spend(isRead ? Math.min(limit, bytes.length) : limit);
          if (pacer.isDue) yield* pacer.pause();
        }
        continue;
      }
      for (const run of runs) {
        const end = readRun(bytes, run.offset, run.client, run.clock, run.structCount, this.#visitor);
        if (end !== run.offset + run.byteLength) {
          throw new Error(`Cannot read chunk run of client ${run.client}: ends at byte ${end}, not ${run.offset + run.byteLength}`);
        }
        pacer.spend(run.byteLength + run.structCount * STRUCT_WORK);
        if (pacer.isDue) yield* pacer.pause();
      }
    }
  }

  /** Dense index of a client id, given on first sight. */
  indexOf(clientId: number): number {
    if (clientId === this.#lastId) return this.#lastIndex;
    let index = this.#indexes.get(clientId);
    if (index === undefined) {
      index = this.clientIds.length;
      this.clientIds.push(clientId);
      this.#indexes.set(clientId, index);
    }
    this.#lastId = clientId;
    this.#lastIndex = index;
    return index;
  }

  #push(view: StructView): void {
    if (view.ref === SKIP_REF) return;
    const row = this.count;
    if (view.ref === GC_REF && this.#joinsGc(view, row - 1)) return;
    if (row === this.#capacity) this.#grow();
    if (!(this.clock instanceof Float64Array)) this.#widenFor(view);
    this.client[row] = this.indexOf(view.client);
    this.clock[row] = view.clock;
    this.length[row] = view.length;
    this.source[row] = this.#source;
    this.start[row] = view.start;
    this.end[row] = view.end;
    this.content[row] = view.contentStart;
    this.info[row] = view.info;
    if ((view.info & HAS_ORIGIN) !== 0) {
      this.leftClient[row] = this.indexOf(view.originClient);
      this.leftClock[row] = view.originClock;
    } else if (view.parentKind === 2) {
      this.leftClient[row] = this.indexOf(view.parentClient);
      this.leftClock[row] = view.parentClock;
    } else {
      this.leftClient[row] = -1;
    }
    if (view.rightClient === -1) {
      this.rightClient[row] = -1;
    } else {
      this.rightClient[row] = this.indexOf(view.rightClient);
      this.rightClock[row] = view.rightClock;
    }
    this.count = row + 1;
  }

  /** A GC struct that goes on where one ended takes no row of its own: 32 MB of them would be 16 million. */
  #joinsGc(view: StructView, before: number): boolean {
    if (before < 0 || (this.info[before]! & 31) !== GC_REF || this.source[before] !== this.#source) return false;
    if (this.client[before] !== this.indexOf(view.client) || this.clock[before]! + this.length[before]! !== view.clock) return false;
    if (!(this.clock instanceof Float64Array)) this.#widenFor(view);
    this.length[before]! += view.length;
    this.end[before] = view.end;
    return true;
  }

  #widenFor(view: StructView): void {
    // Own clock and length bound the own-client references; the others can name any clock.
    const largest = Math.max(view.clock + view.length, view.originClock, view.rightClock, view.parentClock);
    if (largest <= MAX_NARROW) return;
    this.clock = new Float64Array(this.clock);
    this.length = new Float64Array(this.length);
    this.leftClock = new Float64Array(this.leftClock);
    this.rightClock = new Float64Array(this.rightClock);
  }

  #grow(): void {
    // Half as much again: doubling would hold three times the largest table while it copies.
    this.#capacity = this.#capacity < 65_536 ? this.#capacity * 2 : Math.ceil(this.#capacity * 1.5);
    this.client = grownInt(this.client, this.#capacity);
    this.clock = grownClock(this.clock, this.#capacity);
    this.length = grownClock(this.length, this.#capacity);
    this.source = grownInt(this.source, this.#capacity);
    this.start = grownInt(this.start, this.#capacity);
    this.end = grownInt(this.end, this.#capacity);
    this.content = grownInt(this.content, this.#capacity);
    this.leftClient = grownInt(this.leftClient, this.#capacity);
    this.leftClock = grownClock(this.leftClock, this.#capacity);
    this.rightClient = grownInt(this.rightClient, this.#capacity);
    this.rightClock = grownClock(this.rightClock, this.#capacity);
    this.info = new Uint8Array(this.info.buffer.transfer(this.#capacity));
  }

  /** Gives the memory back at once: a vault that is taken over is rewritten in many tables. Not to be used afterwards. */
  giveBack(): void {
    const columns = [this.client, this.clock, this.length, this.source, this.start, this.end, this.content];
    for (const column of [...columns, this.info, this.leftClient, this.leftClock, this.rightClient, this.rightClock]) column.buffer.transfer(0);
  }
}

/** Rows grouped by client (dense index `c` has `rows[first[c]]` up to, not including, `rows[first[c + 1]]`), by clock, then by arrival. */
export interface ClientOrder {
  rows: Int32Array;
  first: Int32Array;
}

/** Sorts the table's rows by client, clock and arrival (update laws, T1: of two contents for one clock the first to arrive wins). */
export function* orderByClient(table: StructTable, pacer: Pacer): Generator<null, ClientOrder> {
  const { client, clock, count } = table;
  const clients = table.clientIds.length;
  const first = new Int32Array(clients + 1);
  yield* pacer.inParts(count, ELEMENT_WORK, (from, to) => {
    for (let row = from; row < to; row++) first[client[row]! + 1]!++;
  });
  for (let c = 0; c < clients; c++) first[c + 1]! += first[c]!;
  const rows = new Int32Array(count);
  const next = first.slice();
  const unsorted = new Uint8Array(clients);
  yield* pacer.inParts(count, ELEMENT_WORK, (from, to) => {
    for (let row = from; row < to; row++) {
      const c = client[row]!;
      const at = next[c]!++;
      rows[at] = row;
      if (at > first[c]! && clock[rows[at - 1]!]! > clock[row]!) unsorted[c] = 1;
    }
  });
  const byClock = (part: Int32Array): void => void part.sort((a, b) => clock[a]! - clock[b]! || a - b);
  for (let c = 0; c < clients; c++) {
    if (unsorted[c] === 1) yield* pacedSort(rows.subarray(first[c]!, first[c + 1]!), byClock, (a, b) => clock[a]! > clock[b]!, pacer);
  }
  return { rows, first };
}

/** The old column is empty afterwards: its memory goes into the new one. */
function grownInt(column: Int32Array<ArrayBuffer>, capacity: number): Int32Array<ArrayBuffer> {
  return new Int32Array(column.buffer.transfer(capacity * Int32Array.BYTES_PER_ELEMENT));
}

function grownClock(column: ClockColumn, capacity: number): ClockColumn {
  const buffer = column.buffer.transfer(capacity * column.BYTES_PER_ELEMENT);
  return column instanceof Float64Array ? new Float64Array(buffer) : new Uint32Array(buffer);
}
