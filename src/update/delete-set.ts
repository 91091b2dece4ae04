/**
 * Sets of deleted clocks, and other sets of clock ranges: per client sorted, merged, disjoint ranges in typed arrays.
 * 170,000 ranges take 2.7 MB here and some 17 MB as arrays of pairs (update laws, A6). Values are immutable; untouched
 * clients are shared between the sets that `union` and `subtract` make.
 */

import { readDeleteRanges } from "./delete-ranges.ts";
import { ELEMENT_WORK, Pacer, STRUCT_WORK, withoutPauses } from "./pacer.ts";
import { UpdateRefusedError } from "./refused.ts";
import { ByteReader, ByteWriter } from "./varint.ts";

const NO_CLIENTS: ReadonlyMap<number, Float64Array> = new Map();

/** An immutable set of (client, clock) as canonical ranges. */
export class DeleteSet {
  static readonly empty: DeleteSet = new DeleteSet(NO_CLIENTS);

  readonly #clients: ReadonlyMap<number, Float64Array>;

  /**
   * @param clients per client its ranges, canonical: [start, end) pairs flattened, ascending, never touching, never none.
   *   Build from anything else with {@link DeleteSetBuilder}.
   */
  constructor(clients: ReadonlyMap<number, Float64Array>) {
    this.#clients = clients;
  }

  get isEmpty(): boolean {
    return this.#clients.size === 0;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  get rangeCount(): number {
    let count = 0;
    for (const ranges of this.#clients.values()) count += ranges.length / 2;
    return count;
  }

  /** Memory held, bytes, roughly: 16 per range and the map's share per client. */
  get estimateBytes(): number {
    return this.rangeCount * 16 + this.#clients.size * 160;
  }

  /** Client ids, in no particular order. */
  clients(): IterableIterator<number> {
    return this.#clients.keys();
  }

  /** [start, end) pairs flattened, ascending, disjoint and not touching; undefined when there are none. Do not write to it. */
  ranges(client: number): Float64Array | undefined {
    return this.#clients.get(client);
  }

  isDeleted(client: number, clock: number): boolean {
    const ranges = this.#clients.get(client);
    if (ranges === undefined) return false;
    const index = firstEndingAfter(ranges, clock);
    return index < ranges.length / 2 && ranges[index * 2]! <= clock;
  }

  /**
   * Index `i` of the first range of `client` that overlaps [from, to): `ranges[2 * i]` to `ranges[2 * i + 1]`. Those after it
   * overlap as long as their start is below `to`. When none overlaps, the number of ranges (0 for an unknown client).
   */
  overlap(client: number, from: number, to: number): number {
    const ranges = this.#clients.get(client);
    if (ranges === undefined) return 0;
    const index = firstEndingAfter(ranges, from);
    return index < ranges.length / 2 && ranges[index * 2]! >= to ? ranges.length / 2 : index;
  }
}

/** Index of the first range whose end is above `clock`; the number of ranges when there is none. */
export function firstEndingAfter(ranges: Float64Array, clock: number): number {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle * 2 + 1]! > clock) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Collects ranges in any order, with repeats and overlaps, and makes them canonical at the end: one sort, one sweep. */
export class DeleteSetBuilder {
  readonly #lists = new Map<number, RangeList>();
  #lastClient = -1;
  #lastList: RangeList | null = null;

