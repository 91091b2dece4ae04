/**
 * Steps over the content of one item and tells how many clocks it covers. Everything a stock document would decode is
 * checked here, because one content it throws on breaks every load of the frame it is in (update laws, A1).
 */

import { LIMITS } from "../limits.ts";
import { UpdateRefusedError } from "./refused.ts";
import { utf16Length } from "./utf8.ts";
import type { ByteReader } from "./varint.ts";
import { ANY_REF, BINARY_REF, DELETED_REF, DOC_REF, EMBED_REF, FORMAT_REF, JSON_REF, STRING_REF, TYPE_REF } from "./visitor.ts";

/** Type refs: 0 array, 1 map, 2 text, 3 XML element (named), 4 XML fragment, 5 XML hook (named), 6 XML text. */
const MAX_TYPE_REF = 6;
const XML_ELEMENT = 3;
const XML_HOOK = 5;

/** Tags of `Any` values (lib0 encoding). */
const ANY_BYTES = 116;
const ANY_ARRAY = 117;
const ANY_OBJECT = 118;
const ANY_STRING = 119;
const ANY_BIGINT = 122;
const ANY_FLOAT64 = 123;
const ANY_FLOAT32 = 124;
const ANY_INTEGER = 125;
const ANY_UNDEFINED = 127;

/**
 * Moves `reader` over the content with ref `ref` and returns the clocks it covers, at least 1.
 * @throws {UpdateRefusedError}
 */
export function skipContent(reader: ByteReader, ref: number): number {
  const start = reader.pos;
  let length = 1;
  switch (ref) {
    case STRING_REF:
      length = skipString(reader);
      break;
    case DELETED_REF:
      length = reader.varUint();
      break;
    case ANY_REF:
      length = countWithin(reader);
      for (let i = 0; i < length; i++) skipAny(reader);
      break;
    case JSON_REF:
      length = countWithin(reader);
      for (let i = 0; i < length; i++) skipJson(reader, true);
      break;
    case BINARY_REF:
      reader.skip(reader.varUint());
      break;
    case EMBED_REF:
      skipJson(reader, false);
      break;
    case FORMAT_REF:
      skipString(reader);
      skipJson(reader, false);
      break;
    case TYPE_REF: {
      const type = reader.varUint();
      if (type > MAX_TYPE_REF) throw new UpdateRefusedError("bad-type-ref", start);
      if (type === XML_ELEMENT || type === XML_HOOK) skipString(reader);
      break;
    }
    case DOC_REF:
      skipString(reader);
      skipSubdocumentOptions(reader);
      break;
    default:
      throw new UpdateRefusedError("bad-content-ref", start);
  }
  if (length === 0) throw new UpdateRefusedError("zero-length", start);
  return length;
}

/** Moves over a length-prefixed string, checks its UTF-8 and returns its UTF-16 units. */
export function skipString(reader: ByteReader): number {
  return skipText(reader, reader.varUint());
}

/** Moves over `byteLength` bytes of UTF-8, checks them and returns their UTF-16 units. */
export function skipText(reader: ByteReader, byteLength: number): number {
  const start = reader.pos;
  reader.skip(byteLength);
  return utf16Length(reader.bytes, start, reader.pos);
}

// Counts of values still to read per open array or object; objects are negative, since each value has a key before it.
// One buffer for all reads: reading is synchronous and nothing here calls out.
const openCounts = new Float64Array(LIMITS.maxContentDepth);

