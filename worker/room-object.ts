/** The Durable Object of one room: hands platform events to the core and nothing else. */
import { DurableObject } from "cloudflare:workers";
import { crc32 } from "node:zlib";
import { LIMITS } from "../src/limits.ts";
import { debugReport } from "../src/report/debug.ts";
import { movingReport, storageOrigin } from "../src/report/takeover.ts";
import type { ConnectOptions, RoomHost } from "../src/room/room-host.ts";
import { Room } from "../src/room/room.ts";
import type { TakeoverView } from "../src/room/takeover-view.ts";
import { SendBudget } from "../src/room/send-budget.ts";
import { type AccessMode, type Door, OWNER_ACCESS } from "../src/room/session.ts";
import { WriteNotes } from "../src/room/write-note.ts";
import { isTakenOver } from "../src/takeover/opening.ts";
import type { MoveHost } from "../src/takeover/move.ts";
import { callConfig } from "./access/config-calls.ts";
import { ownJsonAnswer } from "./answers.ts";
import { blobError } from "./attachments/blob-answer.ts";
import { mayStillWrite } from "./attachments/device-check.ts";
import { endRoomBlobs, isBlobPath, type RoomBlobs, roomBlobs } from "./attachments/room-blobs.ts";
import { consoleLog } from "./console-log.ts";
import type { Env } from "./env.ts";
import { readJsonBody } from "./json-body.ts";
import { objectLegacy } from "./legacy-storage.ts";
import { RoomOpener } from "./room-opener.ts";
import { SocketPeer } from "./socket.ts";
import { DurableSql } from "./sql.ts";
import { cleanUpAct, decideAct, documentAct } from "./takeover-acts.ts";

/** Outlives an object that dies in a write, as the isolate does. */
const writeNotes = new WriteNotes();

/** All rooms of this isolate share its memory, so they share this. */
const sendBudget = new SendBudget();

const DOORS: ReadonlySet<string> = new Set<Door>(["vault", "sync", "parties"]);

export class VaultSyncServer extends DurableObject<Env> {
  /** A new one after an erasure: whoever remembers what was stored remembers it by this. */
  #sql: DurableSql;
  readonly #peers = new WeakMap<WebSocket, SocketPeer>();
  #lastAct: Promise<unknown> = Promise.resolve();
  #opener: RoomOpener;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#sql = new DurableSql(ctx.storage);
    this.#opener = this.#newOpener();
    // Answered by the platform without waking the room.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  /** The room is opened with the first event, so that an object started for nothing reads nothing. */
  #newOpener(): RoomOpener {
    return new RoomOpener(this.#moveHost, (takeover) => new Room(this.#host(takeover)));
  }

  get #moveHost(): MoveHost {
    return {
      sql: this.#sql,
      legacy: objectLegacy(this.ctx.storage, this.#sql),
      checksum: (bytes) => crc32(bytes),
      clock: { nowMs: () => Date.now() },
      log: consoleLog(this.#name),
    };
  }

  get #name(): string {
    return this.ctx.id.name ?? this.ctx.id.toString();
  }

  get #blobs(): RoomBlobs {
    return roomBlobs(this.#sql, {
      isForeign: () => !isTakenOver(this.#moveHost),
      mayStillWrite: (device) => mayStillWrite(this.env, device, this.#name),
    });
  }

