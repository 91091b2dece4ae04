/** Why bytes were refused. A closed list: logs, close reasons and tests name these. */
export type RefusalCode =
  | "truncated"
  | "trailing-bytes"
  | "bad-varint"
  | "clock-overflow"
  | "zero-length"
  | "self-reference"
  | "duplicate-client"
  | "bad-content-ref"
  | "bad-type-ref"
  | "bad-utf8"
  | "bad-json"
  | "bad-any"
  | "too-deep"
  | "bad-subdocument"
  | "too-many-structs"
  | "too-many-ranges"
  | "too-many-clients"
  | "too-large";

/**
 * Bytes from outside that a stock Yjs document would throw on, misread, or keep waiting for ever (update laws, A1).
 * Storing them would break every later load, so the session that sent them ends and nothing is kept.
 */
export class UpdateRefusedError extends Error {
  readonly code: RefusalCode;
  /** Byte offset in the refused bytes at or shortly after which reading failed. */
  readonly offset: number;

  constructor(code: RefusalCode, offset: number) {
    super(`Cannot read update: ${code} at byte ${offset}`);
    this.name = "UpdateRefusedError";
    this.code = code;
    this.offset = offset;
  }
}
