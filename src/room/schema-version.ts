/**
 * The room's schema version, `sys.schemaVersion` of its document, without a document: watched as updates go by, kept in `room_meta` with the commit that
 * changes it, read once from everything stored where that record is missing.
 * `roomMeta` of the key-value storage is what older servers read (compat sheet, 1.3 and 2.6); it follows whenever the version changes.
 */
import type { Sql } from "../ports.ts";
import { readRun, readUpdate } from "../update/reader.ts";
import { SKIP_REF, type UpdateVisitor } from "../update/visitor.ts";
import { ClockIndex } from "../storage/clock-index.ts";
import { type RoomKeys, deleteMeta, readMeta, writeMeta } from "../storage/room-meta.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import type { CommitWindow } from "./commit-window.ts";
import { type Knows, SchemaWatch, type StoredWatch } from "./schema-watch.ts";

const KEY = "schema_path";
const FORMAT = 1;

/** The key-value record of older servers. */
export type RoomMeta = {
  readonly schemaVersion: number | null;
  /** ISO date. */
  readonly updatedAt: string;
};

export class SchemaVersion {
  readonly #sql: Sql;
  readonly #keys: RoomKeys;
  readonly #store: VaultStore;
  readonly #window: CommitWindow;
  #watch: SchemaWatch | null = null;
  #isLoaded = false;
  /** Whether storage has a record, right or outdated. */
  #isStored = false;
  /** What is stored cannot be read; not tried again by this instance. */
  #gaveUp = false;

  constructor(host: { readonly sql: Sql; readonly keys: RoomKeys }, store: VaultStore, window: CommitWindow) {
    this.#sql = host.sql;
    this.#keys = host.keys;
    this.#store = store;
    this.#window = window;
  }

  /** Shown every update on its way in; null while the version is not known and need not be. */
  get watch(): SchemaWatch | null {
    if (!this.#isLoaded) this.#load();
    if (this.#watch?.isLost === true) this.#watch = null;
    return this.#watch;
  }

  /** For debug: what is known without looking for it. */
  get summary(): { version: number | null; known: boolean; pathRuns: number } {
    const { watch } = this;
    return { version: watch === null ? null : this.#version(watch, false), known: watch !== null, pathRuns: watch?.path.runCount ?? 0 };
  }

  /**
   * The version now, or null when the document has none or it cannot be told. May read everything stored, a chunk at a time, once.
   * @param isStaging edits are on their way to disk where neither window nor index shows them
   */
  current(isStaging: boolean): number | null {
    if (this.watch === null && !isStaging && !this.#gaveUp) this.#scan();
    return this.#watch === null ? null : this.#version(this.#watch, isStaging);
  }

  /** The record older servers read, or null when it is missing or malformed. */
  get roomMeta(): RoomMeta | null {
    const stored = this.#keys.get("roomMeta");
    if (typeof stored !== "object" || stored === null) return null;
    const { schemaVersion, updatedAt } = stored as { schemaVersion?: unknown; updatedAt?: unknown };
    if (typeof updatedAt !== "string") return null;
    if (schemaVersion === null) return { schemaVersion, updatedAt };
    return typeof schemaVersion === "number" && Number.isInteger(schemaVersion) && schemaVersion >= 0 ? { schemaVersion, updatedAt } : null;
  }

  /** Call in the turn of a commit, after its statements. Writes only when something changed. @throws what the engine throws; what is stored is then no longer believed */
  committed(nowMs: number): void {
    const { watch } = this;
    // A record may not be ahead of what is on disk; without one the next instance looks for itself.
    if (watch === null || !this.#window.isEmpty) {
      if (this.#isStored && (watch === null || watch.isChanged)) {
        deleteMeta(this.#sql, KEY);
        this.#isStored = false;
      }
      return;
    }
    if (!watch.isChanged && this.#isStored) return;
    watch.path.trim();
    const version = this.#version(watch, false);
    try {
      writeMeta(this.#sql, KEY, JSON.stringify({ format: FORMAT, ...watch.toJSON() }));
      if ((this.roomMeta?.schemaVersion ?? null) !== version) {
        this.#keys.put("roomMeta", { schemaVersion: version, updatedAt: new Date(nowMs).toISOString() } satisfies RoomMeta);
      }
    } catch (error) {
      if (this.#isStored) deleteMeta(this.#sql, KEY);
      this.#isStored = false;
      throw error;
    }
    this.#isStored = true;
    watch.isChanged = false;
  }

  #version(watch: SchemaWatch, isStaging: boolean): number | null {
    const { path } = watch;
    const { last } = path;
    if (last === null) return null;
    if (path.isDeleted === null) {
      try {
        const isDeleted = this.#window.deletes.isDeleted(last.client, last.clock) || this.#store.readDeletes([last.client]).isDeleted(last.client, last.clock);
        if (isDeleted || !isStaging) path.isDeleted = isDeleted;
        return isDeleted ? null : path.value;
      } catch {
        // The deletions cannot be read just now; a set that nobody has seen deleted counts.
        return path.value;
      }
    }
    return path.isDeleted ? null : path.value;
  }

  #load(): void {
    this.#isLoaded = true;
    if (this.#store.isFresh) {
      this.#watch = new SchemaWatch();
      return;
    }
    try {
      const stored = readMeta(this.#sql, KEY);
      if (stored === null) return;
      this.#isStored = true;
      const record = JSON.parse(stored) as StoredWatch & { format: number };
      if (record.format === FORMAT) this.#watch = SchemaWatch.fromJSON(record);
    } catch {
      // Looked for anew when somebody needs it.
    }
  }

  #scan(): void {
    const scanned = new ClockIndex();
    const knows: Knows = (client, clock) => scanned.has(client, clock, clock + 1);
    const watch = new SchemaWatch();
    const ranges: [client: number, from: number, to: number][] = [];
    const visitor = (bytes: Uint8Array): UpdateVisitor => ({
      struct(view) {
        if (view.ref === SKIP_REF) return;
        watch.look(view, bytes, view.clock);
        const last = ranges.at(-1);
        if (last !== undefined && last[0] === view.client && last[2] === view.clock) last[2] += view.length;
        else ranges.push([view.client, view.clock, view.clock + view.length]);
      },
    });
    const scan = (read: () => void): void => {
      watch.begin(knows);
      read();
      for (const [client, from, to] of ranges.splice(0)) scanned.add(client, from, to);
      watch.take(knows);
    };
    try {
      for (const chunk of this.#store.index.chunks) {
        const bytes = this.#store.readChunk(chunk);
        scan(() => {
          for (const run of chunk.runs) readRun(bytes, run.offset, run.client, run.clock, run.structCount, visitor(bytes));
        });
      }
      for (const update of [...this.#store.readJournalUpdates(), ...this.#window.updates]) scan(() => void readUpdate(update, visitor(update)));
    } catch {
      this.#gaveUp = true;
      return;
    }
    watch.path.trim();
    // What is over a limit here would be over it again.
    watch.isLost = false;
    watch.isChanged = true;
    this.#watch = watch;
  }
}
