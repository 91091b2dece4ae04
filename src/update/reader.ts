/**
 * The strict reader of v1 updates: one pass, no object per struct, no strings. It refuses whatever a stock document throws on
 * or understands differently from a byte-level tool, and accepts everything genuine clients, merges and diffs produce
 * (update laws, A1; the list with reasons is in this folder's README).
 */

import { LIMITS } from "../limits.ts";
import { skipContent, skipText } from "./content.ts";
import { ClientsOnce, DeleteRangeReader } from "./delete-ranges.ts";
import { STRUCT_WORK } from "./pacer.ts";
import { UpdateRefusedError } from "./refused.ts";
import { ByteReader } from "./varint.ts";
import { DOC_REF, GC_REF, HAS_ORIGIN, HAS_PARENT_SUB, HAS_RIGHT_ORIGIN, SKIP_REF, type StructView, type UpdateVisitor } from "./visitor.ts";

/** What a whole update held. */
export interface UpdateStats {
  /** Client sections with at least one struct. */
  clients: number;
  /** Structs, Skips included. */
  structs: number;
  /** Delete ranges as written. */
  deleteRanges: number;
  /** Byte offset where the structs end and the delete set begins. */
  structBytesEnd: number;
}

/**
 * Reads all of `bytes` as one v1 update and shows it to `visitor` in stream order.
 * The visitor has seen a prefix when this throws: act on it only after the return.
 * Sections without structs are harmless and not shown.
 * @throws {UpdateRefusedError}
 */
export function readUpdate(bytes: Uint8Array, visitor: UpdateVisitor): UpdateStats {
  return new UpdateReader(bytes, visitor).readSome(Infinity)!;
}

/** The same reading in parts, for callers that work in bounded turns. The bytes must not change in between. */
export class UpdateReader {
  readonly #reader: ByteReader;
  readonly #visitor: UpdateVisitor;
  readonly #view = newView();
  /** Sections not begun yet; -1 before their number is read. */
  #sectionsLeft = -1;
  #seen: ClientsOnce | null = null;
  /** Structs of the begun section not read yet. */
  #structsLeft = 0;
  /** Once the structs are read. */
  #deletes: DeleteRangeReader | null = null;
  #clients = 0;
  #structs = 0;
  #structBytesEnd = 0;

  constructor(bytes: Uint8Array, visitor: UpdateVisitor) {
    this.#reader = new ByteReader(bytes);
    this.#visitor = visitor;
  }

