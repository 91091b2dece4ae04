/**
 * Collects pieces of structs in causal order and writes them as chunks grouped by client, squashing neighbours (update laws, L5).
 * Pieces are kept as numbers until the chunk closes: a squashed text's byte length must be known before its first byte is written.
 */

import type { Chunk, ChunkRun, Source } from "./chunk.ts";
import { type Pacer, STRUCT_WORK } from "./pacer.ts";
import type { StructTable } from "./struct-table.ts";
import { ByteReader, ByteWriter } from "./varint.ts";
import { DELETED_REF, GC_REF, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN } from "./visitor.ts";

/** How a piece is written: the struct verbatim, as ContentDeleted, as GC, as text or as a list of values cut from its content. */
export const WHOLE = 0;
export const DELETED = 1;
export const GC = 2;
export const TEXT = 3;
export const LIST = 4;
export type PieceKind = 0 | 1 | 2 | 3 | 4;

/** A text piece begins or ends inside a surrogate pair: U+FFFD stands for the half it has (update laws, T6). */
export const HALF_AT_START = 1;
export const HALF_AT_END = 2;

const REPLACEMENT = Uint8Array.of(0xef, 0xbf, 0xbd);
/** Bytes guessed for a header that must be rebuilt (info, own client and clock, right origin) and for a length. */
const REBUILT_HEADER_BYTES = 17;
const LENGTH_BYTES = 2;
const FIRST_PIECES = 4096;

export class ChunkBuilder {
  readonly #table: StructTable;
  readonly #sources: readonly Source[];
  readonly #chunkBytes: number;
  readonly #pacer: Pacer;
  /** First and last piece of each client (dense index) in the open chunk, -1 for none, and the clients that have any. */
  readonly #head: Int32Array;
  readonly #tail: Int32Array;
  #touched: number[] = [];
  #openBytes = 0;
  /** The piece that did not fit any more: it begins the next chunk. */
  #waiting: Piece | null = null;

  #count = 0;
  #capacity = FIRST_PIECES;
  #row = new Int32Array(FIRST_PIECES);
  #from = new Float64Array(FIRST_PIECES);
  #to = new Float64Array(FIRST_PIECES);
  /** Kind in the low bits, then the half flags, then whether the piece goes on in its predecessor's struct. */
  #form = new Uint8Array(FIRST_PIECES);
  #sliceStart = new Int32Array(FIRST_PIECES);
  #sliceEnd = new Int32Array(FIRST_PIECES);
  #next = new Int32Array(FIRST_PIECES);

  constructor(table: StructTable, sources: readonly Source[], chunkBytes: number, pacer: Pacer) {
    this.#table = table;
    this.#sources = sources;
    this.#chunkBytes = chunkBytes;
    this.#pacer = pacer;
    this.#head = new Int32Array(table.clientIds.length).fill(-1);
    this.#tail = new Int32Array(table.clientIds.length).fill(-1);
  }

  /** Whether the open chunk has reached its size: then it must be closed before anything is added. */
  get isFull(): boolean {
    return this.#waiting !== null;
  }