  /** Makes room for `rangeCount` ranges of `client`, so that adding them copies nothing. */
  expect(client: number, rangeCount: number): void {
    if (rangeCount > 0 && !this.#lists.has(client)) this.#lists.set(client, new RangeList(rangeCount));
  }

  /** Adds clocks `clock` to `clock + length - 1`; a length of 0 or less adds nothing. */
  add(client: number, clock: number, length: number): void {
    if (length <= 0) return;
    let list = client === this.#lastClient ? this.#lastList : null;
    if (list === null) {
      list = this.#lists.get(client) ?? null;
      if (list === null) {
        list = new RangeList();
        this.#lists.set(client, list);
      }
      this.#lastClient = client;
      this.#lastList = list;
    }
    list.add(clock, clock + length);
  }

  /** Adds everything in `set`. */
  addSet(set: DeleteSet): void {
    for (const client of set.clients()) {
      const ranges = set.ranges(client)!;
      for (let i = 0; i < ranges.length; i += 2) this.add(client, ranges[i]!, ranges[i + 1]! - ranges[i]!);
    }
  }

  /** What was added so far, canonical. */
  build(): DeleteSet {
    if (this.#lists.size === 0) return DeleteSet.empty;
    const clients = new Map<number, Float64Array>();
    for (const [client, list] of this.#lists) {
      const ranges = list.canonical();
      if (ranges.length > 0) clients.set(client, ranges);
    }
    if (clients.size === 0) return DeleteSet.empty;
    return new DeleteSet(clients);
  }
}

/** Growable [start, end) pairs. Ranges that come in order stay canonical while they are added. */
class RangeList {
  #pairs: Float64Array<ArrayBuffer>;
  #used = 0;
  #sorted = true;
  /** Somebody holds the array itself: the next change goes to a copy. */
  #isHandedOut = false;

  /** @param expected ranges there is room for at first */
  constructor(expected = 2) {
    this.#pairs = new Float64Array(2 * expected);
  }

  add(start: number, end: number): void {
    const used = this.#used;
    if (this.#isHandedOut) {
      this.#pairs = this.#pairs.slice();
      this.#isHandedOut = false;
    }
    if (used > 0) {
      const lastStart = this.#pairs[used - 2]!;
      const lastEnd = this.#pairs[used - 1]!;
      if (start >= lastStart && start <= lastEnd) {
        if (end > lastEnd) this.#pairs[used - 1] = end;
        return;
      }
      if (start < lastStart) this.#sorted = false;
    }
    if (used === this.#pairs.length) {
      this.#pairs = new Float64Array(this.#pairs.buffer.transfer(Math.max(4, used * 2) * Float64Array.BYTES_PER_ELEMENT));
    }
    this.#pairs[used] = start;
    this.#pairs[used + 1] = end;
    this.#used = used + 2;
  }

  canonical(): Float64Array {
    if (!this.#sorted) return sweep(this.#pairs, this.#used);
    if (this.#used < this.#pairs.length) return this.#pairs.slice(0, this.#used);
    this.#isHandedOut = true;
    return this.#pairs;
  }
}

/**
 * Union of `used / 2` pairs in any order. Starts and ends may be sorted apart: a union range ends where as many ranges have
 * ended as have begun, whichever they are.
 */
function sweep(pairs: Float64Array, used: number): Float64Array {
  const count = used / 2;
  const starts = new Float64Array(count);
  const ends = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    starts[i] = pairs[2 * i]!;
    ends[i] = pairs[2 * i + 1]!;
  }
  starts.sort();
  ends.sort();
  const out = new Float64Array(used);
  let written = 0;
  let start = starts[0]!;
  for (let i = 0; i < count; i++) {
    // Strictly below: ranges that touch are one range.
    if (i + 1 < count && starts[i + 1]! <= ends[i]!) continue;
    out[written++] = start;
    out[written++] = ends[i]!;
    if (i + 1 < count) start = starts[i + 1]!;
  }
  starts.buffer.transfer(0);
  ends.buffer.transfer(0);
  return shrunk(out, written);
}

/** The first numbers, and the memory of the others back. */
function shrunk(numbers: Float64Array<ArrayBuffer>, count: number): Float64Array {
  return count === numbers.length ? numbers : new Float64Array(numbers.buffer.transfer(count * Float64Array.BYTES_PER_ELEMENT));
}

/** Everything in any of `sets`. */
export function union(...sets: readonly DeleteSet[]): DeleteSet {
  return withoutPauses(unionSteps(sets, new Pacer(Infinity)));
}

/** The same with pauses between clients. */
export function* unionSteps(sets: readonly DeleteSet[], pacer: Pacer): Generator<null, DeleteSet> {
  const filled = sets.filter((set) => !set.isEmpty);
  if (filled.length === 0) return DeleteSet.empty;
  if (filled.length === 1) return filled[0]!;
  const parts = new Map<number, Float64Array[]>();
  for (const set of filled) {
    for (const client of set.clients()) {
      const list = parts.get(client);
      if (list === undefined) parts.set(client, [set.ranges(client)!]);
      else list.push(set.ranges(client)!);
    }
    pacer.spend(set.clientCount * STRUCT_WORK);
    if (pacer.isDue) yield* pacer.pause();
  }
  const clients = new Map<number, Float64Array>();
  for (const [client, list] of parts) {
    const ranges = list.length === 1 ? list[0]! : joined(list);
    clients.set(client, ranges);
    pacer.spend(STRUCT_WORK + (list.length - 1) * ranges.length * ELEMENT_WORK);
    if (pacer.isDue) yield* pacer.pause();
  }
  return new DeleteSet(clients);
}

/** Sorted lists merged pair by pair: no sort, because a room's sets of 100,000 ranges are united at every answer. */
function joined(lists: readonly Float64Array[]): Float64Array {
  let merged = lists[0]!;
  for (let next = 1; next < lists.length; next++) {
    const before = merged;
    merged = merge(before, lists[next]!);
    // One of ours, and nobody else's.
    if (next > 1) (before.buffer as ArrayBuffer).transfer(0);
  }
  return merged;
}

function merge(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(a.length + b.length);
  let written = 0;
  let end = -1;
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const fromA = j === b.length || (i < a.length && a[i]! <= b[j]!);
    const start = fromA ? a[i]! : b[j]!;
    const stop = fromA ? a[i + 1]! : b[j + 1]!;
    if (fromA) i += 2;
    else j += 2;
    if (written > 0 && start <= end) {
      // Ranges that touch are one range.
      if (stop > end) out[written - 1] = end = stop;
      continue;
    }
    out[written++] = start;
    out[written++] = end = stop;
  }
  return shrunk(out, written);
}

/** What is in `a` and not in `b`. */
export function subtract(a: DeleteSet, b: DeleteSet): DeleteSet {
  if (a.isEmpty || b.isEmpty) return a;
  const clients = new Map<number, Float64Array>();
  for (const client of a.clients()) {
    const ranges = a.ranges(client)!;
    const minus = b.ranges(client);
    const rest = minus === undefined ? ranges : without(ranges, minus);
    if (rest.length > 0) clients.set(client, rest);
  }
  return clients.size === 0 ? DeleteSet.empty : new DeleteSet(clients);
}

function without(ranges: Float64Array, minus: Float64Array): Float64Array {
  // Each range of `minus` can cut one range in two, so there are at most this many pieces.
  const out = new Float64Array(ranges.length + minus.length);
  let written = 0;
  let m = firstEndingAfter(minus, ranges[0]!) * 2;
  for (let i = 0; i < ranges.length; i += 2) {
    let start = ranges[i]!;
    const end = ranges[i + 1]!;
    while (m < minus.length && minus[m + 1]! <= start) m += 2;
    for (let k = m; k < minus.length && minus[k]! < end && start < end; k += 2) {
      if (minus[k]! > start) {
        out[written++] = start;
        out[written++] = minus[k]!;
      }
      start = minus[k + 1]!;
    }
    if (start < end) {
      out[written++] = start;
      out[written++] = end;
    }
  }
  return shrunk(out, written);
}

/** Gives the memory of `set` back, except what it shares with `kept`. For one that nobody else has, or shares clients with. */
export function giveBack(set: DeleteSet, kept: DeleteSet): void {
  for (const client of set.clients()) {
    const ranges = set.ranges(client)!;
    if (ranges !== kept.ranges(client)) (ranges.buffer as ArrayBuffer).transfer(0);
  }
}

/** Whether every clock of `b` is in `a`. Costs a binary search per range of `b`. */
export function covers(a: DeleteSet, b: DeleteSet): boolean {
  for (const client of b.clients()) {
    const wanted = b.ranges(client)!;
    const have = a.ranges(client);
    if (have === undefined) return false;
    if (have === wanted) continue;
    for (let i = 0; i < wanted.length; i += 2) {
      const index = firstEndingAfter(have, wanted[i]!) * 2;
      // Ranges of `a` never touch, so a range of `b` lies within one of them or is not covered.
      if (index >= have.length || have[index]! > wanted[i]! || have[index + 1]! < wanted[i + 1]!) return false;
    }
  }
  return true;
}

/**
 * The delete set as it stands at the end of a v1 update: clients in descending order, ranges ascending.
 * With a `writer` the bytes are appended to it. Returns the encoded bytes only.
 */
export function encodeDeleteSet(set: DeleteSet, writer: ByteWriter = new ByteWriter(16 + set.rangeCount * 6)): Uint8Array {
  const start = writer.length;
  const clients = Float64Array.from(set.clients()).sort();
  writer.varUint(clients.length);
  for (let i = clients.length - 1; i >= 0; i--) {
    const client = clients[i]!;
    const ranges = set.ranges(client)!;
    writer.varUint(client);
    writer.varUint(ranges.length / 2);
    writer.clockRanges(ranges);
  }
  return writer.finish(start);
}

/**
 * Reads what {@link encodeDeleteSet} wrote, or the delete set at the end of an update, from `offset` to the end of `bytes`.
 * Ranges may come unsorted.
 * @throws {UpdateRefusedError} also on trailing bytes
 */
export function decodeDeleteSet(bytes: Uint8Array, offset = 0): DeleteSet {
  const reader = new ByteReader(bytes, offset);
  const builder = new DeleteSetBuilder();
  readDeleteRanges(reader, {
    deleteClient: (client, count) => builder.expect(client, count),
    deleteRange: (client, clock, length) => builder.add(client, clock, length),
  });
  if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);
  return builder.build();
}

/** Clocks that ranges cover. */
export function clockCount(ranges: Float64Array): number {
  let count = 0;
  for (let i = 0; i < ranges.length; i += 2) count += ranges[i + 1]! - ranges[i]!;
  return count;
}

/**
 * A hash of one client's canonical ranges as an integer below 2^53: equal ranges give equal hashes, different ones collide by
 * chance only (not against somebody who looks for collisions). It is stored: never change it without a migration.
 * Two 32-bit lanes take the low and high words of every start and end in order.
 */
export function clientHash(ranges: Float64Array): number {
  let a = 0x2545f491 ^ ranges.length;
  let b = 0x6c8e9cf5;
  for (let i = 0; i < ranges.length; i++) {
    const value = ranges[i]!;
    const low = value >>> 0;
    const high = (value / 0x100000000) >>> 0;
    a = Math.imul(a ^ low, 0x9e3779b1);
    a ^= a >>> 15;
    a = Math.imul(a + high + 0x7f4a7c15, 0x85ebca6b);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b + low, 0xc2b2ae35) ^ a;
    b = Math.imul(b ^ (b >>> 16) ^ high, 0x27d4eb2f);
    b = (b << 17) | (b >>> 15);
  }
  a = Math.imul(a ^ (a >>> 16) ^ b, 0x7feb352d);
  a ^= a >>> 15;
  b = Math.imul(b ^ (b >>> 15) ^ a, 0x846ca68b);
  b ^= b >>> 16;
  return (a >>> 0) * 0x200000 + ((b >>> 0) >>> 11);
}
