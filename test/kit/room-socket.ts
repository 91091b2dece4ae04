import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";

/** The part of a WebSocket this client uses; both runtimes have it. */
interface Socket {
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
}

interface Receipt {
  readonly type: string;
  readonly epoch: string;
  readonly durableFrames: number;
}

/** A plugin's client on an accepted socket, inside whatever runtime the test runs in. Waits for what it hears, never for time. */
export class RoomSocket {
  readonly doc = new Y.Doc();
  readonly awareness = new Awareness(this.doc);
  readonly receipts: Receipt[] = [];
  readonly texts: string[] = [];
  /** Frames sent that a receipt counts. */
  sentFrames = 0;
  /** Times the room asked for everybody's presence. */
  queries = 0;
  synced = false;
  closed: { code: number; reason: string } | null = null;
  readonly #socket: Socket;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    this.doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== this) this.#send(0, (encoder) => sync.writeUpdate(encoder, update), true);
    });
    this.awareness.setLocalState(null);
  }

  /** A frame arrived: text, or bytes. */
  hear(data: unknown): void {
    if (typeof data === "string") this.#readText(data);
    else this.#readFrame(new Uint8Array(data as ArrayBuffer));
    this.#heard();
  }

  /** The socket closed. */
  hearClose(code: number, reason: string): void {
    this.closed = { code, reason };
    this.#heard();
  }

  /** Sends step 1. Call once the socket is accepted. */
  start(): void {
    this.#send(0, (encoder) => sync.writeSyncStep1(encoder, this.doc), false);
  }

  /** Sets and sends the own presence. */
  announce(state: Record<string, unknown>): void {
    this.awareness.setLocalState(state);
    this.#sendAwareness([this.doc.clientID]);
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Closes and stops the awareness timer. */
  close(): void {
    this.awareness.destroy();
    this.#socket.close(1000, "done");
  }

  get durableFrames(): number {
    return this.receipts.at(-1)?.durableFrames ?? 0;
  }

  get isReceipted(): boolean {
    return this.sentFrames > 0 && this.durableFrames === this.sentFrames;
  }

  sees(client: RoomSocket): boolean {
    return this.awareness.getStates().has(client.doc.clientID);
  }

  /** Resolves once `condition` holds, looked at after everything that arrives. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((done) => {
      const look = (): void => {
        if (condition()) done();
        else this.#waiting.push(look);
      };
      look();
    });
  }

  #heard(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const look of waiting) look();
  }

  #readText(text: string): void {
    this.texts.push(text);
    if (!text.startsWith("__YPS:")) return;
    const message = JSON.parse(text.slice(6)) as Receipt;
    if (message.type === "yaos/sv-echo") this.receipts.push(message);
  }

  #readFrame(bytes: Uint8Array): void {
    const decoder = decoding.createDecoder(bytes);
    const outer = decoding.readVarUint(decoder);
    if (outer === 1) applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), this);
    else if (outer === 3) {
      this.queries += 1;
      this.#sendAwareness([...this.awareness.getStates().keys()]);
    } else if (outer === 0) {
      const reply = encoding.createEncoder();
      encoding.writeVarUint(reply, 0);
      const inner = sync.readSyncMessage(decoder, reply, this.doc, this);
      if (inner === sync.messageYjsSyncStep2) this.synced = true;
      if (inner !== sync.messageYjsSyncStep1) return;
      this.sentFrames += 1;
      this.#socket.send(encoding.toUint8Array(reply));
    }
  }

  #sendAwareness(clients: number[]): void {
    this.#send(1, (encoder) => encoding.writeVarUint8Array(encoder, encodeAwarenessUpdate(this.awareness, clients)), false);
  }

  #send(outer: number, write: (encoder: encoding.Encoder) => void, counts: boolean): void {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, outer);
    write(encoder);
    if (counts) this.sentFrames += 1;
    this.#socket.send(encoding.toUint8Array(encoder));
  }
}
