/**
 * What the takeover case finds and is compared with: writes the layouts of the older servers as they did (compat sheet, 4 and 5), in objects of the same
 * names as ours, and moves a vault as the SQL generation of them does: hydrates a `Y.Doc` from every entry and stores it whole in 1 MiB rows (5.2).
 */
import * as Y from "yjs";
import { roomOf, type ObjectNamespace, type ObjectState } from "./platform.ts";

const KV_CHUNK_BYTES = 512 * 1024;
const SQL_CHUNK_BYTES = 1024 * 1024;
const META = "document:journal:meta";

declare const WebSocketPair: new () => { 0: unknown; 1: { accept(): void; send(frame: Uint8Array): void } };

interface KeyValues {
  get(key: string): Promise<unknown>;
  get(keys: readonly string[]): Promise<Map<string, unknown>>;
  put(entries: Record<string, unknown>): Promise<void>;
  sync(): Promise<void>;
}

interface Meta {
  readonly nextSeq: number;
  readonly entryCount: number;
  readonly totalBytes: number;
}

interface Manifest {
  readonly chunkCount: number;
  readonly byteLength: number;
  readonly sha256: string;
}

export class VaultSyncServer {
  readonly #storage: ObjectState["storage"] & KeyValues;
  #doc: Promise<Y.Doc> | null = null;
  #rows = 0;

  constructor(ctx: ObjectState) {
    this.#storage = ctx.storage as ObjectState["storage"] & KeyValues;
  }

  async fetch(request: Request): Promise<Response> {
    const act = new URL(request.url).searchParams.get("act");
    if (act === "entry") await this.#putEntry(await request.arrayBuffer());
    else if (act === "snapshot") this.#putSnapshotRow(await request.arrayBuffer());
    else if (act === "migrate") return Response.json(await this.#timed());
    else if (act === "connect") return await this.#connect();
    return new Response(null, { status: 204 });
  }

  async #putEntry(payload: ArrayBuffer): Promise<void> {
    const meta = await this.#meta();
    const updatedAt = new Date().toISOString();
    const chunkCount = Math.ceil(payload.byteLength / KV_CHUNK_BYTES);
    const values: Record<string, unknown> = {
      [META]: { format: "yaos-doc-journal-v1", nextSeq: meta.nextSeq + 1, entryCount: meta.entryCount + 1, totalBytes: meta.totalBytes + payload.byteLength, updatedAt },
      [`document:journal:manifest:${meta.nextSeq}`]: {
        format: "yaos-doc-journal-entry-v1",
        seq: meta.nextSeq,
        chunkSizeBytes: KV_CHUNK_BYTES,
        chunkCount,
        byteLength: payload.byteLength,
        sha256: await sha256(payload),
        updatedAt,
      },
      roomMeta: { schemaVersion: 2, updatedAt },
    };
    for (let at = 0, index = 0; index < chunkCount; at += KV_CHUNK_BYTES, index++) {
      // A view over the whole payload: storage keeps all of it once per chunk, as it did (compat sheet, 4.2).
      values[`document:journal:chunk:${meta.nextSeq}:${index}`] = new Uint8Array(payload, at, Math.min(KV_CHUNK_BYTES, payload.byteLength - at));
    }
    await this.#storage.put(values);
  }

