import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from "y-protocols/awareness";
import type * as Y from "yjs";
import { DocClient } from "./doc-client.ts";

/** A client with presence, as stock y-websocket has it: says who it is when it connects, when asked and at every change, and forgets the others when the connection is gone. */
export class PresentClient extends DocClient {
  readonly awareness: Awareness;
  /** Whether it answers queries; real clients do. */
  answersQueries = true;
  /** Whether it speaks unasked: when it connects and at every change. */
  announces = true;

  constructor(doc?: Y.Doc) {
    super(doc);
    this.awareness = new Awareness(this.doc);
    // The timer belongs to a real clock; what it does (renew, forget after 30 s) no test here waits for.
    clearInterval(this.awareness._checkInterval as NodeJS.Timeout);
    this.awareness.on("update", ({ added, updated, removed }: Record<"added" | "updated" | "removed", number[]>) => {
      if (this.online && this.announces) this.#send([...added, ...updated, ...removed]);
    });
  }

  override open(): void {
    super.open();
    if (this.announces) this.sendPresence();
  }

  override lost(): void {
    super.lost();
    const others = [...this.awareness.getStates().keys()].filter((client) => client !== this.doc.clientID);
    removeAwarenessStates(this.awareness, others, this);
  }

  /** Sends its own state. */
  sendPresence(): void {
    if (this.awareness.getLocalState() !== null) this.#send([this.doc.clientID]);
  }

  /** Says again what it said, with a new clock, as stock clients do every 15 s: who reconnects takes nothing for news that it knew before it lost the connection. */
  renew(): void {
    if (this.awareness.getLocalState() !== null) this.awareness.setLocalState(this.awareness.getLocalState());
  }

  /** Client ids it sees, its own included, ascending. */
  get seen(): number[] {
    return [...this.awareness.getStates().keys()].sort((a, b) => a - b);
  }

  #send(clients: number[]): void {
    const encoder = encoding.createEncoder();
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarUint8Array(encoder, encodeAwarenessUpdate(this.awareness, clients));
    this.outbox.push(encoding.toUint8Array(encoder));
  }

  override read(): void {
    for (const frame of this.peer.sent) {
      if (typeof frame === "string") continue;
      const decoder = decoding.createDecoder(frame);
      const outer = decoding.readVarUint(decoder);
      if (outer === 1) applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), this);
      if (outer === 3 && this.answersQueries) this.#send([...this.awareness.getStates().keys()]);
    }
    super.read();
  }
}
