/**
 * A client as the YAOS plugin speaks to a room: `/vault/sync/<id>`, y-protocols sync frames over a raw socket, receipts in
 * `__YPS:` text frames. It counts its own sync frames as the receipts do (outer type 0 with inner type 1 or 2, from 1).
 */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as sync from "y-protocols/sync";
import { type RawData, WebSocket } from "ws";
import type * as Y from "yjs";

const OUTER_SYNC = 0;
const CUSTOM_PREFIX = "__YPS:";

export interface YaosClientOptions {
  readonly wsUrl: string;
  readonly token: string;
  readonly vault: string;
  readonly doc: Y.Doc;
  /** Called for each receipt that says more of our frames are durable than the one before. */
  readonly onReceipt?: (durableFrames: number) => void;
  /** 2 by default, as released plugins say. */
  readonly schemaVersion?: number;
  /** A client that only looks: it sends its state vector and nothing else. */
  readonly readOnly?: boolean;
}

export class YaosClient {
  readonly doc: Y.Doc;
  /** Own sync frames sent so far. */
  sentFrames = 0;
  /** Texts after `__YPS:` that are no receipts, in order. */
  readonly customs: { readonly type?: string; readonly reason?: string | null }[] = [];
  /** The most of them any receipt called durable. */
  durableFrames = 0;
  /** Resolves when the server has answered our state vector; rejects when the socket closes before. */
  readonly synced: Promise<void>;
  /** Resolves when the socket has closed and every frame that arrived before is read. */
  readonly closed: Promise<void>;

  readonly #socket: WebSocket;
  readonly #options: YaosClientOptions;
  #markSynced: () => void = () => {};

  constructor(options: YaosClientOptions) {
    this.#options = options;
    this.doc = options.doc;
    const query = `token=${encodeURIComponent(options.token)}&schemaVersion=${options.schemaVersion ?? 2}&_pk=${this.doc.clientID.toString(36)}`;
    const socket = new WebSocket(`${options.wsUrl}/vault/sync/${encodeURIComponent(options.vault)}?${query}`, { perMessageDeflate: false });
    this.#socket = socket;
    this.closed = new Promise((done) => socket.once("close", () => done()));
    this.synced = new Promise((done, fail) => {
      this.#markSynced = done;
      socket.once("close", (code: number, reason: Buffer) => fail(new Error(`Socket closed before sync: ${code} ${reason.toString()}`)));
    });
    this.synced.catch(() => {}); // a killed server closes sockets whose sync nobody waits for
    socket.on("error", () => {}); // followed by close
    socket.on("open", () => this.#sendStep1());
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (isBinary) this.#readFrame(new Uint8Array(data as Buffer));
      else this.#readText((data as Buffer).toString("utf8"));
    });
    if (options.readOnly !== true) {
      this.doc.on("update", (update: Uint8Array, origin: unknown) => {
        if (origin !== this) this.#sendUpdate(update);
      });
    }
  }

  /** Whether frames sent now can still reach the server. */
  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  close(): void {
    this.#socket.terminate();
  }

  #sendStep1(): void {
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, OUTER_SYNC);
    sync.writeSyncStep1(frame, this.doc);
    this.#socket.send(encoding.toUint8Array(frame));
  }

  #sendUpdate(update: Uint8Array): void {
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, OUTER_SYNC);
    sync.writeUpdate(frame, update);
    this.#sendCounted(frame);
  }

  #sendCounted(frame: encoding.Encoder): void {
    if (!this.isOpen) return;
    this.sentFrames++;
    this.#socket.send(encoding.toUint8Array(frame));
  }

  #readFrame(bytes: Uint8Array): void {
    const frame = decoding.createDecoder(bytes);
    if (decoding.readVarUint(frame) !== OUTER_SYNC) return;
    const reply = encoding.createEncoder();
    encoding.writeVarUint(reply, OUTER_SYNC);
    const inner = sync.readSyncMessage(frame, reply, this.doc, this);
    if (inner === sync.messageYjsSyncStep2) this.#markSynced();
    // The only reply there is, a step 2 for the server's step 1, counts like an edit.
    if (inner === sync.messageYjsSyncStep1 && this.#options.readOnly !== true) this.#sendCounted(reply);
  }

  #readText(text: string): void {
    if (!text.startsWith(CUSTOM_PREFIX)) return;
    const message = JSON.parse(text.slice(CUSTOM_PREFIX.length)) as { type?: string; reason?: string; durableFrames?: number };
    if (message.type !== "yaos/sv-echo") this.customs.push(message);
    if (message.type !== "yaos/sv-echo" || message.durableFrames === undefined) return;
    if (message.durableFrames <= this.durableFrames) return;
    this.durableFrames = message.durableFrames;
    this.#options.onReceipt?.(message.durableFrames);
  }
}
