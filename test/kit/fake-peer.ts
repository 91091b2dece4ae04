import { serialize } from "node:v8";
import type { Peer } from "../../src/ports.ts";

/** The platform's limit for a socket's attachment, bytes as serialized (platform facts, section 3). */
const MAX_ATTACHMENT_BYTES = 16_384;
const MAX_REASON_BYTES = 123;

/** Why and how a socket was closed. */
export interface Closed {
  readonly code: number;
  readonly reason: string;
  readonly by: "server" | "client";
}

/**
 * A server-side socket with its frames in a queue. Frames are copied when sent, as a socket does, so a later change of the
 * sender's buffer cannot reach the reader. The attachment outlives the room instance, as in hibernation.
 */
export class FakePeer implements Peer {
  readonly id: number;
  /** Frames sent by the server and not taken yet, oldest first. */
  readonly sent: (Uint8Array | string)[] = [];
  closed: Closed | null = null;
  /** Frames handed to `send` after the close: lost, as on the platform. */
  lostFrames = 0;
  attachmentWrites = 0;
  #attachment: unknown = null;

  constructor(id = 0) {
    this.id = id;
  }

  send(frame: Uint8Array | string): boolean {
    if (this.closed !== null) this.lostFrames += 1;
    else this.sent.push(typeof frame === "string" ? frame : frame.slice());
    return this.closed === null;
  }

  /** @throws {Error} for codes and reasons the platform refuses. */
  close(code: number, reason: string): void {
    if (code !== 1000 && code !== 1008 && !(code >= 3000 && code <= 4999)) throw new Error(`InvalidAccessError: close code ${code}`);
    if (Buffer.byteLength(reason) > MAX_REASON_BYTES) throw new Error(`SyntaxError: close reason of ${Buffer.byteLength(reason)} bytes`);
    this.closed ??= { code, reason, by: "server" };
  }

  readAttachment(): unknown {
    return structuredClone(this.#attachment);
  }

  /** @throws {Error} above 16,384 serialized bytes. A typed array counts with its whole backing buffer, as structured clone does. */
  writeAttachment(value: unknown): void {
    const bytes = serialize(structuredClone(value)).byteLength;
    if (bytes > MAX_ATTACHMENT_BYTES) throw new Error(`serializeAttachment: ${bytes} bytes exceed ${MAX_ATTACHMENT_BYTES}`);
    this.#attachment = structuredClone(value);
    this.attachmentWrites += 1;
  }

  /** Takes every queued frame. */
  take(): (Uint8Array | string)[] {
    return this.sent.splice(0);
  }

  /** Takes the queued frames and returns the binary ones. */
  takeBinary(): Uint8Array[] {
    return this.take().filter((frame) => typeof frame !== "string");
  }

  /** Takes the queued frames and returns the text ones. */
  takeText(): string[] {
    return this.take().filter((frame) => typeof frame === "string");
  }

  /** The client or the network closes; the test then calls the room's close handler. */
  drop(code = 1006, reason = ""): void {
    this.closed ??= { code, reason, by: "client" };
  }
}
