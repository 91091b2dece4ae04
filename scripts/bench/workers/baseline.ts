/**
 * The server to compare with: a y-partyserver room as its documentation has you build one. It hydrates a `Y.Doc` when it wakes and
 * writes the whole document, in 1 MiB rows, on the provider's own debounce (2 s, at most 10 s).
 */
import { getServerByName } from "partyserver";
import { YServer } from "y-partyserver";
import * as Y from "yjs";
import { roomOf, type ObjectState } from "./platform.ts";

const CHUNK_BYTES = 1024 * 1024;

export class BenchRoom extends YServer {
  static override options = { hibernate: true };

  readonly #state = (this as unknown as { ctx: ObjectState }).ctx;
  readonly #instance = crypto.randomUUID();
  #dirty = false;
  #rowsWritten = 0;
  #bytesWritten = 0;
  #saves = 0;
  #lastSaveMs = 0;

  override async onLoad(): Promise<void> {
    const { sql } = this.#state.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS snapshot (part INTEGER PRIMARY KEY, bytes BLOB NOT NULL)");
    const parts = sql.exec("SELECT bytes FROM snapshot ORDER BY part").toArray().map((row) => new Uint8Array(row["bytes"] as ArrayBuffer));
    if (parts.length > 0) {
      const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        whole.set(part, at);
        at += part.length;
      }
      Y.applyUpdate(this.document, whole);
    }
    this.document.on("update", () => {
      this.#dirty = true;
    });
  }

  override async onSave(): Promise<void> {
    const startedAt = Date.now();
    this.#dirty = false;
    const whole = Y.encodeStateAsUpdate(this.document);
    const { sql } = this.#state.storage;
    this.#state.storage.transactionSync(() => {
      const count = Math.ceil(whole.length / CHUNK_BYTES);
      for (let part = 0; part < count; part++) {
        const bytes = whole.subarray(part * CHUNK_BYTES, (part + 1) * CHUNK_BYTES);
        // An upsert rewrites the row in place: one billed row per chunk, the cheapest form of a whole snapshot.
        this.#rowsWritten += sql.exec("INSERT INTO snapshot (part, bytes) VALUES (?, ?) ON CONFLICT (part) DO UPDATE SET bytes = excluded.bytes", part, bytes).rowsWritten;
      }
      this.#rowsWritten += sql.exec("DELETE FROM snapshot WHERE part >= ?", count).rowsWritten;
    });
    this.#bytesWritten += whole.length;
    this.#saves += 1;
    this.#lastSaveMs = Date.now() - startedAt;
    // Leaves through the output gate, so it reaches the bench only once the rows are on disk.
    this.broadcastCustomMessage(JSON.stringify({ type: "bench/saved" }));
  }

  override onRequest(): Response {
    return Response.json({
      instance: this.#instance,
      dirty: this.#dirty,
      rowsWritten: this.#rowsWritten,
      bytesWritten: this.#bytesWritten,
      saves: this.#saves,
      lastSaveMs: this.#lastSaveMs,
    });
  }
}

export default {
  async fetch(request: Request, env: { ROOM: unknown }): Promise<Response> {
    const name = roomOf(request, "/room/");
    if (name === null) return new Response("not found", { status: 404 });
    const room = (await getServerByName(env.ROOM as never, name)) as unknown as { fetch(request: Request): Promise<Response> };
    return await room.fetch(request);
  },
};