  #putSnapshotRow(bytes: ArrayBuffer): void {
    this.#createTables();
    this.#storage.sql.exec("INSERT INTO snapshot_chunks (chunk_index, data) VALUES ((SELECT COUNT(*) FROM snapshot_chunks), ?)", bytes);
  }

  #createTables(): void {
    const { sql } = this.#storage;
    sql.exec("CREATE TABLE IF NOT EXISTS snapshot_chunks (chunk_index INTEGER PRIMARY KEY, data BLOB NOT NULL)");
    sql.exec("CREATE TABLE IF NOT EXISTS journal (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL, byte_length INTEGER NOT NULL, created_at TEXT NOT NULL DEFAULT (datetime('now')))");
    sql.exec("CREATE TABLE IF NOT EXISTS _migration_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
  }

  /** The move, and what it took until it was on disk. */
  async #timed(): Promise<{ ms: number; rows: number }> {
    const startedAt = Date.now();
    await this.#load();
    await this.#storage.sync();
    return { ms: Date.now() - startedAt, rows: this.#rows };
  }

  #load(): Promise<Y.Doc> {
    return (this.#doc ??= this.#migrate());
  }

  async #migrate(): Promise<Y.Doc> {
    const doc = new Y.Doc();
    const meta = await this.#meta();
    for (let seq = meta.nextSeq - meta.entryCount; seq < meta.nextSeq; seq++) Y.applyUpdate(doc, await this.#readEntry(seq));
    const whole = Y.encodeStateAsUpdate(doc);
    this.#createTables();
    const { sql } = this.#storage;
    this.#storage.transactionSync(() => {
      this.#rows += sql.exec("DELETE FROM snapshot_chunks").rowsWritten + sql.exec("DELETE FROM journal").rowsWritten;
      for (let at = 0, index = 0; at < whole.length; at += SQL_CHUNK_BYTES, index++) {
        this.#rows += sql.exec("INSERT INTO snapshot_chunks (chunk_index, data) VALUES (?, ?)", index, whole.slice(at, at + SQL_CHUNK_BYTES)).rowsWritten;
      }
    });
    const markers = {
      migration_completed: "true",
      migrated_at: new Date().toISOString(),
      source_format: "kv",
      source_entries: String(meta.entryCount),
      source_bytes: String(meta.totalBytes),
      snapshot_bytes: String(whole.length),
      active_path_count: String(doc.getMap("pathToId").size),
    };
    for (const [key, value] of Object.entries(markers)) this.#rows += sql.exec("INSERT OR REPLACE INTO _migration_meta (key, value) VALUES (?, ?)", key, value).rowsWritten;
    return doc;
  }

  async #readEntry(seq: number): Promise<Uint8Array> {
    const manifest = (await this.#storage.get(`document:journal:manifest:${seq}`)) as Manifest;
    const keys = Array.from({ length: manifest.chunkCount }, (_, index) => `document:journal:chunk:${seq}:${index}`);
    const chunks = await this.#storage.get(keys);
    const entry = new Uint8Array(manifest.byteLength);
    let at = 0;
    for (const key of keys) {
      const chunk = chunks.get(key) as Uint8Array;
      entry.set(chunk, at);
      at += chunk.byteLength;
    }
    if ((await sha256(entry.buffer)) !== manifest.sha256) throw new Error(`journal entry ${seq} load failed: sha256 mismatch`);
    return entry;
  }

  async #meta(): Promise<Meta> {
    return ((await this.#storage.get(META)) as Meta | undefined) ?? { nextSeq: 1, entryCount: 0, totalBytes: 0 };
  }

  /** A socket gets its first frame, a sync step 1, once the document is there. */
  async #connect(): Promise<Response> {
    const vector = Y.encodeStateVector(await this.#load());
    const pair = new WebSocketPair();
    pair[1].accept();
    const frame = [0, 0];
    let length = vector.length;
    for (; length > 127; length >>>= 7) frame.push((length & 127) | 128);
    frame.push(length);
    pair[1].send(new Uint8Array([...frame, ...vector]));
    return new Response(null, { status: 101, webSocket: pair[0] } as ResponseInit);
  }
}

/** Stands here so that both classes of the namespaces exist. */
export class ServerConfig {
  fetch(): Response {
    return new Response(null, { status: 404 });
  }
}

export default {
  async fetch(request: Request, env: { YAOS_SYNC: ObjectNamespace }): Promise<Response> {
    const room = roomOf(request, "/legacy/");
    if (room === null) return new Response("not found", { status: 404 });
    return await env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(room)).fetch(request);
  },
};

async function sha256(bytes: ArrayBuffer): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
