/** Writes vaults in the layouts of older servers (compat sheet, 4 and 5), for tests that then read, tear or tamper with them. */
import { createHash } from "node:crypto";
import * as Y from "yjs";
import type { Sql } from "../../src/ports.ts";
import { viewOf } from "./legacy-storage.ts";

/** How chunks are stored: a view of the whole payload as releases from 1.0.0 on do, a copy, or another container. */
export type ChunkShape = "view" | "copy" | "ArrayBuffer" | "DataView";

export interface ChunkOptions {
  readonly chunkSizeBytes?: number;
  readonly shape?: ChunkShape;
}

export interface KvLayoutOptions extends ChunkOptions {
  /** The current checkpoint; none by default. */
  readonly checkpoint?: Uint8Array;
  /** Its version; 1 by default. */
  readonly version?: number;
  /** Journal entries from sequence number 1 on. */
  readonly journal?: readonly Uint8Array[];
}

const UPDATED_AT = "2026-05-20T09:01:00.000Z";
const DEFAULT_CHUNK_BYTES = 512 * 1024;
const SQL_CHUNK_BYTES = 1024 * 1024;

/** A checkpoint with its pointer, a journal with its metadata: what an old server at rest has. */
export function writeKvLayout(values: Map<string, unknown>, options: KvLayoutOptions): void {
  const { checkpoint, version = 1, journal = [] } = options;
  if (checkpoint !== undefined) {
    writeCheckpoint(values, version, checkpoint, options);
    values.set("document:checkpoint:current", { version });
  }
  for (const [index, update] of journal.entries()) writeJournalEntry(values, index + 1, update, options);
  if (checkpoint !== undefined || journal.length > 0) {
    const totalBytes = journal.reduce((sum, update) => sum + update.length, 0);
    values.set("document:journal:meta", {
      format: "yaos-doc-journal-v1",
      nextSeq: journal.length + 1,
      entryCount: journal.length,
      totalBytes,
      updatedAt: UPDATED_AT,
    });
  }
}

/** One checkpoint: chunks, manifest and state vector, no pointer. */
export function writeCheckpoint(values: Map<string, unknown>, version: number, update: Uint8Array, options: ChunkOptions = {}): void {
  const manifest = writeChunks(values, `document:checkpoint:chunk:${version}`, update, options);
  const vector = Y.encodeStateVectorFromUpdate(update);
  values.set(`document:checkpoint:manifest:${version}`, {
    format: "yaos-doc-checkpoint-v2",
    version,
    ...manifest,
    stateVectorByteLength: vector.length,
    stateVectorSha256: sha256Of(vector),
    updatedAt: UPDATED_AT,
  });
  values.set(`document:checkpoint:state-vector:${version}`, vector);
}

/** One journal entry: chunks and manifest, no metadata. */
export function writeJournalEntry(values: Map<string, unknown>, seq: number, update: Uint8Array, options: ChunkOptions = {}): void {
  const manifest = writeChunks(values, `document:journal:chunk:${seq}`, update, options);
  values.set(`document:journal:manifest:${seq}`, { format: "yaos-doc-journal-entry-v1", seq, ...manifest, updatedAt: UPDATED_AT });
}

function writeChunks(values: Map<string, unknown>, base: string, update: Uint8Array, options: ChunkOptions): object {
  const { chunkSizeBytes = DEFAULT_CHUNK_BYTES, shape = "view" } = options;
  const chunkCount = Math.ceil(update.length / chunkSizeBytes);
  for (let index = 0; index < chunkCount; index += 1) {
    values.set(`${base}:${index}`, shaped(update, index * chunkSizeBytes, Math.min(update.length, (index + 1) * chunkSizeBytes), shape));
  }
  return { chunkSizeBytes, chunkCount, byteLength: update.length, sha256: sha256Of(update) };
}

function shaped(update: Uint8Array, from: number, to: number, shape: ChunkShape): unknown {
  if (shape === "view") return update.subarray(from, to);
  const copy = update.slice(from, to);
  if (shape === "copy") return copy;
  if (shape === "ArrayBuffer") return copy.buffer;
  const view = viewOf(copy, 7);
  return new DataView(view.buffer, view.byteOffset, view.byteLength);
}

export interface SqlLayoutOptions {
  readonly snapshot?: Uint8Array;
  readonly journal?: readonly Uint8Array[];
  readonly chunkBytes?: number;
  /** Rows of `_migration_meta`. */
  readonly markers?: Readonly<Record<string, string>>;
}

/** The tables of PR #51 as its server leaves them. May be called again: it adds journal rows, and replaces the snapshot when one is given. */
export function writeSqlLayout(sql: Sql, options: SqlLayoutOptions): void {
  const { snapshot, journal = [], chunkBytes = SQL_CHUNK_BYTES, markers = {} } = options;
  sql.exec(`CREATE TABLE IF NOT EXISTS snapshot_chunks (chunk_index INTEGER PRIMARY KEY, data BLOB NOT NULL)`);
  sql.exec(
    `CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL, byte_length INTEGER NOT NULL, created_at TEXT NOT NULL DEFAULT (datetime('now')))`,
  );
  sql.exec(`CREATE TABLE IF NOT EXISTS _migration_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)`);
  if (snapshot !== undefined) {
    sql.exec(`DELETE FROM snapshot_chunks`);
    sql.exec(`DELETE FROM journal`);
    for (let index = 0; index * chunkBytes < snapshot.length; index += 1) {
      sql.exec(`INSERT INTO snapshot_chunks (chunk_index, data) VALUES (?, ?)`, index, snapshot.slice(index * chunkBytes, (index + 1) * chunkBytes));
    }
  }
  for (const update of journal) sql.exec(`INSERT INTO journal (data, byte_length) VALUES (?, ?)`, update, update.length);
  for (const [key, value] of Object.entries(markers)) sql.exec(`INSERT OR REPLACE INTO _migration_meta (key, value) VALUES (?, ?)`, key, value);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