  #host(takeover: TakeoverView): RoomHost {
    const { ctx } = this;
    const id = ctx.id.toString();
    const peerOf = (socket: WebSocket): SocketPeer => this.#peer(socket);
    return {
      sql: this.#sql,
      clock: { nowMs: () => Date.now(), randomId: () => crypto.randomUUID().replaceAll("-", "").slice(0, 20) },
      timers: {
        after(delayMs, task) {
          const timer = setTimeout(task, delayMs);
          return () => clearTimeout(timer);
        },
      },
      alarm: {
        ensure: (atMs) => {
          void ctx.storage.getAlarm().then((set) => {
            if (set !== null && set <= atMs) return undefined;
            // Billed as a row.
            this.#sql.rowsWritten += 1;
            const room = this.#opener.opened;
            if (room !== null) room.stats.rowsWrittenBy.maintenance += 1;
            return ctx.storage.setAlarm(atMs);
          });
        },
      },
      log: consoleLog(this.#name),
      checksum: (bytes) => crc32(bytes),
      *peers() {
        for (const socket of ctx.getWebSockets()) yield peerOf(socket);
      },
      // A commit that fails resets the object: then the promise never says it was confirmed, and the note stays for the next instance.
      writeNote: writeNotes.open(id, (then) => void ctx.storage.sync().then(then, () => undefined)),
      sendBudget,
      takeover,
      keys: {
        get: (key) => ctx.storage.kv.get(key),
        put: (key, value) => {
          // Billed as a row.
          this.#sql.rowsWritten += 1;
          ctx.storage.kv.put(key, value);
        },
        deleteAll: () => {
          for (const key of [...ctx.storage.kv.list()].map(([name]) => name)) ctx.storage.kv.delete(key);
        },
      },
      register: (answered) => {
        const registered = callConfig(this.env, "POST", "/__yaos/rooms", { vaultId: this.#name });
        void registered.then(
          ({ status, body }) => answered(status === 200 && typeof body["ownerEpoch"] === "number" ? body["ownerEpoch"] : null),
          () => answered(null),
        );
      },
    };
  }

  #peer(socket: WebSocket): SocketPeer {
    let peer = this.#peers.get(socket);
    if (peer === undefined) {
      peer = new SocketPeer(socket);
      this.#peers.set(socket, peer);
    }
    return peer;
  }

  override async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    if (isBlobPath(url.pathname)) return this.#blobs.fetch(request, url);
    if (url.pathname === "/__yaos/connect") return this.#connect(request, url);
    if (url.pathname === "/__yaos/debug" && request.method === "GET") {
      return ownJsonAnswer({ ...(await this.#debug()), attachments: this.#blobs.report(this.env) });
    }
    if (url.pathname === "/__yaos/meta" && request.method === "GET") return ownJsonAnswer({ roomId: this.#name, meta: (await this.#opener.ready()).schema.roomMeta });
    if (url.pathname === "/__yaos/legacy-document" && request.method === "GET") return documentAct(this.#moveHost.legacy);
    if (request.method !== "POST") return ownJsonAnswer({ error: "not found" }, 404);
    if (url.pathname === "/__yaos/compact") return ownJsonAnswer(await this.#compact());
    if (url.pathname === "/__yaos/cleanup-kv") return this.#oneByOne(() => cleanUpAct(request, () => this.#opener.ready(), this.#moveHost, (room) => this.#opener.opened !== room));
    if (url.pathname === "/__yaos/takeover") return this.#oneByOne(() => this.#decide(request));
    if (url.pathname === "/__yaos/revoke") return this.#revoke(request);
    if (url.pathname === "/__yaos/erase") return this.#erase(url);
    if (url.pathname === "/__yaos/unerase") return this.#unerase();
    return ownJsonAnswer({ error: "not found" }, 404);
  }

  /** `{by, below}`; answered with how many sessions ended. */
  async #revoke(request: Request): Promise<Response> {
    const body = await readJsonBody(request, LIMITS.maxJsonBodyBytes);
    if (!body.ok) return ownJsonAnswer({ error: body.error }, body.status);
    const { by, below } = body.value;
    if (typeof by !== "string" || by === "" || typeof below !== "number" || !Number.isSafeInteger(below)) return ownJsonAnswer({ error: "invalid revocation" }, 400);
    const closed = (await this.#opener.ready()).revoke(by, below);
    // Once it is on disk: whoever is told believes that it lasts.
    await this.ctx.storage.sync();
    return ownJsonAnswer({ closed });
  }

  async #erase(url: URL): Promise<Response> {
    // What lies in R2 could not go with it, and nobody would know of it afterwards.
    if (url.searchParams.get("auto") === "1" && this.#blobs.mayNeedBucket) return blobError("unavailable");
    const erasedAtMs = this.#opener.forErasing().erase();
    this.#startOver();
    await this.ctx.storage.deleteAlarm();
    await this.ctx.storage.sync();
    return ownJsonAnswer({ erased: true, erasedAt: new Date(erasedAtMs).toISOString() });
  }

  async #unerase(): Promise<Response> {
    const wasErased = (await this.#opener.ready()).unerase();
    if (wasErased) this.#startOver();
    await this.ctx.storage.sync();
    return ownJsonAnswer({ erased: false, wasErased });
  }

  /** What was stored is gone: nothing in memory may go on from it. */
  #startOver(): void {
    endRoomBlobs(this.#sql);
    this.#sql = new DurableSql(this.ctx.storage);
    this.#opener.reset();
    this.#opener = this.#newOpener();
    writeNotes.forget(this.ctx.id.toString());
  }

  async #connect(request: Request, url: URL): Promise<Response> {
    const door = url.searchParams.get("door") ?? "";
    if (request.headers.get("Upgrade")?.toLowerCase() !== "websocket" || !DOORS.has(door)) return ownJsonAnswer({ error: "not found" }, 404);
    const room = await this.#opener.ready();
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    room.connect(this.#peer(server), { door: door as Door, text: url.searchParams.get("text") === "1", ...entryOf(url.searchParams) });
    return new Response(null, { status: 101, webSocket: client });
  }

  async #debug(): Promise<Record<string, unknown>> {
    let room = this.#opener.now();
    if (room === null) {
      // A long takeover is reported on, not waited for. No timer may stay behind: it would keep the object awake.
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<null>((resolve) => (timer = setTimeout(() => resolve(null), LIMITS.debugWaitMs)));
      room = await Promise.race([this.#opener.ready(), late]).finally(() => clearTimeout(timer));
    }
    const { legacy } = this.#moveHost;
    if (room === null) return movingReport(this.#name, legacy);
    return debugReport(room, this.#name, this.#sql, Date.now(), storageOrigin(this.#opener.as, legacy));
  }

  async #decide(request: Request): Promise<Response> {
    // One that is under way may be what is to be decided about; it has ended then.
    const room = await this.#opener.ready();
    const answer = await decideAct(request, this.#moveHost, () => {
      room.reopen();
      this.#opener.reset();
    });
    await this.ctx.storage.sync();
    return answer;
  }

  /** The status object of the compat sheet, 2.6. */
  async #compact(): Promise<Record<string, unknown>> {
    const room = this.#opener.now() ?? (await this.#opener.ready());
    const size = (): { entryCount: number; totalBytes: number } => ({ entryCount: room.store.journal.length, totalBytes: room.store.journalBytes });
    const journalBefore = size();
    try {
      const steps = room.compact();
      let step = steps.next();
      // A turn each, so that edits are not kept waiting.
      while (step.done !== true) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        step = steps.next();
      }
      const { checkpoint, compaction } = step.value;
      const status = checkpoint.kind === "noop" && compaction.kind === "noop" ? "noop" : "compacted";
      return { status, journalBefore, journalAfter: size() };
    } catch (error) {
      return { status: "failed", journalBefore, journalAfter: size(), error: error instanceof Error ? error.message : String(error) };
    }
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void | Promise<void> {
    return this.#withRoom((room) => room.receive(this.#peer(socket), typeof message === "string" ? message : new Uint8Array(message)));
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    const peer = this.#peer(socket);
    // A room that is not there yet knows of no socket.
    this.#opener.now()?.disconnect(peer);
    // Hibernatable sockets are not closed for us (platform notes): answer, or the client hangs until eviction.
    peer.close(code, reason);
  }

  override webSocketError(socket: WebSocket, error: unknown): void {
    this.#opener.now()?.socketFailed(this.#peer(socket), String(error));
    this.#peer(socket).close(1011, "socket error");
  }

  override alarm(): void | Promise<void> {
    return this.#withRoom((room) => room.onAlarm());
  }

  /** In this turn when the room is there. */
  #withRoom(act: (room: Room) => void): void | Promise<void> {
    const room = this.#opener.now();
    if (room === null) return this.#opener.ready().then(act);
    act(room);
  }

  /** Acts on what an older server left wait for one another. */
  #oneByOne(act: () => Promise<Response>): Promise<Response> {
    const answered = this.#lastAct.then(act);
    this.#lastAct = answered.catch(() => undefined);
    return answered;
  }
}

/** Who enters, as the Worker found out. A Worker of before says nothing of it: then it is the owner, whose schema is not looked at. */
function entryOf(query: URLSearchParams): Pick<ConnectOptions, "access" | "schema"> {
  // What this version does not know may not write.
  const mode: AccessMode = (query.get("mode") ?? "rw") === "rw" ? "rw" : "ro";
  const epoch = Number(query.get("epoch") ?? 0);
  const schema = query.get("schema") ?? "";
  return {
    access: { by: query.get("by") ?? OWNER_ACCESS.by, mode, accessEpoch: Number.isSafeInteger(epoch) ? epoch : 0 },
    schema: schema === "" ? null : Number(schema),
  };
}