  /**
   * Adds clocks `[from, to)` of a row. Pieces of one client come in ascending order.
   * @param isCut `from` is a cut point: do not squash over it
   * @param sliceStart byte range of the content in the source, for TEXT (UTF-8 bytes) and LIST (values)
   * @param halves HALF_AT_START, HALF_AT_END or both, for TEXT
   */
  add(row: number, from: number, to: number, kind: PieceKind, isCut: boolean, sliceStart: number, sliceEnd: number, halves: number): void {
    const client = this.#table.client[row]!;
    const continues = this.#continues(this.#tail[client]!, row, from, kind, isCut);
    let bytes = sliceEnd - sliceStart;
    if (!continues) bytes += this.#headerBytes(row, from, kind);
    if (this.#openBytes > 0 && this.#openBytes + bytes > this.#chunkBytes && !(continues && kind !== TEXT)) {
      this.#waiting = { row, from, to, kind, isCut, sliceStart, sliceEnd, halves };
      return;
    }
    this.#openBytes += bytes;
    this.#pacer.spend(STRUCT_WORK);

    const piece = this.#count;
    if (piece === this.#capacity) this.#grow();
    this.#count = piece + 1;
    this.#row[piece] = row;
    this.#from[piece] = from;
    this.#to[piece] = to;
    this.#form[piece] = kind | (halves << 3) | (continues ? CONTINUES : 0);
    this.#sliceStart[piece] = sliceStart;
    this.#sliceEnd[piece] = sliceEnd;
    this.#next[piece] = -1;
    const before = this.#tail[client]!;
    this.#tail[client] = piece;
    if (before === -1) {
      this.#head[client] = piece;
      this.#touched.push(client);
    } else {
      this.#next[before] = piece;
    }
  }

  /** Writes the open chunk, with pauses, and returns it; null when it holds nothing. */
  *close(): Generator<null, Chunk | null> {
    if (this.#count === 0) return null;
    const ids = this.#table.clientIds;
    this.#touched.sort((a, b) => ids[b]! - ids[a]!);
    const writer = new ByteWriter(this.#openBytes + 1024);
    const runs: ChunkRun[] = [];
    for (const client of this.#touched) {
      yield* this.#writeClient(client, writer, runs);
      this.#head[client] = -1;
      this.#tail[client] = -1;
    }
    const written = writer.finish();
    this.#touched = [];
    this.#count = 0;
    this.#openBytes = 0;
    const waiting = this.#waiting;
    if (waiting !== null) {
      this.#waiting = null;
      this.add(waiting.row, waiting.from, waiting.to, waiting.kind, waiting.isCut, waiting.sliceStart, waiting.sliceEnd, waiting.halves);
    }
    // The guess is high for squashed text; a chunk that waits in memory should not hold on to the slack.
    return { runs, bytes: written.length * 1.25 < written.buffer.byteLength ? written.slice() : written };
  }

  /** Whether the piece can go on in the struct that `before` belongs to: L5 for deleted and text, always for GC. */
  #continues(before: number, row: number, from: number, kind: PieceKind, isCut: boolean): boolean {
    if (before === -1 || this.#to[before] !== from || (this.#form[before]! & KIND) !== kind) return false;
    if (kind === GC) return true;
    if (isCut || (kind !== DELETED && kind !== TEXT)) return false;
    const table = this.#table;
    // Two values of one map key must not become one struct while they show (T4).
    if (kind === TEXT && (table.info[row]! & HAS_PARENT_SUB) !== 0) return false;
    // A boundary inside one source is there for a reason: whoever wrote that state squashed what nobody referred to. Structs that refer to it may
    // come in a later update, and each such squash costs every loading client a split (update laws, P1).
    if (from === table.clock[row] && table.source[row] === table.source[this.#row[before]!]) return false;
    if (from === table.clock[row]) {
      const follows = (table.info[row]! & HAS_ORIGIN) !== 0 && table.leftClient[row] === table.client[row] && table.leftClock[row] === from - 1;
      if (!follows) return false;
    }
    const right = table.rightClient[row]!;
    const rowBefore = this.#row[before]!;
    return right === table.rightClient[rowBefore] && (right === -1 || table.rightClock[row] === table.rightClock[rowBefore]);
  }

  #headerBytes(row: number, from: number, kind: PieceKind): number {
    const table = this.#table;
    if (kind === WHOLE) return table.end[row]! - table.start[row]!;
    if (kind === GC) return 1 + LENGTH_BYTES;
    return (from === table.clock[row] ? table.content[row]! - table.start[row]! : REBUILT_HEADER_BYTES) + LENGTH_BYTES;
  }

  *#writeClient(client: number, writer: ByteWriter, runs: ChunkRun[]): Generator<null, void> {
    const pacer = this.#pacer;
    let run: ChunkRun | null = null;
    for (let piece = this.#head[client]!; piece !== -1; ) {
      const start = writer.length;
      const stopAt = start + pacer.left;
      let count = 0;
      for (; piece !== -1 && writer.length + count * STRUCT_WORK < stopAt; count++) {
        let last = piece;
        for (let next = this.#next[last]!; next !== -1 && (this.#form[next]! & CONTINUES) !== 0; next = this.#next[last]!) {
          last = next;
          count++;
        }
        if (run === null || run.end !== this.#from[piece]) {
          run = { client: this.#table.clientIds[client]!, clock: this.#from[piece]!, end: 0, structCount: 0, offset: writer.length, byteLength: 0 };
          runs.push(run);
        }
        this.#writeStruct(piece, last, writer);
        run.end = this.#to[last]!;
        run.structCount++;
        run.byteLength = writer.length - run.offset;
        piece = this.#next[last]!;
      }
      pacer.spend(writer.length - start + count * STRUCT_WORK);
      if (pacer.isDue) yield* pacer.pause();
    }
  }

  /** Writes the pieces from `first` to `last` along the chain as one struct. */
  #writeStruct(first: number, last: number, writer: ByteWriter): void {
    const table = this.#table;
    const row = this.#row[first]!;
    const source = this.#sources[table.source[row]!]!.bytes;
    const kind = this.#form[first]! & KIND;
    switch (kind) {
      case WHOLE:
        writer.bytes(source, table.start[row], table.end[row]);
        return;
      case GC:
        writer.byte(GC_REF);
        writer.varUint(this.#to[last]! - this.#from[first]!);
        return;
      case DELETED:
        this.#writeHeader(row, this.#from[first]!, DELETED_REF, source, writer);
        writer.varUint(this.#to[last]! - this.#from[first]!);
        return;
      case LIST:
        this.#writeHeader(row, this.#from[first]!, table.info[row]! & 31, source, writer);
        writer.varUint(this.#to[first]! - this.#from[first]!);
        writer.bytes(source, this.#sliceStart[first], this.#sliceEnd[first]);
        return;
      default:
        this.#writeHeader(row, this.#from[first]!, table.info[row]! & 31, source, writer);
        this.#writeText(first, last, writer);
    }
  }

  #writeText(first: number, last: number, writer: ByteWriter): void {
    let byteLength = 0;
    for (let piece = first; ; piece = this.#next[piece]!) {
      const halves = this.#form[piece]! >> 3;
      byteLength += this.#sliceEnd[piece]! - this.#sliceStart[piece]!;
      byteLength += (halves & HALF_AT_START) === 0 ? 0 : REPLACEMENT.length;
      byteLength += (halves & HALF_AT_END) === 0 ? 0 : REPLACEMENT.length;
      if (piece === last) break;
    }
    writer.varUint(byteLength);
    for (let piece = first; ; piece = this.#next[piece]!) {
      const halves = this.#form[piece]! >> 3;
      if ((halves & HALF_AT_START) !== 0) writer.bytes(REPLACEMENT);
      const source = this.#sources[this.#table.source[this.#row[piece]!]!]!.bytes;
      writer.bytes(source, this.#sliceStart[piece], this.#sliceEnd[piece]);
      if ((halves & HALF_AT_END) !== 0) writer.bytes(REPLACEMENT);
      if (piece === last) break;
    }
  }

  /** Info byte, origins and parent: as the struct has them, or for a later part of it its own predecessor as origin. */
  #writeHeader(row: number, from: number, ref: number, source: Uint8Array, writer: ByteWriter): void {
    const table = this.#table;
    const info = table.info[row]!;
    if (from === table.clock[row]) {
      writer.byte((info & ~31) | ref);
      writer.bytes(source, table.start[row]! + 1, table.content[row]);
      return;
    }
    writer.byte(HAS_ORIGIN | (info & (HAS_RIGHT_ORIGIN | HAS_PARENT_SUB)) | ref);
    writer.varUint(table.clientIds[table.client[row]!]!);
    writer.varUint(from - 1);
    const right = table.rightClient[row]!;
    if (right !== -1) {
      writer.varUint(table.clientIds[right]!);
      writer.varUint(table.rightClock[row]!);
    }
  }

  #grow(): void {
    this.#capacity *= 2;
    const ints = (column: Int32Array): Int32Array<ArrayBuffer> => {
      const grown = new Int32Array(this.#capacity);
      grown.set(column);
      return grown;
    };
    const floats = (column: Float64Array): Float64Array<ArrayBuffer> => {
      const grown = new Float64Array(this.#capacity);
      grown.set(column);
      return grown;
    };
    this.#row = ints(this.#row);
    this.#from = floats(this.#from);
    this.#to = floats(this.#to);
    this.#sliceStart = ints(this.#sliceStart);
    this.#sliceEnd = ints(this.#sliceEnd);
    this.#next = ints(this.#next);
    const form = new Uint8Array(this.#capacity);
    form.set(this.#form);
    this.#form = form;
  }
}

interface Piece {
  readonly row: number;
  readonly from: number;
  readonly to: number;
  readonly kind: PieceKind;
  readonly isCut: boolean;
  readonly sliceStart: number;
  readonly sliceEnd: number;
  readonly halves: number;
}

const KIND = 7;
const CONTINUES = 32;

/** Byte offset where the UTF-8 of a string content begins; it ends at the struct's end. */
export function textStart(source: Uint8Array, content: number): number {
  const reader = new ByteReader(source, content);
  reader.varUint();
  return reader.pos;
}
