/** PR #51's layout: snapshot chunks and journal rows in SQL, filled from the key-value layout at the first load (compat sheet, 5). */
import * as Y from "yjs";
import { assertStorable, bytesOf, concat } from "./bytes.ts";
import { KvLayout } from "./kv-layout.ts";
import type { JournalSize, Layout } from "./layout.ts";
import type { ObjectStorage } from "./platform.ts";
import { activePaths, readPrechunk } from "./prechunk.ts";

const CHUNK_BYTES = 1024 * 1024;
const MAX_ROW_BYTES = 1.5 * 1024 * 1024;

type Mode = "sql" | "kv-migrated" | "fresh" | "kv-fallback";

export class SqlLayout implements Layout {
  readonly #storage: ObjectStorage;
  readonly #kv: KvLayout;
  #mode: Mode | null = null;
  #migratedAt: string | null = null;
  #oversized = 0;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
    this.#kv = new KvLayout(storage);
  }

  get isWritable(): boolean {
    return this.#mode !== "kv-fallback";
  }

  report(): Record<string, unknown> {
    const statuses: Record<Mode, string> = { sql: "already_sql", "kv-migrated": "migrated", fresh: "not_started", "kv-fallback": "failed" };
    const marks = this.isWritable && this.#mode !== null ? this.#rows("SELECT key, value FROM _migration_meta") : [];
    return {
      mode: this.#mode,
      migrationStatus: this.#mode === null ? null : statuses[this.#mode],
      migrationAt: this.#migratedAt,
      oversizedDeltaCount: this.#oversized,
      migrationMeta: marks.length === 0 ? null : Object.fromEntries(marks.map((row) => [row["key"], row["value"]])),
    };
  }

  async load(doc: Y.Doc): Promise<void> {
    let stored: Uint8Array[];
    try {
      this.#createTables();
      stored = this.#readSql();
    } catch {
      this.#mode = "kv-fallback";
      for (const update of await this.#kv.readUpdates()) Y.applyUpdate(doc, update);
      return;
    }
    if (stored.length > 0) {
      this.#mode = "sql";
      for (const update of stored) Y.applyUpdate(doc, update);
      return;
    }
    const updates = await this.#kv.readUpdates();
    const prechunk = await readPrechunk(this.#storage, updates);
    const all = prechunk === null ? updates : [prechunk, ...updates];
    this.#mode = all.length === 0 ? "fresh" : "kv-migrated";
    if (all.length === 0) return;
    for (const update of all) Y.applyUpdate(doc, update);
    await this.#migrate(doc, prechunk !== null);
  }

  async append(update: Uint8Array): Promise<boolean> {
    if (update.byteLength > MAX_ROW_BYTES) {
      this.#oversized += 1;
      return false;
    }
    this.#storage.sql.exec("INSERT INTO journal (data, byte_length) VALUES (?, ?)", bufferOf(update), update.byteLength);
    return true;
  }

  async checkpoint(doc: Y.Doc): Promise<void> {
    const update = Y.encodeStateAsUpdate(doc);
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      sql.exec("DELETE FROM snapshot_chunks");
      sql.exec("DELETE FROM journal");
      for (let index = 0; index * CHUNK_BYTES < update.byteLength; index += 1) {
        const chunk = bufferOf(update.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
        assertStorable(chunk.byteLength);
        sql.exec("INSERT INTO snapshot_chunks (chunk_index, data) VALUES (?, ?)", index, chunk);
      }
    });
  }

  async journalSize(): Promise<JournalSize> {
    const row = this.#rows("SELECT COUNT(*) AS n, COALESCE(SUM(byte_length), 0) AS bytes FROM journal")[0];
    return { entryCount: Number(row?.["n"]), totalBytes: Number(row?.["bytes"]) };
  }

  #createTables(): void {
    const { sql } = this.#storage;
    sql.exec("CREATE TABLE IF NOT EXISTS snapshot_chunks (chunk_index INTEGER PRIMARY KEY, data BLOB NOT NULL)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL, byte_length INTEGER NOT NULL, created_at TEXT NOT NULL DEFAULT (datetime('now')))",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS _migration_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
  }

  #readSql(): Uint8Array[] {
    const chunks = this.#rows("SELECT data FROM snapshot_chunks ORDER BY chunk_index").map((row) => bytesOf(row["data"], "snapshot_chunks"));
    const rows = this.#rows("SELECT data FROM journal ORDER BY id").map((row) => bytesOf(row["data"], "journal"));
    return chunks.length === 0 ? rows : [concat(chunks), ...rows];
  }

  async #migrate(doc: Y.Doc, hadPrechunk: boolean): Promise<void> {
    const { entryCount, totalBytes } = await this.#kv.journalSize();
    await this.checkpoint(doc);
    this.#migratedAt = new Date().toISOString();
    const marks = {
      migration_completed: "true",
      migrated_at: this.#migratedAt,
      source_format: hadPrechunk ? "legacy+kv" : "kv",
      source_entries: String(entryCount),
      source_bytes: String(totalBytes),
      snapshot_bytes: String(Y.encodeStateAsUpdate(doc).byteLength),
      active_path_count: String(activePaths(doc)),
    };
    // One by one and outside the transaction, so a crash leaves some of them (compat sheet, 5.1).
    for (const [key, value] of Object.entries(marks)) this.#storage.sql.exec("INSERT OR REPLACE INTO _migration_meta (key, value) VALUES (?, ?)", key, value);
    await this.#storage.delete(["document"]);
  }

  #rows(query: string): Record<string, unknown>[] {
    return this.#storage.sql.exec(query).toArray();
  }
}

/** A buffer of its own, as SQL binds. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
