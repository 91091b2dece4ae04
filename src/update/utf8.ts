/**
 * UTF-8 inside updates, never turned into JavaScript strings: a struct's length is counted in UTF-16 units of the decoded
 * text, where a byte order mark counts as one like any other character (stock decoders keep it).
 */

import { UpdateRefusedError } from "./refused.ts";

/**
 * UTF-16 units of `bytes[start..end)`. One unit per lead byte, two for the four-byte forms.
 * @throws {UpdateRefusedError} "bad-utf8" on what a fatal TextDecoder refuses: stray or missing continuation bytes, overlong
 *   forms, encoded surrogates, code points over U+10FFFF.
 */
export function utf16Length(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  let units = 0;
  while (i < end) {
    const runStart = i;
    const fastEnd = end - 7;
    while (i < fastEnd) {
      if (((bytes[i]! | bytes[i + 1]! | bytes[i + 2]! | bytes[i + 3]! | bytes[i + 4]! | bytes[i + 5]! | bytes[i + 6]! | bytes[i + 7]!) & 0x80) !== 0) break;
      i += 8;
    }
    while (i < end && bytes[i]! < 0x80) i++;
    units += i - runStart;
    // Texts that are not ASCII rarely become it: stay here until an ASCII byte shows up.
    while (i < end) {
      const lead = bytes[i]!;
      if (lead < 0x80) break;
      if (lead < 0xe0) {
        if (lead < 0xc2 || i + 1 >= end || (bytes[i + 1]! & 0xc0) !== 0x80) throw new UpdateRefusedError("bad-utf8", i);
        i += 2;
        units++;
      } else if (lead < 0xf0) {
        if (i + 2 >= end) throw new UpdateRefusedError("bad-utf8", i);
        const second = bytes[i + 1]!;
        if ((second & 0xc0) !== 0x80 || (bytes[i + 2]! & 0xc0) !== 0x80) throw new UpdateRefusedError("bad-utf8", i);
        // E0 80..9F is overlong, ED A0..BF is a surrogate.
        if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) throw new UpdateRefusedError("bad-utf8", i);
        i += 3;
        units++;
      } else {
        if (lead > 0xf4 || i + 3 >= end) throw new UpdateRefusedError("bad-utf8", i);
        const second = bytes[i + 1]!;
        if ((second & 0xc0) !== 0x80 || (bytes[i + 2]! & 0xc0) !== 0x80 || (bytes[i + 3]! & 0xc0) !== 0x80) {
          throw new UpdateRefusedError("bad-utf8", i);
        }
        // F0 80..8F is overlong, F4 90.. is over U+10FFFF.
        if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) throw new UpdateRefusedError("bad-utf8", i);
        i += 4;
        units += 2;
      }
    }
  }
  return units;
}

/**
 * Byte offset in valid UTF-8 of the character that holds UTF-16 unit `units`, counted from `start`.
 * Inside a surrogate pair the answer is `-offset` of the four-byte character (offsets here are never 0: a length varint precedes).
 */
export function utf16Offset(bytes: Uint8Array, start: number, units: number): number {
  let i = start;
  let left = units;
  while (left > 0) {
    const lead = bytes[i]!;
    if (lead < 0x80) i++;
    else if (lead < 0xe0) i += 2;
    else if (lead < 0xf0) i += 3;
    else {
      if (left === 1) return -i;
      left--;
      i += 4;
    }
    left--;
  }
  return i;
}
