/**
 * Variable-length integers as Yjs writes them (lib0 encoding): seven bits per byte, low bits first, 0x80 = more follows.
 * Signed ones carry 0x40 of the first byte as the sign and six value bits there. Values go up to 2^53 - 1.
 * Padded forms (`80 00`) are read as stock decoders read them, up to eight bytes; written forms are always the shortest.
 */

import { UpdateRefusedError } from "./refused.ts";

/** Longest varint read: 8 x 7 bits cover 2^53 - 1. */
const MAX_VARINT_BYTES = 8;

/** A position in bytes. Reading past `end` or a number past 2^53 - 1 throws {@link UpdateRefusedError}. */
export class ByteReader {
  readonly bytes: Uint8Array;
  pos: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.end - this.pos;
  }

  byte(): number {
    if (this.pos >= this.end) throw new UpdateRefusedError("truncated", this.pos);
    return this.bytes[this.pos++]!;
  }

  varUint(): number {
    const pos = this.pos;
    if (pos < this.end) {
      const first = this.bytes[pos]!;
      if (first < 0x80) {
        this.pos = pos + 1;
        return first;
      }
      if (pos + 1 < this.end) {
        const second = this.bytes[pos + 1]!;
        if (second < 0x80) {
          this.pos = pos + 2;
          return (first & 0x7f) | (second << 7);
        }
        if (pos + 4 < this.end) {
          const low = (first & 0x7f) | ((second & 0x7f) << 7);
          const third = this.bytes[pos + 2]!;
          if (third < 0x80) {
            this.pos = pos + 3;
            return low | (third << 14);
          }
          const fourth = this.bytes[pos + 3]!;
          if (fourth < 0x80) {
            this.pos = pos + 4;
            return low | ((third & 0x7f) << 14) | (fourth << 21);
          }
          const fifth = this.bytes[pos + 4]!;
          if (fifth < 0x80) {
            // Client ids are random 32-bit numbers: most of them end here.
            this.pos = pos + 5;
            return (low | ((third & 0x7f) << 14) | ((fourth & 0x7f) << 21)) + fifth * 0x10000000;
          }
        }
        return this.#longVarUint(pos + 2, (first & 0x7f) | ((second & 0x7f) << 7));
      }
    }
    throw new UpdateRefusedError("truncated", this.end);
  }

  /** Steps over one signed varint; nobody here needs the value. */
  skipVarInt(): void {
    const start = this.pos;
    let value = 0;
    let scale = 1;
    for (let at = start; at < this.end; at++) {
      const byte = this.bytes[at]!;
      const bits = at === start ? byte & 0x3f : byte & 0x7f;
      value += bits * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new UpdateRefusedError("bad-varint", start);
      scale *= at === start ? 64 : 128;
      if (byte < 0x80) {
        this.pos = at + 1;
        return;
      }
      if (at - start + 1 >= MAX_VARINT_BYTES) throw new UpdateRefusedError("bad-varint", start);
    }
    throw new UpdateRefusedError("truncated", this.end);
  }

  /** Steps over `count` bytes. */
  skip(count: number): void {
    if (count > this.end - this.pos) throw new UpdateRefusedError("truncated", this.end);
    this.pos += count;
  }

  #longVarUint(at: number, low: number): number {
    const bytes = this.bytes;
    const start = at - 2;
    let value = low;
    let scale = 0x4000;
    for (; at < this.end; at++) {
      const byte = bytes[at]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        this.pos = at + 1;
        return value;
      }
      if (at - start + 1 >= MAX_VARINT_BYTES) break;
      scale *= 128;
    }
    throw new UpdateRefusedError(at >= this.end ? "truncated" : "bad-varint", start);
  }
}

/** Bytes the shortest form of `value` takes (1 to 8). */
export function varUintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

/** Writes `value` (an integer from 0 to 2^53 - 1) at `offset` and returns the offset after it. The caller has made room. */
export function writeVarUintAt(bytes: Uint8Array, offset: number, value: number): number {
  let rest = value;
  while (rest > 0x7fffffff) {
    bytes[offset++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 0x7f) {
    bytes[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[offset++] = rest;
  return offset;
}

const encoder = new TextEncoder();

/** Numbers written between two looks at the buffer's end; even. */
const PAIRS_AT_ONCE = 2_048;

/** A growing byte buffer. */
export class ByteWriter {
  #buffer: Uint8Array;
  #length = 0;

  /** @param capacity bytes reserved at first; it doubles when full. */
  constructor(capacity = 64) {
    this.#buffer = new Uint8Array(Math.max(16, capacity));
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  varUint(value: number): void {
    this.#reserve(MAX_VARINT_BYTES);
    this.#length = writeVarUintAt(this.#buffer, this.#length, value);
  }

  /** Writes [start, end) pairs as start and length of each. */
  clockRanges(pairs: Float64Array): void {
    // In parts, so that the room reserved for the longest form of each stays small.
    for (let from = 0; from < pairs.length; from += PAIRS_AT_ONCE) {
      const to = Math.min(pairs.length, from + PAIRS_AT_ONCE);
      this.#reserve((to - from) * MAX_VARINT_BYTES);
      const buffer = this.#buffer;
      let at = this.#length;
      for (let i = from; i < to; i += 2) {
        at = writeVarUintAt(buffer, at, pairs[i]!);
        at = writeVarUintAt(buffer, at, pairs[i + 1]! - pairs[i]!);
      }
      this.#length = at;
    }
  }

  /** Copies `src[start..end)`. */
  bytes(src: Uint8Array, start = 0, end: number = src.length): void {
    const count = end - start;
    this.#reserve(count);
    const buffer = this.#buffer;
    const at = this.#length;
    // A native copy has a fixed cost of some 50 ns; most structs are shorter than that is worth.
    if (count < 32) for (let i = 0; i < count; i++) buffer[at + i] = src[start + i]!;
    else buffer.set(src.subarray(start, end), at);
    this.#length = at + count;
  }

  /** Writes the UTF-8 of `text` behind its byte length. Lone surrogates become U+FFFD, as in Yjs. */
  utf8String(text: string): void {
    const utf8 = encoder.encode(text);
    this.varUint(utf8.length);
    this.bytes(utf8);
  }

  /** A view of the written bytes from `start` on. Later writes may or may not show in it: finish when done. */
  finish(start = 0): Uint8Array {
    return this.#buffer.subarray(start, this.#length);
  }

  /** Forgets what was written and keeps the buffer. Views handed out before become invalid. */
  reset(): void {
    this.#length = 0;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}
