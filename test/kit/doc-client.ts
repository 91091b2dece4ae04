import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as syncProtocol from "y-protocols/sync";
import * as Y from "yjs";
import { FakePeer } from "./fake-peer.ts";

/** A receipt as a text client sees it. */
export interface SeenReceipt {
  readonly epoch: string;
  readonly durableFrames: number;
  readonly sv: Uint8Array;
}

/**
 * A client with a real document on a fake socket, speaking the sync protocol as the stock providers do. It numbers its own sync frames and keeps what each
 * carried, so a test can hold the room to its receipts.
 */
export class DocClient {
  readonly doc: Y.Doc;
  peer = new FakePeer();
  /** Frames waiting to be handed to the room, each one event. */
  readonly outbox: Uint8Array[] = [];
  /** Updates sent on this connection, by frame number minus one. */
  sent: Uint8Array[] = [];
  readonly receipts: SeenReceipt[] = [];
  readonly texts: string[] = [];
  readonly denials: string[] = [];
  /** Step 2s that reached the client. */
  answers = 0;
  /** Bytes of sync frames that reached the client. */
  syncBytes = 0;
  relayed = 0;
  online = false;
  /** Receipts of earlier connections: their numbers mean nothing on this one. */
  #receiptsBefore = 0;

  constructor(doc: Y.Doc = new Y.Doc()) {
    this.doc = doc;
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== this && this.online) this.#sendChanges(2, update);
    });
  }

  /** Begins a connection; the caller hands `peer` to the room. */
  open(): void {
    this.peer = new FakePeer();
    this.sent = [];
    this.#receiptsBefore = this.receipts.length;
    this.online = true;
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, 0);
    syncProtocol.writeSyncStep1(encoder, this.doc);
    this.outbox.push(encoding.toUint8Array(encoder));
  }

  /** The connection is gone. */
  lost(): void {
    this.online = false;
    this.outbox.length = 0;
  }

  #sendChanges(inner: number, update: Uint8Array): void {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, 0);
    encoding.writeVarUint(encoder, inner);
    encoding.writeVarUint8Array(encoder, update);
    this.sent.push(update);
    this.outbox.push(encoding.toUint8Array(encoder));
  }

  /** Takes in what the room sent. */
  read(): void {
    for (const frame of this.peer.take()) {
      if (typeof frame === "string") {
        this.texts.push(frame);
        if (!frame.startsWith("__YPS:")) continue;
        const message = JSON.parse(frame.slice(6)) as { type: string; epoch: string; durableFrames: number; sv: string };
        if (message.type === "yaos/sv-echo") {
          this.receipts.push({ epoch: message.epoch, durableFrames: message.durableFrames, sv: new Uint8Array(Buffer.from(message.sv, "base64")) });
        }
        continue;
      }
      const decoder = decoding.createDecoder(frame);
      const outer = decoding.readVarUint(decoder);
      if (outer === 2) {
        decoding.readVarUint(decoder);
        this.denials.push(decoding.readVarString(decoder));
      }
      if (outer !== 0) continue;
      this.syncBytes += frame.byteLength;
      const inner = decoding.readVarUint(decoder);
      const payload = decoding.readVarUint8Array(decoder);
      if (inner === 0) this.#sendChanges(1, Y.encodeStateAsUpdate(this.doc, payload));
      else {
        if (inner === 1) this.answers += 1;
        else this.relayed += 1;
        Y.applyUpdate(this.doc, payload, this);
      }
    }
  }

  /** How many frames of this connection its last receipt calls durable. */
  get durableFrames(): number {
    return this.receipts.length > this.#receiptsBefore ? this.receipts.at(-1)!.durableFrames : 0;
  }

  /** What the last receipt of this connection promises: the updates it covers. */
  promised(): Uint8Array[] {
    return this.sent.slice(0, this.durableFrames);
  }
}

/** Whether `doc` already holds everything in `update`, deletions included. */
export function holds(doc: Y.Doc, update: Uint8Array): boolean {
  const before = Y.snapshot(doc);
  const copy = new Y.Doc({ gc: false });
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  Y.applyUpdate(copy, update);
  return Y.equalSnapshots(before, Y.snapshot(copy));
}
