/**
 * What an update holds beyond the clocks a room knows: the part that follows on without a gap, and the part behind a gap.
 * Known structs are dropped and the first one that reaches past them is cut, so repeats never reach the journal
 * (update laws, C7); structs behind a gap are kept apart until it closes (T1, T13).
 */

import { DeleteSet, DeleteSetBuilder, encodeDeleteSet } from "./delete-set.ts";
import { cutStruct } from "./cut.ts";
import { readRun, readUpdate } from "./reader.ts";
import { ByteWriter } from "./varint.ts";
import { LIMITS } from "../limits.ts";
import { UpdateRefusedError } from "./refused.ts";
import { GC_REF, SKIP_REF, type StructView, type UpdateVisitor } from "./visitor.ts";

export { cutStruct, cutStructRange } from "./cut.ts";

/** Clocks `from` to `to - 1` of one client. */
export interface ClientRange {
  client: number;
  from: number;
  to: number;
}

/** Structs of one client that stand side by side in the update; the first may have to be cut. */
interface Piece {
  client: number;
  /** First clock of the struct at `start`. */
  clock: number;
  /** First clock wanted: above `clock` when the first struct is cut. */
  from: number;
  structCount: number;
  start: number;
  end: number;
}

/** An update seen against what a room knows. Keeps the update's bytes: they must not change while this is in use. */
export class News {
  /** New and without a gap before it. At most one range per client, in the update's order. */
  readonly ready: readonly ClientRange[];
  /** New, behind a gap: a Skip, or a first clock above the known end. Ranges that touch are one. */
  readonly held: readonly ClientRange[];
  /** The update's delete set, all of it, canonical. */
  readonly deletes: DeleteSet;
  /** No struct was known, cut, skipped or held, and deletions stand in order: the update's own bytes say exactly what `readyUpdate` and `deletes` say. */
  readonly wholeIsReady: boolean;
  /** Structs that were partly known. More than a few point to a client id used twice (update laws, T2). */
  readonly overlaps: number;

  readonly #bytes: Uint8Array;
  readonly #structBytesEnd: number;
  readonly #hasDeletes: boolean;
  readonly #readyPieces: readonly Piece[];
  readonly #heldPieces: readonly Piece[];
  #readyUpdate: Uint8Array | null | undefined;
  #heldUpdate: Uint8Array | null | undefined;

  constructor(bytes: Uint8Array, structBytesEnd: number, collected: Collector) {
    this.#bytes = bytes;
    this.#structBytesEnd = structBytesEnd;
    // Any delete set but the one byte 0, a client without ranges included.
    this.#hasDeletes = bytes.length - structBytesEnd > 1;
    this.#readyPieces = collected.readyPieces;
    this.#heldPieces = collected.heldPieces;
    this.ready = collected.ready;
    this.held = collected.held;
    this.deletes = collected.deletes === null ? DeleteSet.empty : collected.deletes.build();
    this.wholeIsReady = collected.whole;
    this.overlaps = collected.overlaps;
  }

