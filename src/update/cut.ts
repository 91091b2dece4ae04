/**
 * Cutting one struct at a clock, in bytes, as a stock document does it: the right piece gets the clock before it as its origin,
 * keeps the right origin and no longer names its parent. A cut inside a surrogate pair leaves U+FFFD on both sides.
 */

import { skipAny } from "./content.ts";
import { utf16Offset } from "./utf8.ts";
import { ByteReader, type ByteWriter } from "./varint.ts";
import { ANY_REF, DELETED_REF, GC_REF, HAS_ORIGIN, JSON_REF, SKIP_REF, STRING_REF, type StructView } from "./visitor.ts";

/** Writes the part of the struct from its `offset`-th clock on. `offset` is below its length. */
export function cutStruct(view: StructView, bytes: Uint8Array, offset: number, writer: ByteWriter): void {
  cutStructRange(view, bytes, offset, view.length, writer);
}

/**
 * Writes clocks `from` to `to - 1` of the struct, counted from its first clock: `0 <= from < to <= view.length`.
 * Only strings, JSON, Any, Deleted, GC and Skip are longer than one clock, so only they can be cut.
 */
export function cutStructRange(view: StructView, bytes: Uint8Array, from: number, to: number, writer: ByteWriter): void {
  if (from === 0 && to === view.length) {
    writer.bytes(bytes, view.start, view.end);
    return;
  }
  if (from === 0) writer.bytes(bytes, view.start, view.contentStart);
  else writeRightHead(view, from, writer);
  switch (view.ref) {
    case GC_REF:
    case SKIP_REF:
    case DELETED_REF:
      writer.varUint(to - from);
      return;
    case STRING_REF:
      cutString(view, bytes, from, to, writer);
      return;
    case JSON_REF:
    case ANY_REF:
      cutList(view, bytes, from, to, writer);
      return;
    default:
      throw new Error(`Cannot cut struct: content ref ${view.ref} is one clock long, asked for ${from} to ${to} of ${view.length}`);
  }
}

function writeRightHead(view: StructView, from: number, writer: ByteWriter): void {
  if (view.ref === GC_REF || view.ref === SKIP_REF) {
    writer.byte(view.ref);
    return;
  }
  writer.byte(view.info | HAS_ORIGIN);
  writer.varUint(view.client);
  writer.varUint(view.clock + from - 1);
  if (view.rightClient >= 0) {
    writer.varUint(view.rightClient);
    writer.varUint(view.rightClock);
  }
}

function cutString(view: StructView, bytes: Uint8Array, from: number, to: number, writer: ByteWriter): void {
  const textStart = new ByteReader(bytes, view.contentStart);
  textStart.varUint();
  let start = textStart.pos;
  let end = view.end;
  let tornFront = false;
  let tornBack = false;
  if (from > 0) {
    start = utf16Offset(bytes, start, from);
    if (start < 0) {
      tornFront = true;
      start = 4 - start;
    }
  }
  if (to < view.length) {
    // A piece of one unit from inside a pair: `start` already stands behind that pair.
    const units = to - from - (tornFront ? 1 : 0);
    end = utf16Offset(bytes, start, units);
    if (end < 0) {
      tornBack = true;
      end = -end;
    }
  }
  writer.varUint(end - start + (tornFront ? 3 : 0) + (tornBack ? 3 : 0));
  if (tornFront) writeReplacement(writer);
  writer.bytes(bytes, start, end);
  if (tornBack) writeReplacement(writer);
}

/** U+FFFD in UTF-8. */
function writeReplacement(writer: ByteWriter): void {
  writer.byte(0xef);
  writer.byte(0xbf);
  writer.byte(0xbd);
}

function cutList(view: StructView, bytes: Uint8Array, from: number, to: number, writer: ByteWriter): void {
  const reader = new ByteReader(bytes, view.contentStart);
  reader.varUint();
  skipValues(reader, view.ref, from);
  const start = reader.pos;
  let end = view.end;
  if (to < view.length) {
    skipValues(reader, view.ref, to - from);
    end = reader.pos;
  }
  writer.varUint(to - from);
  writer.bytes(bytes, start, end);
}

function skipValues(reader: ByteReader, ref: number, count: number): void {
  for (let i = 0; i < count; i++) {
    if (ref === JSON_REF) reader.skip(reader.varUint());
    else skipAny(reader);
  }
}
