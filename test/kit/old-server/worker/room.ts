/** The old servers' room object: a live `Y.Doc`, y-protocols frames, saves behind the answer (compat sheet, 2.6, 3.3, 3.4). */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";
import { KvLayout } from "./kv-layout.ts";
import type { Layout } from "./layout.ts";
import { type ObjectState, type OldEnv, type ServerSocket, socketPair } from "./platform.ts";
import { Saver } from "./saver.ts";
import { SqlLayout } from "./sql-layout.ts";

const OUTER_SYNC = 0;
const OUTER_AWARENESS = 1;
const OPEN = 1;
const MAX_ECHO_CHARS = 65_536;

/** Stored under `roomMeta`. */
interface RoomMeta {
  readonly schemaVersion: number | null;
  readonly updatedAt: string;
}

export class VaultSyncServer {
  readonly #state: ObjectState;
  readonly #env: OldEnv;
  readonly #layout: Layout;
  readonly #doc = new Y.Doc();
  readonly #sockets = new Set<ServerSocket>();
  #saver: Saver | null = null;
  #loading: Promise<void> | null = null;

  constructor(state: ObjectState, env: OldEnv) {
    this.#state = state;
    this.#env = env;
    this.#layout = env.OLD_BUILD === "sql" ? new SqlLayout(state.storage) : new KvLayout(state.storage);
  }

  async fetch(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/__yaos/meta") return Response.json({ roomId: this.#name, meta: (await this.#state.storage.get("roomMeta")) ?? null });
    if (request.headers.get("Upgrade") === "websocket") return this.#connect();
    await this.#load();
    if (pathname === "/__yaos/document") return new Response(Y.encodeStateAsUpdate(this.#doc) as Uint8Array<ArrayBuffer>);
    if (pathname === "/__yaos/debug") return Response.json(this.#debug());
    if (pathname === "/hold-saves") this.#saver?.hold();
    else if (pathname === "/release-saves") this.#saver?.release();
    else return new Response("Not implemented", { status: 404 });
    return new Response(null, { status: 204 });
  }

  /** A newer server may have left one; the framework's answers every one. */
  alarm(): void {}

  get #name(): string {
    return this.#state.id.name ?? "";
  }

  #debug(): Record<string, unknown> {
    const basic = { roomId: this.#name, recent: [] };
    if (this.#env.OLD_BUILD === "1.6.1") return basic;
    const storage = this.#layout.report();
    return { ...basic, documentLoaded: this.#saver !== null, persistence: this.#saver?.report() ?? null, documentSummary: null, ...(storage === null ? {} : { storage }) };
  }

  /** Once; a failure is remembered and refuses everybody until the object is started again. */
  #load(): Promise<void> {
    this.#loading ??= this.#state.blockConcurrencyWhile(async () => {
      await this.#layout.load(this.#doc);
      this.#saver = new Saver(this.#doc, this.#layout, {
        debounceMs: Number(this.#env.OLD_DEBOUNCE_MS),
        maxWaitMs: Number(this.#env.OLD_MAX_WAIT_MS),
        baseWaitsForCompaction: this.#env.OLD_BUILD === "1.6.1",
        onSaved: () => this.#noteSchema(),
      });
      this.#doc.on("update", (update: Uint8Array) => this.#broadcast(syncFrame((frame) => sync.writeUpdate(frame, update))));
      await this.#noteSchema();
    });
    return this.#loading;
  }

  async #noteSchema(): Promise<void> {
    const version = this.#doc.getMap("sys").get("schemaVersion");
    const meta: RoomMeta = { schemaVersion: typeof version === "number" && Number.isInteger(version) && version >= 0 ? version : null, updatedAt: new Date().toISOString() };
    const stored = (await this.#state.storage.get("roomMeta")) as RoomMeta | undefined;
    if (stored?.schemaVersion !== meta.schemaVersion) await this.#state.storage.put({ roomMeta: meta });
  }

  async #connect(): Promise<Response> {
    const { server: socket, answer } = socketPair();
    socket.accept();
    try {
      await this.#load();
    } catch (error) {
      socket.send(JSON.stringify({ error: error instanceof Error ? error.stack : String(error) }));
      socket.close(1011, "Uncaught exception during session setup");
      return answer;
    }
    this.#sockets.add(socket);
    for (const event of ["close", "error"] as const) socket.addEventListener(event, () => this.#sockets.delete(socket));
    socket.addEventListener("message", ({ data }) => {
      if (typeof data !== "string") this.#receive(socket, new Uint8Array(data));
    });
    send(socket, syncFrame((frame) => sync.writeSyncStep1(frame, this.#doc)));
    this.#echo(socket);
    return answer;
  }

  /** What goes wrong with a frame is swallowed, and the socket stays open. */
  #receive(socket: ServerSocket, bytes: Uint8Array): void {
    try {
      const frame = decoding.createDecoder(bytes);
      const outer = decoding.readVarUint(frame);
      if (outer === OUTER_AWARENESS) this.#broadcast(bytes);
      if (outer !== OUTER_SYNC) return;
      const reply = encoding.createEncoder();
      encoding.writeVarUint(reply, OUTER_SYNC);
      const inner = sync.readSyncMessage(frame, reply, this.#doc, socket);
      if (inner === sync.messageYjsSyncStep1) send(socket, encoding.toUint8Array(reply));
      else this.#echo(socket);
    } catch (error) {
      console.warn(`old server: frame dropped: ${String(error)}`);
    }
  }

  /** From memory, before anything is stored. */
  #echo(socket: ServerSocket): void {
    if (this.#env.OLD_BUILD === "1.6.1") return;
    const sv = btoa(String.fromCharCode(...Y.encodeStateVector(this.#doc)));
    if (sv.length <= MAX_ECHO_CHARS) send(socket, `__YPS:${JSON.stringify({ type: "yaos/sv-echo", schema: 1, sv })}`);
  }

  /** To everybody, the sender too. */
  #broadcast(frame: Uint8Array): void {
    for (const socket of this.#sockets) send(socket, frame);
  }
}

function syncFrame(write: (frame: encoding.Encoder) => void): Uint8Array {
  const frame = encoding.createEncoder();
  encoding.writeVarUint(frame, OUTER_SYNC);
  write(frame);
  return encoding.toUint8Array(frame);
}

function send(socket: ServerSocket, frame: Uint8Array | string): void {
  if (socket.readyState === OPEN) socket.send(frame);
}
