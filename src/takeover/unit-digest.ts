/**
 * A digest over clock units: equal for two sets of structs that hold the same units however these are split, squashed, stripped, repeated in order or
 * packed, and different when one unit differs (by all chance; not against somebody who looks for collisions).
 *
 * A unit is one clock of one client. What counts of it:
 * - deleted (in the delete set, or its content is GC or Deleted): that it is deleted, nothing else;
 * - live: its kind of content; of text the UTF-16 unit, of a list the bytes of its one value, of every other content all bytes; its right origin, which every
 *   cut and every squash keeps; and its left origin, or without any origin its parent and map key. A left origin that is the clock before is what a later part
 *   of a struct has by nature, so it adds nothing: that is what makes it survive cuts.
 * Left out: the flag for a map key on structs with an origin (mergers lose it, update laws, T12) and the position of what is deleted.
 *
 * The digest is a sum of hashes in two 32-bit lanes per client, so order does not matter. A stretch of deleted units costs the same whatever its
 * length: a GC of six bytes may stand for 2^50 clocks.
 */
import { skipAny, skipString } from "../update/content.ts";
import type { DeleteSet } from "../update/delete-set.ts";
import { ByteReader } from "../update/varint.ts";
import { ANY_REF, DELETED_REF, GC_REF, JSON_REF, SKIP_REF, STRING_REF, type StructView } from "../update/visitor.ts";
import { type ClientSum, TWO_32, TwoLanes, highMark, laneA, laneB, newSum } from "./unit-hash.ts";

/** What is deleted, as the digest asks for it. */
export type DeletedClocks = Pick<DeleteSet, "ranges" | "overlap">;

/** Sees a hash of each unit; of one that says where it stands a second one, to be added. */
export type UnitSink = (clock: number, hash: number) => void;

/** Marks of what is hashed, beside the content refs. */
const PLACE = 65;
const ORIGIN = 66;
const ROOT_PARENT = 67;
const ITEM_PARENT = 68;
/** Stands for half a surrogate pair whose other half is not there, as in every rewriting (update laws, T6). */
const REPLACEMENT = 0xfffd;

export class UnitDigest {
  readonly #sink: UnitSink | null;
  readonly #clients = new Map<number, ClientSum>();
  #client = -1;
  #sum: ClientSum = newSum(0);
  /** Seeds of the struct's live units. */
  #seedA = 0;
  #seedB = 0;
  readonly #hash = new TwoLanes();
  /** The place in the struct's content. */
  #bytes: Uint8Array = EMPTY;
  #ref = 0;
  #offset = 0;
  #end = 0;
  #isAscii = false;
  #isInPair = false;
  #list = new ByteReader(EMPTY);

  /** @param sink sees single units too, deleted ones one by one: only for short stretches */
  constructor(sink: UnitSink | null = null) {
    this.#sink = sink;
  }