/** Moves over one `Any` value of any nesting up to `LIMITS.maxContentDepth`, without recursion. */
export function skipAny(reader: ByteReader): void {
  let depth = 0;
  for (;;) {
    const tag = reader.byte();
    switch (tag) {
      case ANY_STRING:
        skipString(reader);
        break;
      case ANY_INTEGER:
        reader.skipVarInt();
        break;
      case ANY_FLOAT32:
        reader.skip(4);
        break;
      case ANY_FLOAT64:
      case ANY_BIGINT:
        reader.skip(8);
        break;
      case ANY_BYTES:
        reader.skip(reader.varUint());
        break;
      case ANY_OBJECT:
      case ANY_ARRAY: {
        const count = countWithin(reader);
        if (depth >= LIMITS.maxContentDepth) throw new UpdateRefusedError("too-deep", reader.pos);
        openCounts[depth++] = tag === ANY_OBJECT ? -count : count;
        break;
      }
      default:
        // 120 true, 121 false, 126 null, 127 undefined carry no bytes.
        if (tag < ANY_BYTES || tag > ANY_UNDEFINED) throw new UpdateRefusedError("bad-any", reader.pos - 1);
    }
    while (depth > 0 && openCounts[depth - 1] === 0) depth--;
    if (depth === 0) return;
    const open = openCounts[depth - 1]!;
    if (open < 0) {
      skipString(reader);
      openCounts[depth - 1] = open + 1;
    } else openCounts[depth - 1] = open - 1;
  }
}

/** A count of values of at least one byte each: refused when it exceeds the bytes left, before anyone loops. */
function countWithin(reader: ByteReader): number {
  const count = reader.varUint();
  if (count > reader.left) throw new UpdateRefusedError("truncated", reader.pos);
  return count;
}

/**
 * Options must be an object: a document reads properties of them, null or undefined throw there. A `guid` among them would
 * replace the real one by any value, an object included, on which encoding the document throws; genuine clients never write it.
 */
function skipSubdocumentOptions(reader: ByteReader): void {
  const start = reader.pos;
  if (reader.byte() !== ANY_OBJECT) throw new UpdateRefusedError("bad-subdocument", start);
  const count = countWithin(reader);
  for (let i = 0; i < count; i++) {
    const keyLength = reader.varUint();
    const keyStart = reader.pos;
    skipText(reader, keyLength);
    if (keyLength === 4 && isGuid(reader.bytes, keyStart)) throw new UpdateRefusedError("bad-subdocument", keyStart);
    skipAny(reader);
  }
}

function isGuid(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x67 && bytes[at + 1] === 0x75 && bytes[at + 2] === 0x69 && bytes[at + 3] === 0x64;
}

// A fatal decoder that keeps the byte order mark, as stock decoders do: JSON.parse must see it and refuse.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Moves over a length-prefixed string that JSON.parse must accept; entries of ContentJSON may also be the bare word "undefined". */
function skipJson(reader: ByteReader, allowUndefined: boolean): void {
  const byteLength = reader.varUint();
  const start = reader.pos;
  reader.skip(byteLength);
  const end = reader.pos;
  const bytes = reader.bytes;
  if (isPlainJson(bytes, start, end)) return;
  utf16Length(bytes, start, end);
  const text = decoder.decode(bytes.subarray(start, end));
  if (allowUndefined && text === "undefined") return;
  if (jsonDepth(bytes, start, end) > LIMITS.maxContentDepth) throw new UpdateRefusedError("too-deep", start);
  try {
    JSON.parse(text);
  } catch {
    throw new UpdateRefusedError("bad-json", start);
  }
}

/** Format values are nearly always one of these: true, false, null, or an ASCII string without escapes. */
function isPlainJson(bytes: Uint8Array, start: number, end: number): boolean {
  const size = end - start;
  const first = bytes[start];
  if (first === 0x22 && size >= 2 && bytes[end - 1] === 0x22) {
    for (let i = start + 1; i < end - 1; i++) {
      const byte = bytes[i]!;
      if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false;
    }
    return true;
  }
  if (size === 4) {
    const word = (bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!;
    return word === 0x74727565 || word === 0x6e756c6c;
  }
  return false;
}

/**
 * Greatest nesting of brackets outside strings. JSON.parse follows any depth, but encoding such a value again overflows the
 * stack of every client that has it.
 */
function jsonDepth(bytes: Uint8Array, start: number, end: number): number {
  if (end - start <= LIMITS.maxContentDepth) return 0;
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (inString) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return deepest;
}