  /** The ready structs as a v1 update with an empty delete set, or null when there are none. Built when first asked for. */
  get readyUpdate(): Uint8Array | null {
    if (this.#readyUpdate !== undefined) return this.#readyUpdate;
    if (this.ready.length === 0) this.#readyUpdate = null;
    else if (this.wholeIsReady && !this.#hasDeletes) this.#readyUpdate = this.#bytes;
    else this.#readyUpdate = encodePieces(this.#bytes, this.#structBytesEnd, this.#readyPieces);
    return this.#readyUpdate;
  }

  /** The held structs as a v1 update with an empty delete set, inner gaps as Skips; null when there are none. */
  get heldUpdate(): Uint8Array | null {
    if (this.#heldUpdate === undefined) {
      this.#heldUpdate = this.held.length === 0 ? null : encodePieces(this.#bytes, this.#structBytesEnd, this.#heldPieces);
    }
    return this.#heldUpdate;
  }
}

/**
 * Shown each ready struct in stream order, with its first clock that is news. It has seen a prefix when the reading throws.
 */
export type ReadyLook = (view: StructView, bytes: Uint8Array, from: number) => void;

/**
 * Reads `bytes` strictly and sorts its structs into known, ready and held.
 * @param known end of the clocks known without a gap for a client, 0 for an unknown one; asked once per client section.
 * @param look sees what is ready on the way, so that nobody has to read it again
 * @throws {UpdateRefusedError}
 */
export function splitNews(bytes: Uint8Array, known: (client: number) => number, look: ReadyLook | null = null): News {
  const collector = new Collector(known, bytes, look);
  const stats = readUpdate(bytes, collector);
  return new News(bytes, stats.structBytesEnd, collector);
}

class Collector implements UpdateVisitor {
  readonly ready: ClientRange[] = [];
  readonly held: ClientRange[] = [];
  readonly readyPieces: Piece[] = [];
  readonly heldPieces: Piece[] = [];
  deletes: DeleteSetBuilder | null = null;
  whole = true;
  overlaps = 0;

  readonly #known: (client: number) => number;
  #structs = 0;
  /** End of what is known or ready of the current client. */
  #end = 0;
  #readyRange: ClientRange | null = null;
  #readyPiece: Piece | null = null;
  #heldRange: ClientRange | null = null;
  #heldPiece: Piece | null = null;
  /** Skips since the last held struct: they count only once another follows. */
  #openSkips = 0;

  /** End of the last range of the current client's deletions. */
  #deleteEnd = 0;

  readonly #bytes: Uint8Array;
  readonly #look: ReadyLook | null;

  constructor(known: (client: number) => number, bytes: Uint8Array, look: ReadyLook | null) {
    this.#known = known;
    this.#bytes = bytes;
    this.#look = look;
  }

  section(client: number): void {
    this.#end = this.#known(client);
    this.#readyRange = null;
    this.#readyPiece = null;
    this.#heldRange = null;
    this.#heldPiece = null;
    this.#openSkips = 0;
  }

  struct(view: StructView): void {
    if (view.ref === SKIP_REF) {
      this.whole = false;
      this.#openSkips++;
      return;
    }
    if (view.ref !== GC_REF && ++this.#structs > LIMITS.maxStructsPerUpdate) throw new UpdateRefusedError("too-many-structs", view.start);
    const { clock } = view;
    const end = clock + view.length;
    if (clock > this.#end) this.#hold(view, end);
    else if (end > this.#end) this.#take(view, end);
    else this.whole = false;
  }

  deleteClient(client: number, rangeCount: number): void {
    this.deletes ??= new DeleteSetBuilder();
    this.deletes.expect(client, rangeCount);
    this.#deleteEnd = 0;
  }

  deleteRange(client: number, clock: number, length: number): void {
    // Out of order, a stock document that cannot place the ranges yet writes them down wrong: it deletes other clocks later, or throws on every update (tried, yjs 13.6.33).
    if (clock < this.#deleteEnd) this.whole = false;
    this.#deleteEnd = clock + length;
    this.deletes!.add(client, clock, length);
  }

  #take(view: StructView, end: number): void {
    this.#look?.(view, this.#bytes, this.#end > view.clock ? this.#end : view.clock);
    const piece = this.#readyPiece;
    if (piece === null) {
      const { client, clock } = view;
      const from = this.#end;
      if (from > clock) {
        this.whole = false;
        this.overlaps++;
      }
      this.#readyRange = { client, from, to: end };
      this.#readyPiece = { client, clock, from, structCount: 1, start: view.start, end: view.end };
      this.ready.push(this.#readyRange);
      this.readyPieces.push(this.#readyPiece);
    } else {
      // Structs of a section follow each other, and a Skip in between would have made this one held.
      piece.structCount++;
      piece.end = view.end;
      this.#readyRange!.to = end;
    }
    this.#end = end;
  }

  #hold(view: StructView, end: number): void {
    this.whole = false;
    const { client, clock } = view;
    if (this.#heldRange !== null && this.#heldRange.to === clock) this.#heldRange.to = end;
    else {
      this.#heldRange = { client, from: clock, to: end };
      this.held.push(this.#heldRange);
    }
    const piece = this.#heldPiece;
    if (piece === null) {
      this.#heldPiece = { client, clock, from: clock, structCount: 1, start: view.start, end: view.end };
      this.heldPieces.push(this.#heldPiece);
    } else {
      piece.structCount += 1 + this.#openSkips;
      piece.end = view.end;
    }
    this.#openSkips = 0;
  }
}

function encodePieces(bytes: Uint8Array, structBytesEnd: number, pieces: readonly Piece[]): Uint8Array {
  let size = 16;
  for (const piece of pieces) size += piece.end - piece.start + 48;
  const writer = new ByteWriter(Math.min(size, structBytesEnd + pieces.length * 24 + 16));
  writer.varUint(pieces.length);
  for (const piece of pieces) {
    writer.varUint(piece.structCount);
    writer.varUint(piece.client);
    writer.varUint(piece.from);
    let start = piece.start;
    if (piece.from > piece.clock) {
      start = readRun(bytes, piece.start, piece.client, piece.clock, 1, {
        struct: (view) => cutStruct(view, bytes, piece.from - piece.clock, writer),
      });
    }
    writer.bytes(bytes, start, piece.end);
  }
  writer.byte(0);
  return writer.finish();
}

/** An update with nothing in it. */
const EMPTY_UPDATE = Uint8Array.of(0, 0);

/**
 * `structsOnlyUpdate` (null: no structs) with `deletes` as its delete set. The given update must end in an empty delete set,
 * as those of {@link News} do; it is returned itself when there is nothing to add.
 */
export function withDeletes(structsOnlyUpdate: Uint8Array | null, deletes: DeleteSet): Uint8Array {
  const update = structsOnlyUpdate ?? EMPTY_UPDATE;
  if (update[update.length - 1] !== 0) throw new Error("Cannot add deletes: the update does not end in an empty delete set");
  if (deletes.isEmpty) return update;
  const writer = new ByteWriter(update.length + 16 + deletes.rangeCount * 6);
  writer.bytes(update, 0, update.length - 1);
  encodeDeleteSet(deletes, writer);
  return writer.finish();
}
