/**
 * Splits one struct at cut points and at the edges of deletions, decides what each piece becomes (update laws, L3, L4, A2)
 * and hands the pieces to the builder. Called for each struct, causes first, clocks ascending within a client.
 */

import { DELETED, GC, HALF_AT_END, HALF_AT_START, LIST, TEXT, textStart, WHOLE, type ChunkBuilder, type PieceKind } from "./chunk-builder.ts";
import type { Source } from "./chunk.ts";
import { skipAny, skipString } from "./content.ts";
import type { DeleteSet } from "./delete-set.ts";
import type { Pacer } from "./pacer.ts";
import type { StructTable } from "./struct-table.ts";
import { ByteReader } from "./varint.ts";
import { ANY_REF, DELETED_REF, GC_REF, HAS_ORIGIN, JSON_REF, STRING_REF } from "./visitor.ts";

export class Splitter {
  readonly #table: StructTable;
  readonly #sources: readonly Source[];
  readonly #builder: ChunkBuilder;
  readonly #deletes: DeleteSet;
  readonly #collected: DeleteSet | null;
  readonly #cuts: readonly Float64Array[];
  /** Per client: its deleted ranges, how far into them and into the cut points we are. */
  readonly #ranges: (Float64Array | undefined)[] = [];
  readonly #rangeAt: Int32Array;
  readonly #cutAt: Int32Array;
  /** Per client: [start, end) pairs of what became or was GC, ascending. */
  readonly #gc: (number[] | undefined)[] = [];
  readonly #walk = new ContentWalk();
  /** The row a pause has left in the middle of its content, else -1. */
  #walkedRow = -1;
  readonly #pacer: Pacer;

  constructor(
    table: StructTable,
    sources: readonly Source[],
    builder: ChunkBuilder,
    cuts: readonly Float64Array[],
    deletes: DeleteSet,
    collected: DeleteSet | null,
    pacer: Pacer,
  ) {
    const clients = table.clientIds.length;
    this.#table = table;
    this.#sources = sources;
    this.#builder = builder;
    this.#deletes = deletes;
    this.#collected = collected;
    this.#cuts = cuts;
    this.#pacer = pacer;
    for (const id of table.clientIds) this.#ranges.push(deletes.ranges(id));
    this.#rangeAt = new Int32Array(clients);
    this.#cutAt = new Int32Array(clients);
  }

