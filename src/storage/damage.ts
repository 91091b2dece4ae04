/** What reading stored bytes can find wrong. A damaged row is set aside, never served around and never overwritten with less. */

/** Where a damaged row stands. */
export type DamageOrigin =
  | { readonly kind: "journal"; readonly slot: number }
  | { readonly kind: "chunk"; readonly id: number }
  | { readonly kind: "deletes"; readonly row: number }
  | { readonly kind: "held"; readonly row: number }
  /** One of the two copies, which the other stands in for; without `copy` both, and the room is unreadable. */
  | { readonly kind: "index"; readonly copy?: 1 | 2 };

export type DamageReason = "checksum-mismatch" | "row-missing" | "row-unreadable";

/** A stored row that cannot be trusted. The room decides what its absence means. */
export class DamagedRowError extends Error {
  readonly code = "damaged-row";
  readonly origin: DamageOrigin;
  readonly reason: DamageReason;
  constructor(origin: DamageOrigin, reason: DamageReason, options?: { cause?: unknown }) {
    super(`Cannot read ${describeOrigin(origin)}: ${reason}`, options);
    this.origin = origin;
    this.reason = reason;
  }
}

/** `journal slot 3`, `chunk 7` and so on, for messages and the set-aside table. */
export function describeOrigin(origin: DamageOrigin): string {
  switch (origin.kind) {
    case "journal":
      return `journal slot ${origin.slot}`;
    case "chunk":
      return `chunk ${origin.id}`;
    case "deletes":
      return `deletes row ${origin.row}`;
    case "held":
      return `held row ${origin.row}`;
    case "index":
      return origin.copy === undefined ? "index" : `index copy ${origin.copy}`;
  }
}
