/** Why an inbound frame was refused. Closed list; SPEC.md and the close-code table name the same words. */
export type FrameRefusalCode =
  | "frame-empty"
  | "frame-too-large"
  | "frame-truncated"
  | "frame-bad-varint"
  | "sync-inner-unknown"
  | "state-vector-too-large"
  | "awareness-too-large"
  | "awareness-too-many-states"
  | "awareness-too-many-ids"
  | "awareness-truncated"
  | "awareness-trailing-bytes"
  | "awareness-bad-varint"
  | "awareness-bad-utf8"
  | "awareness-bad-json"
  | "awareness-too-deep";

/** A frame that cannot be read, or is over a limit. Costs the client that sent it its session and nobody else anything. */
export class FrameRefusedError extends Error {
  readonly code: FrameRefusalCode;
  /** Byte offset in the frame or payload where reading stopped. */
  readonly offset: number;

  constructor(code: FrameRefusalCode, offset: number, detail: string) {
    super(`Cannot read frame at byte ${offset}: ${detail} (${code})`);
    this.name = "FrameRefusedError";
    this.code = code;
    this.offset = offset;
  }
}

/**
 * More would wait behind gaps than a room keeps. Not the client's mistake: when it comes back, its answer to step 1 brings what is missing together with
 * what waited, so a retry helps. Nothing of the update was taken; what is held already stays.
 */
export class PendingFullError extends Error {
  readonly code = "pending-full";

  constructor(heldBytes: number, moreBytes: number) {
    super(`Cannot hold ${moreBytes} bytes behind a gap: ${heldBytes} bytes wait already`);
    this.name = "PendingFullError";
  }
}
