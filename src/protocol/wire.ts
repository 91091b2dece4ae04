/** What frames and awareness payloads share: length-prefixed bytes, and refusals in the protocol's own words. */

import { UpdateRefusedError } from "../update/refused.ts";
import type { ByteReader } from "../update/varint.ts";
import { FrameRefusedError } from "./refused.ts";

/** A length and that many bytes, as a view into the input: no copy. @throws {UpdateRefusedError} when they run past the end. */
export function readVarBytes(reader: ByteReader): Uint8Array {
  const length = reader.varUint();
  const start = reader.pos;
  reader.skip(length);
  return reader.bytes.subarray(start, start + length);
}

/**
 * Runs `read`; what the byte reader refuses is thrown on as a frame refusal: in a frame, an unreadable number is a broken frame and not a broken update.
 * @throws {FrameRefusedError}
 */
export function refusingAs<T>(part: "frame" | "awareness", read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UpdateRefusedError)) throw error;
    throw error.code === "bad-varint"
      ? new FrameRefusedError(`${part}-bad-varint`, error.offset, "a number exceeds 2^53 - 1 or 8 bytes")
      : new FrameRefusedError(`${part}-truncated`, error.offset, "a length runs past the end");
  }
}
