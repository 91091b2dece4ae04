/**
 * One connected socket, as the room sees it. Everything that must survive hibernation goes through the socket's attachment;
 * the rest is rebuilt.
 */
import type { Peer } from "../ports.ts";

/** Which door the connection came through. */
export type Door = "vault" | "sync" | "parties";

/** What the attachment holds. `v` guards against an attachment of another version of this server after a deploy. */
interface StoredSession {
  readonly v: 1;
  readonly id: string;
  readonly door: Door;
  readonly text: boolean;
  readonly epoch: string;
  readonly received: number;
  readonly durable: number;
  readonly live: boolean;
  readonly sentAtMs: number;
  readonly owned: readonly (readonly [number, number])[];
}

/** A silence is measured to this many milliseconds, so that not every relayed frame writes an attachment. */
const SENT_AT_GRAIN_MS = 2_000;

export class Session {
  readonly peer: Peer;
  readonly id: string;
  readonly door: Door;
  /** Whether text frames may go to this client (update laws, W3). */
  readonly text: boolean;
  /** Names this connection in receipts; a number of frames counts within one epoch only (update laws, C4). */
  readonly epoch: string;
  /** Sync frames with changes received on this connection: outer type 0, inner 1 or 2. */
  received = 0;
  /** How many of them, from the first on, are durable. */
  durable = 0;
  /** Its first step 1 was answered: from now on it gets relays. */
  live = false;
  /** Awareness clients this connection brought, with their last clocks. */
  owned: readonly (readonly [number, number])[] = [];
  closing = false;
  /** What it said it has when it asked for something the room has lost; it waits for that to come back. In memory only: a pending timer keeps the room awake. */
  parked: ReadonlyMap<number, number> | null = null;
  /** Called when the client shows that it got as far as the last big frame. */
  onCredit: (() => void) | null = null;
  /** Gives up waiting for the send budget, or ends a grant. */
  stopServing: (() => void) | null = null;
  #sentAtMs: number;

  private constructor(peer: Peer, fixed: { id: string; door: Door; text: boolean; epoch: string; sentAtMs: number }) {
    this.peer = peer;
    this.id = fixed.id;
    this.door = fixed.door;
    this.text = fixed.text;
    this.epoch = fixed.epoch;
    this.#sentAtMs = fixed.sentAtMs;
  }

  static open(peer: Peer, fixed: { id: string; door: Door; text: boolean; epoch: string; sentAtMs: number }): Session {
    const session = new Session(peer, fixed);
    session.save();
    return session;
  }

  /** The session of a socket that outlived its room's memory, or null when its attachment is not ours. */
  static restore(peer: Peer): Session | null {
    const stored = peer.readAttachment() as StoredSession | null | undefined;
    if (stored === null || stored === undefined || stored.v !== 1) return null;
    const session = new Session(peer, stored);
    session.received = stored.received;
    session.durable = stored.durable;
    session.live = stored.live;
    session.owned = stored.owned;
    return session;
  }

  /** Sends one frame. */
  send(frame: Uint8Array | string, nowMs: number): void {
    if (this.closing) return;
    this.peer.send(frame);
    if (nowMs - this.#sentAtMs < SENT_AT_GRAIN_MS) return;
    this.#sentAtMs = nowMs;
    this.save();
  }

  /** Milliseconds since something was last sent, exact to the grain. */
  silentMs(nowMs: number): number {
    return nowMs - this.#sentAtMs;
  }

  close(code: number, reason: string): void {
    if (this.closing) return;
    this.closing = true;
    this.peer.close(code, reason);
  }

  /** Writes what must survive hibernation. */
  save(): void {
    const stored: StoredSession = {
      v: 1,
      id: this.id,
      door: this.door,
      text: this.text,
      epoch: this.epoch,
      received: this.received,
      durable: this.durable,
      live: this.live,
      sentAtMs: this.#sentAtMs,
      owned: this.owned,
    };
    this.peer.writeAttachment(stored);
  }
}
