/**
 * When and what the old servers save (compat sheet, 4.1, 5.3, 5.4): a debounce, what is newer than the last persisted vector with the
 * whole delete set, a compaction behind it, and nothing at all while the vector stands still, so deletions alone are never saved.
 */
import * as Y from "yjs";
import { areEqual, hex } from "./bytes.ts";
import type { Layout } from "./layout.ts";

const CHECKPOINT_DELTA_BYTES = 2 * 1024 * 1024;
const CHECKPOINT_AFTER_FAILURES = 2;
const COMPACT_ENTRIES = 50;
const COMPACT_BYTES = 1024 * 1024;

export interface SaverOptions {
  readonly debounceMs: number;
  readonly maxWaitMs: number;
  /** Released servers: a failed compaction keeps the base vector where it was, so entries repeat all earlier ones. */
  readonly baseWaitsForCompaction: boolean;
  readonly onSaved: () => Promise<void>;
}

export class Saver {
  readonly #doc: Y.Doc;
  readonly #layout: Layout;
  readonly #options: SaverOptions;
  #persisted: Uint8Array;
  readonly #loaded: Uint8Array;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #firstChangeMs: number | null = null;
  #chain: Promise<void> = Promise.resolve();
  #queued = 0;
  #released: Promise<void> = Promise.resolve();
  #release: () => void = () => {};
  readonly #counts = { successfulSaveCount: 0, failedSaveCount: 0, consecutiveSaveFailures: 0, checkpointFallbackCount: 0 };
  readonly #times = { lastSaveStartedAt: null as string | null, lastSaveSucceededAt: null as string | null, lastSaveFailedAt: null as string | null };
  readonly #last = {
    lastSaveError: null as string | null,
    lastDeltaBytes: null as number | null,
    journalEntryCount: null as number | null,
    journalBytes: null as number | null,
    lastCompactionAt: null as string | null,
    lastCompactionReason: null as string | null,
    lastCompactionError: null as string | null,
  };

  /** The document as it was loaded; from then on its changes are saved. */
  constructor(doc: Y.Doc, layout: Layout, options: SaverOptions) {
    this.#doc = doc;
    this.#layout = layout;
    this.#options = options;
    this.#persisted = Y.encodeStateVector(doc);
    this.#loaded = this.#persisted;
    doc.on("update", () => this.#changed());
  }

  /** For tests: from now on a save stops between encoding and writing. */
  hold(): void {
    this.#released = new Promise((release) => (this.#release = release));
  }

  /** Ends `hold`. */
  release(): void {
    this.#release();
  }

  /** The debug answer's persistence block (compat sheet, 2.6). */
  report(): Record<string, unknown> {
    const isDegraded = this.#counts.consecutiveSaveFailures > 0 || !this.#layout.isWritable;
    return {
      status: isDegraded ? "degraded" : "healthy",
      ...this.#times,
      ...this.#counts,
      ...this.#last,
      queuedSaveCount: this.#queued,
      pendingPersistence: this.#queued > 0 || isDegraded,
      lastPersistedStateVectorHash: hex(this.#persisted.subarray(0, 16)),
      loadedStateVectorHash: hex(this.#loaded.subarray(0, 16)),
      legacyDocumentMigrated: false,
    };
  }

  #changed(): void {
    const nowMs = Date.now();
    this.#firstChangeMs ??= nowMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const waitMs = Math.max(0, Math.min(this.#options.debounceMs, this.#firstChangeMs + this.#options.maxWaitMs - nowMs));
    this.#timer = setTimeout(() => this.#due(), waitMs);
  }

  #due(): void {
    this.#timer = null;
    this.#firstChangeMs = null;
    this.#queued += 1;
    this.#chain = this.#chain.then(async () => {
      await this.#save();
      this.#queued -= 1;
    });
  }

  /** Errors end in the counters, and only the next edit tries again. */
  async #save(): Promise<void> {
    if (!this.#layout.isWritable) return;
    const vector = Y.encodeStateVector(this.#doc);
    // Also when there is nothing to save.
    this.#times.lastSaveStartedAt = new Date().toISOString();
    if (areEqual(vector, this.#persisted)) return;
    const delta = Y.encodeStateAsUpdate(this.#doc, this.#persisted);
    this.#last.lastDeltaBytes = delta.byteLength;
    let fallback = "";
    await this.#released;
    try {
      const mustCheckpoint = delta.byteLength > CHECKPOINT_DELTA_BYTES || this.#counts.consecutiveSaveFailures >= CHECKPOINT_AFTER_FAILURES;
      if (mustCheckpoint || !(await this.#layout.append(delta))) {
        fallback = " (checkpoint fallback)";
        this.#counts.checkpointFallbackCount += 1;
        await this.#layout.checkpoint(this.#doc);
      }
      const compacted = await this.#compact();
      if (compacted || !this.#options.baseWaitsForCompaction) this.#persisted = vector;
      this.#counts.successfulSaveCount += 1;
      this.#counts.consecutiveSaveFailures = 0;
      this.#last.lastSaveError = null;
      this.#times.lastSaveSucceededAt = new Date().toISOString();
      await this.#options.onSaved();
    } catch (error) {
      this.#counts.failedSaveCount += 1;
      this.#counts.consecutiveSaveFailures += 1;
      this.#times.lastSaveFailedAt = new Date().toISOString();
      this.#last.lastSaveError = `${textOf(error)}${fallback}`;
    }
  }

  /** False when it was due and failed. */
  async #compact(): Promise<boolean> {
    const { entryCount, totalBytes } = await this.#layout.journalSize();
    this.#last.journalEntryCount = entryCount;
    this.#last.journalBytes = totalBytes;
    if (entryCount <= COMPACT_ENTRIES && totalBytes <= COMPACT_BYTES) return true;
    this.#last.lastCompactionReason = entryCount > COMPACT_ENTRIES ? "entry_count_exceeded" : "byte_size_exceeded";
    try {
      await this.#layout.checkpoint(this.#doc);
      this.#last.lastCompactionAt = new Date().toISOString();
      this.#last.journalEntryCount = 0;
      this.#last.journalBytes = 0;
      return true;
    } catch (error) {
      this.#last.lastCompactionError = textOf(error);
      return false;
    }
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
