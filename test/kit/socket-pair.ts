import { FakePeer } from "./fake-peer.ts";

/** What a room does with a socket's events; the test binds it to the room under test, and again after a wake. */
export interface SocketEvents {
  message(peer: FakePeer, frame: Uint8Array | string): void;
  close(peer: FakePeer, code: number, reason: string): void;
}

/**
 * Both ends of a socket, with nothing delivered until the test says so: `toServer` holds what the client sent,
 * `server.sent` what the server sent. Each delivered message is one event, so one turn of the room.
 */
export class SocketPair {
  readonly server: FakePeer;
  /** Frames the client sent that the server has not seen, oldest first. */
  readonly toServer: (Uint8Array | string)[] = [];
  /** Frames that reached the client, oldest first. */
  readonly received: (Uint8Array | string)[] = [];
  #onReceive: (frame: Uint8Array | string) => void = () => {};
  #closeSeen = false;

  constructor(id = 0) {
    this.server = new FakePeer(id);
  }

  /** Calls `handler` for each frame that reaches the client, in order. */
  onReceive(handler: (frame: Uint8Array | string) => void): void {
    this.#onReceive = handler;
  }

  /** The client sends; frames on a closed socket are lost. */
  send(frame: Uint8Array | string): void {
    if (this.server.closed === null) this.toServer.push(typeof frame === "string" ? frame : frame.slice());
  }

  /** The client closes, or its network does. Frames under way to the server still arrive first. */
  close(code = 1000, reason = ""): void {
    this.server.drop(code, reason);
  }

  /** Delivers the oldest frame to the server as one event. @returns false when none waits. */
  deliverToServer(events: SocketEvents, turn: (event: () => void) => void = (event) => event()): boolean {
    const frame = this.toServer.shift();
    if (frame === undefined) return this.#deliverClose(events, turn);
    if (this.server.closed?.by === "server") return false;
    turn(() => events.message(this.server, frame));
    return true;
  }

  /** Delivers up to `count` queued frames to the client. @returns how many. */
  deliverToClient(count = Number.POSITIVE_INFINITY): number {
    let delivered = 0;
    while (delivered < count) {
      const frame = this.server.sent.shift();
      if (frame === undefined) break;
      this.received.push(frame);
      this.#onReceive(frame);
      delivered += 1;
    }
    return delivered;
  }

  #deliverClose(events: SocketEvents, turn: (event: () => void) => void): boolean {
    const closed = this.server.closed;
    if (closed === null || closed.by !== "client" || this.#closeSeen) return false;
    this.#closeSeen = true;
    turn(() => events.close(this.server, closed.code, closed.reason));
    return true;
  }
}

/** Delivers in rounds, one frame per socket and side, until nothing moves. @throws {Error} after `maxRounds` (a frame loop). */
export function flush(pairs: readonly SocketPair[], events: SocketEvents, turn?: (event: () => void) => void, maxRounds = 10_000): void {
  for (let round = 0; round < maxRounds; round += 1) {
    let moved = false;
    for (const pair of pairs) {
      if (pair.deliverToServer(events, turn)) moved = true;
      if (pair.deliverToClient() > 0) moved = true;
    }
    if (!moved) return;
  }
  throw new Error(`flush: frames still moving after ${maxRounds} rounds`);
}
