/**
 * What an older server left in an object, as the takeover meets it: storage to read, and entries found in it.
 * An entry is one whole Yjs update, cut into parts; nothing of it is in memory until a part is read.
 */
import type { Sql } from "../ports.ts";

/** SHA-256 over bytes as they come. */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** Lower-case hex; ends the computation. */
  digest(): string;
}

/** The storage of an object whose vault an older server may have written. Reading changes nothing; only clean-up deletes. */
export interface LegacyStorage {
  /** One value of the key-value storage, or undefined. What is handed out here and by `list` is the caller's: its buffers may be released. */
  get(key: string): unknown;
  /** Up to `limit` entries whose key begins with `prefix`, in key order, behind the key `after`. */
  list(prefix: string, after: string | null, limit: number): readonly (readonly [key: string, value: unknown])[];
  /** Deletes keys, at most 128, and returns how many there were. Part of the caller's turn, as SQL writes are. */
  delete(keys: readonly string[]): number;
  readonly sql: Sql;
  sha256(): Sha256;
}

export type LegacyKind =
  /** The pre-chunk key `document`. */
  | "document"
  /** A checkpoint of the key-value layout. */
  | "checkpoint"
  /** A journal entry of the key-value layout. */
  | "journal"
  /** All of `snapshot_chunks`. */
  | "sql-snapshot"
  /** One row of `journal`. */
  | "sql-journal";

/** One update of an older server. */
export interface LegacyEntry {
  readonly kind: LegacyKind;
  /** What names it: a storage key (`document:journal:manifest:7`) or `snapshot_chunks`, `journal row 12`. Shown in debug. */
  readonly name: string;
  /** Whether the old server would have loaded it: pointer, journal metadata or table name it. Others are leftovers that still may hold edits. */
  readonly isLive: boolean;
  /** Bytes of the update. */
  readonly byteLength: number;
  /** Bytes of each part, in order; their sum is `byteLength`. */
  readonly partSizes: readonly number[];
  /** One part, exactly as long as `partSizes` says. May be a view of a larger buffer. @throws {LegacyDamageError} when it is missing, no bytes or of another length */
  readPart(part: number): Uint8Array;
  /** SHA-256 of the whole update as its manifest has it; null when the layout has none. */
  readonly sha256: string | null;
  /** Keys of the key-value storage that hold it, its manifest and derived records included; empty for SQL layouts. */
  readonly keys: readonly string[];
}

/** Something of an older server's storage that cannot be used as it stands. */
export interface LegacyProblem {
  /** Key or row it concerns. */
  readonly key: string;
  readonly reason: string;
  /** Content the old server would have loaded is gone or not to be trusted; false for litter and for derived records that were rebuilt. */
  readonly isLoss: boolean;
  /** Something seems gone that a clean-up may have deleted: a loss if there was none, or if anything that was found waits for what nobody has. */
  readonly mayBeLoss?: true;
  /** Of rows of PR #51's `journal` that are missing, the id of the last. */
  readonly upTo?: number;
  /** What tells this loss from another under the same key: the checksum or size of what is lost. */
  readonly of?: string;
}

/** Everything found, in the order in which it is to be united. */
export interface LegacyFindings {
  readonly entries: readonly LegacyEntry[];
  readonly problems: readonly LegacyProblem[];
  /**
   * Ends of clocks per client that content which is lost is known to have had (a checkpoint's state vector that outlived it).
   * A hint: names holes, proves nothing.
   */
  readonly lostVectors: readonly ReadonlyMap<number, number>[];
  /** Document keys that belong to no entry (chunks without a manifest, metadata, pointers), for clean-up. */
  readonly otherKeys: readonly string[];
}

/** A part of an entry that cannot be had, with the words of the old server where it has any. */
export class LegacyDamageError extends Error {
  readonly code = "legacy-damage";
  /** Key or row that is at fault. */
  readonly key: string;
  constructor(key: string, reason: string) {
    super(reason);
    this.key = key;
  }
}
