/** A hibernatable WebSocket as the core's `Peer` port. */
import type { Peer } from "../src/ports.ts";

/** Codes a server may pass to close(): 1000 and 3000 to 4999; the platform also takes these few. */
const PASSABLE = new Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011]);

export class SocketPeer implements Peer {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(frame: Uint8Array | string): boolean {
    try {
      this.#socket.send(frame);
      return true;
    } catch {
      // Closing or gone: the close event cleans up.
      return false;
    }
  }

  close(code: number, reason: string): void {
    try {
      this.#socket.close(PASSABLE.has(code) || (code >= 3000 && code <= 4999) ? code : 1000, reason);
    } catch {
      // Already closed.
    }
  }

  readAttachment(): unknown {
    return this.#socket.deserializeAttachment();
  }

  writeAttachment(value: unknown): void {
    this.#socket.serializeAttachment(value);
  }
}
