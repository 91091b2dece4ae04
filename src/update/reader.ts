/**
 * The strict reader of v1 updates: one pass, no object per struct, no strings. It refuses whatever a stock document throws on
 * or understands differently from a byte-level tool, and accepts everything genuine clients, merges and diffs produce
 * (update laws, A1; the list with reasons is in this folder's README).
 */

import { LIMITS } from "../limits.ts";
import { skipContent, skipText } from "./content.ts";
import { ClientsOnce, readDeleteRanges } from "./delete-ranges.ts";
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
  const reader = new ByteReader(bytes);
  const sectionCount = reader.varUint();
  if (sectionCount > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", reader.pos);
  if (sectionCount * 3 > reader.left) throw new UpdateRefusedError("truncated", reader.pos);
  const seen = new ClientsOnce(sectionCount);
  const view = newView();
  let clients = 0;
  let structs = 0;
  for (let i = 0; i < sectionCount; i++) {
    const at = reader.pos;
    const structCount = reader.varUint();
    const client = reader.varUint();
    const clock = reader.varUint();
    seen.add(client, at);
    // Every struct takes two bytes or more; a stock document allocates an array of this size before it looks.
    if (structCount * 2 > reader.left) throw new UpdateRefusedError("too-many-structs", at);
    if (structCount === 0) continue;
    visitor.section?.(client, clock, structCount, reader.pos);
    readStructs(reader, view, client, clock, structCount, visitor);
    clients++;
    structs += structCount;
  }
  const structBytesEnd = reader.pos;
  visitor.deleteSet?.(structBytesEnd);
  const deleteRanges = readDeleteRanges(reader, visitor);
  if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);
  return { clients, structs, deleteRanges, structBytesEnd };
}

/**
 * Reads `structCount` structs of one client from `start` on, without a section header and with as much checking.
 * Returns the byte offset after the last one; what follows it is not looked at.
 * @throws {UpdateRefusedError}
 */
export function readRun(bytes: Uint8Array, start: number, client: number, clock: number, structCount: number, visitor: UpdateVisitor): number {
  const reader = new ByteReader(bytes, start);
  if (structCount * 2 > reader.left) throw new UpdateRefusedError("too-many-structs", start);
  readStructs(reader, newView(), client, clock, structCount, visitor);
  return reader.pos;
}

function readStructs(reader: ByteReader, view: StructView, client: number, firstClock: number, count: number, visitor: UpdateVisitor): void {
  const hasVisitor = visitor.struct !== undefined;
  let clock = firstClock;
  view.client = client;
  for (let i = 0; i < count; i++) {
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
  }
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

function newView(): StructView {
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