  /** Units added. */
  get units(): number {
    let units = 0;
    for (const sum of this.#clients.values()) units += sum.units;
    return units;
  }

  /**
   * Adds clocks `[from, to)` of one struct, which must be within it. A Skip adds nothing. Half a surrogate pair whose other half is outside `[from, to)`
   * or deleted counts as U+FFFD.
   */
  add(view: StructView, bytes: Uint8Array, from: number, to: number, deleted: DeletedClocks): void {
    const { ref, client } = view;
    if (ref === SKIP_REF || from >= to) return;
    this.#select(client);
    if (ref === GC_REF || ref === DELETED_REF) {
      this.#dead(from, to);
      return;
    }
    const ranges = deleted.ranges(client);
    let at = ranges === undefined ? 0 : deleted.overlap(client, from, to) * 2;
    const end = ranges === undefined ? 0 : ranges.length;
    this.#begin(view, bytes);
    if (from > view.clock) this.#skip(from - view.clock);
    for (let position = from; position < to; ) {
      const liveTo = at < end ? Math.min(ranges![at]!, to) : to;
      if (liveTo > position) {
        if (position === view.clock) this.#place(view, bytes);
        this.#live(position, liveTo);
        position = liveTo;
      }
      if (position < to) {
        const deadTo = Math.min(ranges![at + 1]!, to);
        this.#dead(position, deadTo);
        if (deadTo < to) this.#skip(deadTo - position);
        position = deadTo;
        at += 2;
      }
    }
  }

  /** Adds clocks `[from, to)` as deleted ones. */
  addDeleted(client: number, from: number, to: number): void {
    if (from >= to) return;
    this.#select(client);
    this.#dead(from, to);
  }

  /** Clients whose units differ, ascending. */
  difference(other: UnitDigest): number[] {
    const differing: number[] = [];
    for (const client of new Set([...this.#clients.keys(), ...other.#clients.keys()])) {
      const mine = this.#clients.get(client);
      const theirs = other.#clients.get(client);
      if (mine?.a !== theirs?.a || mine?.b !== theirs?.b || mine?.units !== theirs?.units) differing.push(client);
    }
    return differing.sort((x, y) => x - y);
  }

  /** 16 hex digits. */
  toString(): string {
    let a = 0;
    let b = 0;
    for (const sum of this.#clients.values()) {
      a = (a + sum.a) | 0;
      b = (b + sum.b) | 0;
    }
    return (a >>> 0).toString(16).padStart(8, "0") + (b >>> 0).toString(16).padStart(8, "0");
  }

  #select(client: number): void {
    if (client === this.#client) return;
    let sum = this.#clients.get(client);
    if (sum === undefined) {
      sum = newSum(client);
      this.#clients.set(client, sum);
    }
    this.#client = client;
    this.#sum = sum;
  }

  /** A difference of hashes of the two ends, so that touching stretches add up to the hash of the whole. */
  #dead(from: number, to: number): void {
    const sum = this.#sum;
    sum.a = (sum.a + laneA(sum.deadA ^ highMark(to), to | 0, 0) - laneA(sum.deadA ^ highMark(from), from | 0, 0)) | 0;
    sum.b = (sum.b + laneB(sum.deadB ^ highMark(to), to | 0, 0) - laneB(sum.deadB ^ highMark(from), from | 0, 0)) | 0;
    sum.units += to - from;
    if (this.#sink === null) return;
    for (let clock = from; clock < to; clock++) this.#sink(clock, laneA(sum.deadA ^ highMark(clock), clock | 0, 0));
  }

  /** What all live units of the struct share, and the start of its content. */
  #begin(view: StructView, bytes: Uint8Array): void {
    this.#hash.start(this.#sum, view.ref);
    if (view.rightClient >= 0) {
      this.#hash.number(view.rightClient);
      this.#hash.number(view.rightClock);
    }
    this.#seedA = this.#hash.a;
    this.#seedB = this.#hash.b;
    this.#bytes = bytes;
    this.#ref = view.ref;
    this.#end = view.end;
    this.#offset = view.contentStart;
    if (view.ref === STRING_REF || view.ref === ANY_REF || view.ref === JSON_REF) {
      // The varint before: byte length of a text, values of a list.
      while (bytes[this.#offset++]! >= 0x80);
    }
    if (view.ref === STRING_REF) {
      this.#isAscii = view.end - this.#offset === view.length;
      this.#isInPair = false;
    } else if (view.ref === ANY_REF || view.ref === JSON_REF) {
      this.#list = new ByteReader(bytes, this.#offset, view.end);
    }
  }

  /** Moves the place in the content over some clocks. */
  #skip(clocks: number): void {
    if (this.#ref === STRING_REF) {
      if (this.#isAscii) this.#offset += clocks;
      else this.#walkText(0, clocks, false);
    } else if (this.#ref === ANY_REF || this.#ref === JSON_REF) {
      for (let i = 0; i < clocks; i++) this.#nextValue();
    }
  }

  #live(from: number, to: number): void {
    this.#sum.units += to - from;
    switch (this.#ref) {
      case STRING_REF:
        if (this.#isAscii && to <= TWO_32 && this.#sink === null) this.#ascii(from, to);
        else this.#walkText(from, to - from, true);
        return;
      case ANY_REF:
      case JSON_REF:
        for (let clock = from; clock < to; clock++) {
          const start = this.#list.pos;
          this.#nextValue();
          this.#value(clock, start, this.#list.pos);
        }
        return;
      default:
        this.#value(from, this.#offset, this.#end);
    }
  }

  #ascii(from: number, to: number): void {
    const bytes = this.#bytes;
    const seedA = this.#seedA;
    const seedB = this.#seedB;
    const offset = this.#offset;
    const count = to - from;
    let a = this.#sum.a;
    let b = this.#sum.b;
    for (let i = 0; i < count; i++) {
      const unit = bytes[offset + i]!;
      const clock = (from + i) | 0;
      a = (a + laneA(seedA, clock, unit)) | 0;
      b = (b + laneB(seedB, clock, unit)) | 0;
    }
    this.#sum.a = a;
    this.#sum.b = b;
    this.#offset = offset + count;
  }

  /** Moves over `units` UTF-16 units from the place on and adds them, or not. A pair of which only one half is in them is torn. */
  #walkText(from: number, units: number, isLive: boolean): void {
    const bytes = this.#bytes;
    let offset = this.#offset;
    let i = 0;
    if (this.#isInPair && units > 0) {
      if (isLive) this.#unit(from, REPLACEMENT, REPLACEMENT);
      offset += 4;
      i = 1;
      this.#isInPair = false;
    }
    while (i < units) {
      const lead = bytes[offset]!;
      if (lead < 0xf0) {
        const size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : 3;
        if (isLive) {
          const unit = characterAt(bytes, offset);
          this.#unit(from + i, unit, unit);
        }
        offset += size;
        i++;
      } else if (i + 1 === units) {
        if (isLive) this.#unit(from + i, REPLACEMENT, REPLACEMENT);
        this.#isInPair = true;
        i++;
      } else {
        if (isLive) {
          const point = characterAt(bytes, offset);
          const high = 0xd7c0 + (point >> 10);
          const low = 0xdc00 | (point & 0x3ff);
          this.#unit(from + i, high, high);
          this.#unit(from + i + 1, low, low);
        }
        offset += 4;
        i += 2;
      }
    }
    this.#offset = offset;
  }

  #nextValue(): void {
    if (this.#ref === ANY_REF) skipAny(this.#list);
    else skipString(this.#list);
  }

  /** One unit whose content are bytes. */
  #value(clock: number, start: number, end: number): void {
    this.#hash.start(this.#sum, this.#ref);
    this.#hash.bytes(this.#bytes, start, end);
    this.#unit(clock, this.#hash.a, this.#hash.b);
  }

  #unit(clock: number, contentA: number, contentB: number): void {
    this.#sumUp(clock, this.#seedA, this.#seedB, contentA, contentB);
  }

  #sumUp(clock: number, seedA: number, seedB: number, contentA: number, contentB: number): void {
    const sum = this.#sum;
    const high = highMark(clock);
    const a = laneA(seedA ^ high, clock | 0, contentA);
    const b = laneB(seedB ^ high, clock | 0, contentB);
    sum.a = (sum.a + a) | 0;
    sum.b = (sum.b + b) | 0;
    if (this.#sink !== null) this.#sink(clock, a ^ b);
  }

  /** Where the first clock of the struct stands, as far as the struct says it and cuts do not change it. */
  #place(view: StructView, bytes: Uint8Array): void {
    const { client, clock, originClient, originClock } = view;
    if (originClient === client && originClock === clock - 1) return;
    this.#hash.start(this.#sum, PLACE);
    if (originClient >= 0) {
      this.#hash.number(ORIGIN);
      this.#hash.number(originClient);
      this.#hash.number(originClock);
    }
    if (view.parentKind === 1) {
      this.#hash.number(ROOT_PARENT);
      this.#hash.bytes(bytes, view.parentNameStart, view.parentNameEnd);
    } else if (view.parentKind === 2) {
      this.#hash.number(ITEM_PARENT);
      this.#hash.number(view.parentClient);
      this.#hash.number(view.parentClock);
    }
    if (view.subStart >= 0) this.#hash.bytes(bytes, view.subStart, view.subEnd);
    this.#sumUp(clock, this.#hash.a, this.#hash.b, PLACE, PLACE);
  }
}

const EMPTY = new Uint8Array(0);

/** The code point whose UTF-8, known to be valid, begins at `at`. */
function characterAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return lead;
  const second = bytes[at + 1]! & 0x3f;
  if (lead < 0xe0) return ((lead & 0x1f) << 6) | second;
  const third = bytes[at + 2]! & 0x3f;
  if (lead < 0xf0) return ((lead & 0x0f) << 12) | (second << 6) | third;
  return ((lead & 7) << 18) | (second << 12) | (third << 6) | (bytes[at + 3]! & 0x3f);
}