  /**
   * Goes on for about `work` (`pacer.ts`; at least one struct or range) and returns what the update held at its end, null before.
   * @throws {UpdateRefusedError} then it must not be called again
   */
  readSome(work: number): UpdateStats | null {
    const reader = this.#reader;
    if (this.#sectionsLeft === -1) this.#begin();
    let left = work;
    while (left > 0 && this.#deletes === null) {
      if (this.#structsLeft > 0) {
        const before = reader.pos;
        const count = readStructs(reader, this.#view, this.#structsLeft, left, this.#visitor);
        this.#structsLeft -= count;
        left -= reader.pos - before + count * STRUCT_WORK;
      } else if (this.#sectionsLeft > 0) {
        this.#nextSection();
        left -= STRUCT_WORK;
      } else {
        this.#structBytesEnd = reader.pos;
        this.#visitor.deleteSet?.(reader.pos);
        this.#deletes = new DeleteRangeReader(reader, this.#visitor);
      }
    }
    if (this.#deletes === null || !this.#deletes.readSome(left)) return null;
    if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);
    return { clients: this.#clients, structs: this.#structs, deleteRanges: this.#deletes.count, structBytesEnd: this.#structBytesEnd };
  }

  #begin(): void {
    const reader = this.#reader;
    const sectionCount = reader.varUint();
    if (sectionCount > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", reader.pos);
    if (sectionCount * 3 > reader.left) throw new UpdateRefusedError("truncated", reader.pos);
    this.#seen = new ClientsOnce(sectionCount);
    this.#sectionsLeft = sectionCount;
  }

  #nextSection(): void {
    const reader = this.#reader;
    const at = reader.pos;
    const structCount = reader.varUint();
    const client = reader.varUint();
    const clock = reader.varUint();
    this.#seen!.add(client, at);
    this.#sectionsLeft--;
    // Every struct takes two bytes or more; a stock document allocates an array of this size before it looks.
    if (structCount * 2 > reader.left) throw new UpdateRefusedError("too-many-structs", at);
    if (structCount === 0) return;
    this.#visitor.section?.(client, clock, structCount, reader.pos);
    beginSection(this.#view, client, clock);
    this.#structsLeft = structCount;
    this.#clients++;
    this.#structs += structCount;
  }
}

/**
 * Reads `structCount` structs of one client from `start` on, without a section header and with as much checking.
 * Returns the byte offset after the last one; what follows it is not looked at.
 * @throws {UpdateRefusedError}
 */
export function readRun(bytes: Uint8Array, start: number, client: number, clock: number, structCount: number, visitor: UpdateVisitor): number {
  const reader = new ByteReader(bytes, start);
  if (structCount * 2 > reader.left) throw new UpdateRefusedError("too-many-structs", start);
  const view = newView();
  beginSection(view, client, clock);
  readStructs(reader, view, structCount, Infinity, visitor);
  return reader.pos;
}

/** Makes the view stand before the struct of a client that begins at `clock`. */
export function beginSection(view: StructView, client: number, clock: number): void {
  view.client = client;
  view.clock = clock;
  view.length = 0;
}

/** Reads up to `count` structs, at least one, behind the one the view shows, for about `work`. Returns how many. @throws {UpdateRefusedError} the view must be set anew then */
export function readStructs(reader: ByteReader, view: StructView, count: number, work: number, visitor: UpdateVisitor): number {
  const hasVisitor = visitor.struct !== undefined;
  const stopAt = reader.pos + work;
  let clock = view.clock + view.length;
  for (let i = 0; i < count; ) {
    const start = reader.pos;
    const info = reader.byte();
    const ref = info & 31;
    view.info = info;
    view.ref = ref;
    view.clock = clock;
    view.start = start;
    view.originClient = -1;
    view.originClock = -1;
    view.rightClient = -1;
    view.rightClock = -1;
    view.parentKind = 0;
    view.parentNameStart = -1;
    view.parentNameEnd = -1;
    view.parentClient = -1;
    view.parentClock = -1;
    view.subStart = -1;
    view.subEnd = -1;
    let length: number;
    if (ref === GC_REF || ref === SKIP_REF) {
      // Decoders disagree on a Skip with flags, and nobody writes a GC with flags.
      if (info !== ref) throw new UpdateRefusedError("bad-content-ref", start);
      view.contentStart = reader.pos;
      length = reader.varUint();
      if (length === 0) throw new UpdateRefusedError("zero-length", start);
    } else {
      if (ref > DOC_REF) throw new UpdateRefusedError("bad-content-ref", start);
      readHead(reader, view, info);
      view.contentStart = reader.pos;
      length = skipContent(reader, ref);
    }
    if (clock > Number.MAX_SAFE_INTEGER - length) throw new UpdateRefusedError("clock-overflow", start);
    view.length = length;
    view.end = reader.pos;
    if (hasVisitor) visitor.struct!(view);
    clock += length;
    i++;
    if (reader.pos + i * STRUCT_WORK >= stopAt) return i;
  }
  return count;
}

/** Origins, or when there are none, the parent and the map key. */
function readHead(reader: ByteReader, view: StructView, info: number): void {
  const { client, clock } = view;
  if ((info & HAS_ORIGIN) !== 0) {
    view.originClient = reader.varUint();
    view.originClock = reader.varUint();
    if (view.originClient === client && view.originClock >= clock) throw new UpdateRefusedError("self-reference", view.start);
  }
  if ((info & HAS_RIGHT_ORIGIN) !== 0) {
    view.rightClient = reader.varUint();
    view.rightClock = reader.varUint();
    if (view.rightClient === client && view.rightClock >= clock) throw new UpdateRefusedError("self-reference", view.start);
  }
  if ((info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN)) !== 0) return;
  // 1 says "a root type by name"; stock decoders take every other number as "an item".
  if (reader.varUint() === 1) {
    view.parentKind = 1;
    const byteLength = reader.varUint();
    view.parentNameStart = reader.pos;
    skipText(reader, byteLength);
    view.parentNameEnd = reader.pos;
  } else {
    view.parentKind = 2;
    view.parentClient = reader.varUint();
    view.parentClock = reader.varUint();
    if (view.parentClient === client && view.parentClock >= clock) throw new UpdateRefusedError("self-reference", view.start);
  }
  if ((info & HAS_PARENT_SUB) !== 0) {
    const byteLength = reader.varUint();
    view.subStart = reader.pos;
    skipText(reader, byteLength);
    view.subEnd = reader.pos;
  }
}

/** A view that shows nothing yet. */
export function newView(): StructView {
  return {
    info: 0,
    ref: 0,
    client: -1,
    clock: 0,
    length: 0,
    start: 0,
    end: 0,
    contentStart: 0,
    originClient: -1,
    originClock: -1,
    rightClient: -1,
    rightClock: -1,
    parentKind: 0,
    parentNameStart: -1,
    parentNameEnd: -1,
    parentClient: -1,
    parentClock: -1,
    subStart: -1,
    subEnd: -1,
  };
}
