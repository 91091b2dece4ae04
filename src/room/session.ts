/**
 * One connected socket, as the room sees it. Everything that must survive hibernation goes through the socket's attachment;
 * the rest is rebuilt.
 */
import type { Peer } from "../ports.ts";
import type { SessionRate } from "./session-rate.ts";

/** Which door the connection came through. */
export type Door = "vault" | "sync" | "parties";

/** What a session may do: read and write, or only read. */
export type AccessMode = "rw" | "ro";

/** Who is at the other end, as the door found out. */
export interface SessionAccess {
  /** The credential: `owner`, or a device's id. */
  readonly by: string;
  readonly mode: AccessMode;
  /** The credential's epoch when it was let in: a later revocation or rotation names a higher one. */
  readonly accessEpoch: number;
}

/** Who comes in when nobody says otherwise: attachments and connects of before there were devices. */
export const OWNER_ACCESS: SessionAccess = { by: "owner", mode: "rw", accessEpoch: 0 };

interface FixedFacts extends SessionAccess {
  readonly id: string;
  readonly door: Door;
  readonly text: boolean;
  readonly epoch: string;
  readonly sentAtMs: number;
  /** Something it sent may have been taken into memory only. */
  readonly isUnkept?: boolean;
}

/** What the attachment holds. `v` guards against an attachment of another version of this server after a deploy. */
interface StoredSession extends FixedFacts {
  readonly v: 1;
  readonly received: number;
  readonly durable: number;
  readonly live: boolean;
  readonly owned: readonly (readonly [number, number])[];
  /** We closed it. */
  readonly closing?: boolean;
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
  readonly by: string;
  readonly mode: AccessMode;
  readonly accessEpoch: number;
  /** Sync frames with changes received on this connection: outer type 0, inner 1 or 2. */
  received = 0;
  /** How many of them, from the first on, are durable. */
  durable = 0;
  /** Its first step 1 was answered: from now on it gets relays. */
  live = false;
  /** Awareness clients this connection brought, with their last clocks. */
  owned: readonly (readonly [number, number])[] = [];
  closing = false;
  /** What it sent may have been taken by an instance that keeps nothing: its counts mean nothing to another one. */
  isUnkept: boolean;
  /** Whether its first step 1 showed all that the room knew; null until that came. Found out only where it matters. */
  hadAll: boolean | null = null;
  /** How fast it sends. In memory only: a room sleeps when nothing comes. */
  rate: SessionRate | null = null;
  /** When it was last told that its edits are not taken. */
  readOnlyNoticeAtMs = -Infinity;
  /** What it said it has when it asked for something the room has lost; it waits for that to come back. In memory only: a pending timer keeps the room awake. */
  parked: ReadonlyMap<number, number> | null = null;
  /** Called when the client shows that it got as far as the last big frame. */
  onCredit: (() => void) | null = null;
  /** Gives up waiting for the send budget, or ends a grant. */
  stopServing: (() => void) | null = null;
  #sentAtMs: number;

  private constructor(peer: Peer, fixed: FixedFacts) {
    this.peer = peer;
    this.id = fixed.id;
    this.door = fixed.door;
    this.text = fixed.text;
    this.epoch = fixed.epoch;
    this.by = fixed.by;
    this.mode = fixed.mode;
    this.accessEpoch = fixed.accessEpoch;
    this.#sentAtMs = fixed.sentAtMs;
    this.isUnkept = fixed.isUnkept ?? false;
  }

  static open(peer: Peer, fixed: FixedFacts): Session {
    const session = new Session(peer, fixed);
    session.save();
    return session;
  }

  /** The session of a socket that outlived its room's memory, or null when its attachment is not ours, or we closed it. */
  static restore(peer: Peer): Session | null {
    const stored = peer.readAttachment() as StoredSession | null | undefined;
    if (stored === null || stored === undefined || stored.v !== 1 || stored.closing === true) return null;
    const session = new Session(peer, { ...OWNER_ACCESS, ...stored });
    session.received = stored.received;
    session.durable = stored.durable;
    session.live = stored.live;
    session.owned = stored.owned;
    return session;
  }

  /** Sends one frame. Returns whether the socket took it. */
  send(frame: Uint8Array | string, nowMs: number): boolean {
    if (this.closing || !this.peer.send(frame)) return false;
    if (nowMs - this.#sentAtMs < SENT_AT_GRAIN_MS) return true;
    this.#sentAtMs = nowMs;
    this.save();
    return true;
  }

  /** Milliseconds since something was last sent, exact to the grain. */
  silentMs(nowMs: number): number {
    return nowMs - this.#sentAtMs;
  }

  close(code: number, reason: string): void {
    if (this.closing) return;
    this.closing = true;
    // A client that never answers the close would otherwise come back to life with the next wake.
    this.save();
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
      by: this.by,
      mode: this.mode,
      accessEpoch: this.accessEpoch,
      received: this.received,
      durable: this.durable,
      live: this.live,
      sentAtMs: this.#sentAtMs,
      owned: this.owned,
      ...(this.closing ? { closing: true } : {}),
      ...(this.isUnkept ? { isUnkept: true } : {}),
    };
    this.peer.writeAttachment(stored);
  }
}
