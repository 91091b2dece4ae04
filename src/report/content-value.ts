/**
 * The little of a map entry's value that a document summary needs, read from the bytes of its content.
 *
 * Contents arrive here after the strict reader has passed them, so lengths are inside the bytes and nesting is at most
 * `LIMITS.maxContentDepth`; nothing is checked again. Formats: `ContentAny` (a count, then lib0 "any" values) and the older
 * `ContentJSON` (a count, then JSON texts).
 */
import { ANY_REF, JSON_REF, TYPE_REF } from "../update/visitor.ts";

/** Longest string kept of a value, UTF-16 units. No file system takes longer paths; what is longer is kept as a stand-in of its beginning. */
const MAX_TEXT_UNITS = 4_096;

/** Largest JSON text parsed, bytes. A metadata value has some hundreds. */
const MAX_JSON_BYTES = 65_536;

/** Type ref of a `Y.Map` inside `ContentType`. */
const MAP_TYPE = 1;

/** What a map entry holds. */
export type EntryValue =
  | { readonly kind: "scalar"; readonly value: string | number | boolean | null }
  /** A plain object with a string `path`: flat file metadata (schemas 1 and 2). */
  | { readonly kind: "file"; readonly path: string; readonly deleted: boolean }
  /** A nested `Y.Map`: file metadata of schema 3, its fields are items of their own. */
  | { readonly kind: "map" }
  /** Anything else: other types, arrays, binary, objects without a path. */
  | { readonly kind: "other" };

const OTHER: EntryValue = { kind: "other" };
const MAP: EntryValue = { kind: "map" };

// A byte order mark is a character of the text like any other.
const utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** Decodes the UTF-8 text at `bytes[start..end)`. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  return utf8.decode(bytes.subarray(start, end));
}

/** A file is deleted when `deletedAt` is a finite number or `deleted` is true (compat sheet, 7.2). */
export function isTombstone(deleted: unknown, deletedAt: unknown): boolean {
  return deleted === true || (typeof deletedAt === "number" && Number.isFinite(deletedAt));
}

/**
 * The value at the last clock of a struct: only that one can be a key's current value, every other clock of the struct has a successor.
 * @param ref content kind of the struct, one of the `*_REF` constants
 * @param start first byte of the content
 * @param length clocks of the struct
 */
export function readLastValue(bytes: Uint8Array, ref: number, start: number, length: number): EntryValue {
  const cursor = new Cursor(bytes, start);
  if (ref === TYPE_REF) return cursor.varUint() === MAP_TYPE ? MAP : OTHER;
  if (ref === ANY_REF) {
    cursor.varUint();
    for (let i = 1; i < length; i++) cursor.skipAny();
    return cursor.entryValue();
  }
  if (ref === JSON_REF) {
    cursor.varUint();
    for (let i = 1; i < length; i++) cursor.skipBytes();
    return jsonValue(cursor.shortText());
  }
  return OTHER;
}

function jsonValue(text: string | undefined): EntryValue {
  if (text === undefined) return OTHER;
  if (text === "undefined") return { kind: "scalar", value: null };
  const value: unknown = JSON.parse(text);
  if (value === null || typeof value === "number" || typeof value === "boolean") return { kind: "scalar", value };
  if (typeof value === "string") return { kind: "scalar", value: bounded(value) };
  const { path, deleted, deletedAt } = value as { path?: unknown; deleted?: unknown; deletedAt?: unknown };
  return typeof path === "string" ? { kind: "file", path: bounded(path), deleted: isTombstone(deleted, deletedAt) } : OTHER;
}

function bounded(text: string): string {
  return text.length <= MAX_TEXT_UNITS ? text : `${text.slice(0, MAX_TEXT_UNITS)}\u0000${text.length}`;
}

/** Reads forward through checked bytes. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#at = start;
  }

  varUint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  skipBytes(): void {
    const length = this.varUint();
    this.#at += length;
  }

  /** A length-prefixed text, or undefined when it is too long to be worth parsing. */
  shortText(): string | undefined {
    const length = this.varUint();
    const start = this.#at;
    this.#at += length;
    return length <= MAX_JSON_BYTES ? readText(this.#bytes, start, this.#at) : undefined;
  }

  /** One "any" value, as an entry's value. */
  entryValue(): EntryValue {
    if (this.#bytes[this.#at] === 118) return this.#objectValue();
    const value = this.#scalar();
    return value === undefined ? OTHER : { kind: "scalar", value };
  }

  /** Steps over one "any" value. Recursion is bounded by `LIMITS.maxContentDepth`. */
  skipAny(): void {
    switch (this.#byte()) {
      case 125: // integer, variable length
        while (this.#byte() >= 0x80);
        return;
      case 124: // float32
        this.#at += 4;
        return;
      case 123: // float64
      case 122: // int64
        this.#at += 8;
        return;
      case 119: // text
      case 116: // binary
        this.skipBytes();
        return;
      case 118: // object
        for (let left = this.varUint(); left > 0; left--) {
          this.skipBytes();
          this.skipAny();
        }
        return;
      case 117: // array
        for (let left = this.varUint(); left > 0; left--) this.skipAny();
        return;
      default: // undefined, null, false, true: the tag is all
    }
  }

  #objectValue(): EntryValue {
    this.#at += 1;
    let path: unknown;
    let deleted: unknown;
    let deletedAt: unknown;
    for (let left = this.varUint(); left > 0; left--) {
      const key = this.shortText();
      if (key === "path") path = this.#scalar();
      else if (key === "deleted") deleted = this.#scalar();
      else if (key === "deletedAt") deletedAt = this.#scalar();
      else this.skipAny();
    }
    return typeof path === "string" ? { kind: "file", path, deleted: isTombstone(deleted, deletedAt) } : OTHER;
  }

  /** One "any" value when it is text, a number, a boolean, null or undefined (given as null); undefined for everything else, stepped over. */
  #scalar(): string | number | boolean | null | undefined {
    const start = this.#at;
    switch (this.#byte()) {
      case 127:
      case 126:
        return null;
      case 125:
        return this.#varInt();
      case 124:
        this.#at += 4;
        return this.#view(start + 1).getFloat32(0);
      case 123:
        this.#at += 8;
        return this.#view(start + 1).getFloat64(0);
      case 121:
        return false;
      case 120:
        return true;
      case 119: {
        const length = this.varUint();
        const from = this.#at;
        this.#at += length;
        return bounded(readText(this.#bytes, from, this.#at));
      }
      default:
        this.#at = start;
        this.skipAny();
        return undefined;
    }
  }

  #varInt(): number {
    const first = this.#byte();
    let value = first & 0x3f;
    let scale = 64;
    let byte = first;
    while (byte >= 0x80) {
      byte = this.#byte();
      value += (byte & 0x7f) * scale;
      scale *= 128;
    }
    return (first & 0x40) === 0 ? value : -value;
  }

  #view(start: number): DataView {
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + start, 8 <= this.#bytes.length - start ? 8 : 4);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError(`Cannot read content: no byte at ${this.#at - 1} of ${this.#bytes.length}`);
    return byte;
  }
}
