/**
 * A legacy update once it was read through: proven whole, with an outline by which its structs are found again.
 * Memory: some numbers per client and the delete set, never the structs.
 */
import type { DeleteSet } from "../update/delete-set.ts";
import type { ClientRange } from "../update/news.ts";
import type { LegacyEntry } from "./legacy.ts";

/** Bytes of an update that lie in parts elsewhere. */
export interface SourceBytes {
  readonly byteLength: number;
  /** Bytes `[from, to)`; read before anything else is read, it may be reused. @throws {LegacyDamageError} */
  read(from: number, to: number): Uint8Array;
  /** Gives back what is in memory, the last answer too; reading fetches it again. Whoever walked through calls it at the end. */
  forget?(): void;
}

/** One client's section of an update. */
export interface SourceSection {
  readonly client: number;
  /** Clock of its first struct, and the clock after its last; Skips are inside. */
  readonly clock: number;
  readonly end: number;
  /** Structs, Skips included. */
  readonly structCount: number;
  /** Byte range of its structs. */
  readonly from: number;
  readonly to: number;
}

/** A whole legacy update. */
export interface Source {
  readonly entry: LegacyEntry;
  readonly bytes: SourceBytes;
  readonly sections: readonly SourceSection[];
  /** Clocks inside sections that it leaves out, ascending within a client. */
  readonly skips: readonly ClientRange[];
  /** Its delete set, canonical. */
  readonly deletes: DeleteSet;
  /** Structs, Skips and GC included. */
  readonly structs: number;
  /** Bytes behind its delete set, which documents leave unread. */
  readonly trailingBytes: number;
  /** It has a struct, deleted or not, directly in one of the root maps `meta`, `pathToId`, `idToText` (compat sheet, 4.4). */
  readonly touchesVaultMaps: boolean;
}