  /**
   * Emits the row's clocks from `from` on, until a pause is due or the builder is full; at least one piece.
   * Returns the clock reached: when it is not the row's end, call again with it before any other row.
   */
  emit(row: number, from: number): number {
    const table = this.#table;
    const client = table.client[row]!;
    const clock = table.clock[row]!;
    const to = clock + table.length[row]!;
    const cuts = this.#cuts[client]!;
    let cutAt = this.#cutAt[client]!;
    while (cutAt < cuts.length && cuts[cutAt]! < from) cutAt++;
    let isCut = cuts[cutAt] === from;
    if (isCut) cutAt++;

    if (this.#isCollected(row, client, from)) {
      this.#cutAt[client] = cutAt;
      this.#noteCollected(client, from, to);
      this.#builder.add(row, from, to, GC, isCut, 0, 0, 0);
      return to;
    }

    const ref = table.info[row]! & 31;
    const ranges = ref === DELETED_REF ? undefined : this.#ranges[client];
    let rangeAt = this.#rangeAt[client]!;
    const walk = this.#walk;
    let isWalking = this.#walkedRow === row;
    let position = from;
    do {
      let isDeleted = ref === DELETED_REF;
      let edge = Infinity;
      if (ranges !== undefined) {
        while (rangeAt < ranges.length && ranges[rangeAt + 1]! <= position) rangeAt += 2;
        if (rangeAt < ranges.length) {
          isDeleted = ranges[rangeAt]! <= position;
          edge = isDeleted ? ranges[rangeAt + 1]! : ranges[rangeAt]!;
        }
      }
      let next = Math.min(to, edge, cuts[cutAt] ?? Infinity);
      const isWhole = position === clock && next === to;
      if (!isWhole && !isWalking && ref !== DELETED_REF) {
        isWalking = true;
        walk.begin(this.#sources[table.source[row]!]!.bytes, table.content[row]!, table.end[row]!, ref, table.length[row]!);
        walk.advance(position - clock);
      }
      const start = walk.offset;
      const startsHalf = walk.isInsidePair;
      if (isWalking) {
        walk.advance(next - position);
        // Only a delete edge may part a surrogate pair (T6): a cut point inside one is passed over.
        while (walk.isInsidePair && next !== edge && next !== to) {
          cutAt++;
          const passed = next;
          next = Math.min(to, edge, cuts[cutAt] ?? Infinity);
          walk.advance(next - passed);
        }
      }
      this.#addPiece(row, position, next, isCut, isDeleted, ref, isWalking, start, startsHalf);
      isCut = cuts[cutAt] === next;
      if (isCut) cutAt++;
      position = next;
    } while (position < to && !this.#builder.isFull && !this.#pacer.isDue);
    this.#rangeAt[client] = rangeAt;
    // A cut point at the clock reached concerns the piece or row after it.
    this.#cutAt[client] = isCut ? cutAt - 1 : cutAt;
    if (position < to) {
      this.#walkedRow = isWalking ? row : -1;
    } else if (isWalking) {
      this.#walkedRow = -1;
      walk.reset();
    }
    return position;
  }

  #addPiece(row: number, from: number, to: number, isCut: boolean, isDeleted: boolean, ref: number, isPart: boolean, start: number, startsHalf: boolean): void {
    const table = this.#table;
    if (isDeleted) {
      this.#builder.add(row, from, to, DELETED, isCut, 0, 0, 0);
    } else if (isPart) {
      const kind: PieceKind = ref === STRING_REF ? TEXT : LIST;
      const halves = (startsHalf ? HALF_AT_START : 0) | (this.#walk.isInsidePair ? HALF_AT_END : 0);
      // The character whose second half begins this piece is behind the offset only once it was walked over.
      const sliceStart = startsHalf ? start + 4 : start;
      this.#builder.add(row, from, to, kind, isCut, sliceStart, Math.max(sliceStart, this.#walk.offset), halves);
    } else if (ref === STRING_REF) {
      const source = this.#sources[table.source[row]!]!.bytes;
      this.#builder.add(row, from, to, TEXT, isCut, textStart(source, table.content[row]!), table.end[row]!, 0);
    } else {
      this.#builder.add(row, from, to, WHOLE, isCut, 0, 0, 0);
    }
  }

  /**
   * Whether a loading client would make this struct a GC (L4): its parent is deleted, or its origin, right origin or parent
   * lies in a GC. Causes come first, so what they became is known already and one pass reaches the fixpoint.
   */
  #isCollected(row: number, client: number, from: number): boolean {
    const { info, clock, leftClient, leftClock, rightClient, rightClock, clientIds } = this.#table;
    if ((info[row]! & 31) === GC_REF) return true;
    const left = leftClient[row]!;
    if (left !== -1) {
      if (this.#isInGc(left, leftClock[row]!)) return true;
      if ((info[row]! & HAS_ORIGIN) === 0 && this.#deletes.isDeleted(clientIds[left]!, leftClock[row]!)) return true;
    }
    const right = rightClient[row]!;
    if (right !== -1 && this.#isInGc(right, rightClock[row]!)) return true;
    return from > clock[row]! && this.#isInGc(client, from - 1);
  }

  #isInGc(client: number, clock: number): boolean {
    if (this.#collected !== null && this.#collected.isDeleted(this.#table.clientIds[client]!, clock)) return true;
    const ranges = this.#gc[client];
    if (ranges === undefined) return false;
    let low = 0;
    let high = ranges.length >>> 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ranges[2 * middle + 1]! > clock) high = middle;
      else low = middle + 1;
    }
    return 2 * low < ranges.length && ranges[2 * low]! <= clock;
  }

  #noteCollected(client: number, from: number, to: number): void {
    const ranges = (this.#gc[client] ??= []);
    if (ranges.length > 0 && ranges[ranges.length - 1] === from) ranges[ranges.length - 1] = to;
    else ranges.push(from, to);
  }
}

/** A position that moves through the content of one struct, clock by clock. */
class ContentWalk {
  /** Byte offset of the position; inside a surrogate pair, of the character's first byte. */
  offset = 0;
  isInsidePair = false;
  #source: Uint8Array = EMPTY;
  #ref = 0;
  #isAscii = false;
  #reader = new ByteReader(EMPTY);

  begin(source: Uint8Array, content: number, end: number, ref: number, length: number): void {
    this.#source = source;
    this.#ref = ref;
    this.isInsidePair = false;
    // String contents begin with their byte length, lists with their count.
    this.offset = textStart(source, content);
    this.#isAscii = ref === STRING_REF && end - this.offset === length;
    if (ref !== STRING_REF) this.#reader = new ByteReader(source, this.offset, end);
  }

  reset(): void {
    this.offset = 0;
    this.isInsidePair = false;
    this.#source = EMPTY;
  }

  advance(clocks: number): void {
    if (this.#isAscii) this.offset += clocks;
    else if (this.#ref === STRING_REF) this.#advanceText(clocks);
    else this.#advanceList(clocks);
  }

  #advanceText(units: number): void {
    if (units === 0) return;
    const source = this.#source;
    let offset = this.offset;
    let left = units;
    if (this.isInsidePair) {
      offset += 4;
      left--;
      this.isInsidePair = false;
    }
    while (left > 0) {
      const lead = source[offset]!;
      if (lead >= 0xf0) {
        if (left === 1) {
          this.isInsidePair = true;
          break;
        }
        offset += 4;
        left -= 2;
      } else {
        offset += lead < 0x80 ? 1 : lead < 0xe0 ? 2 : 3;
        left--;
      }
    }
    this.offset = offset;
  }

  #advanceList(values: number): void {
    for (let i = 0; i < values; i++) {
      if (this.#ref === ANY_REF) skipAny(this.#reader);
      else if (this.#ref === JSON_REF) skipString(this.#reader);
    }
    this.offset = this.#reader.pos;
  }
}

const EMPTY = new Uint8Array(0);
