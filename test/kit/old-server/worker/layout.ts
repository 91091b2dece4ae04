import type * as Y from "yjs";

/** Where a vault's updates lie. Both layouts keep a base (checkpoint, snapshot) and a journal on top. */
export interface Layout {
  /** Applies what is stored. @throws in the words of compat sheet, 4.3, when it does not verify */
  load(doc: Y.Doc): Promise<void>;
  /** Adds to the journal. False: too large for it, a checkpoint is needed. */
  append(update: Uint8Array): Promise<boolean>;
  /** Replaces everything by the whole document. */
  checkpoint(doc: Y.Doc): Promise<void>;
  journalSize(): Promise<JournalSize>;
  /** Edits are stored at all (compat sheet, 5.2: not in `kv-fallback`). */
  readonly isWritable: boolean;
  /** The debug answer's storage block; null where that build has none. */
  report(): Record<string, unknown> | null;
}

export interface JournalSize {
  readonly entryCount: number;
  readonly totalBytes: number;
}
