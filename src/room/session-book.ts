/** The room's open sessions, and how one ends: closed by us, by the client, or by a socket that failed. */
import type { Peer } from "../ports.ts";
import { CLOSE, type CloseCode, closeFor } from "../protocol/close-codes.ts";
import { PresenceDesk } from "./presence-desk.ts";
import type { RoomState } from "./room-state.ts";
import { Session } from "./session.ts";

export class SessionBook {
  readonly #state: RoomState;
  readonly #sessions = new Map<Peer, Session>();
  /** Peers that were disconnected: a failed socket is reported twice. */
  readonly #gone = new WeakSet<Peer>();
  readonly presence: PresenceDesk;

  constructor(state: RoomState) {
    this.#state = state;
    this.presence = new PresenceDesk(() => this.#sessions.values());
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** In order of arrival. Sessions may end while this is walked. */
  get all(): Iterable<Session> {
    return this.#sessions.values();
  }

  of(peer: Peer): Session | undefined {
    return this.#sessions.get(peer);
  }

  add(session: Session): void {
    this.#sessions.set(session.peer, session);
  }

  /** Takes up a socket that outlived the room's memory. Null when it is none of ours, or we closed it. */
  restore(peer: Peer): Session | null {
    const session = Session.restore(peer);
    if (session === null) return null;
    this.add(session);
    this.presence.restore(session);
    return session;
  }

  /** Ends a session from our side. Nothing more of it is read, also after a sleep, and its presence goes now: a client need never answer the close. */
  end(session: Session, close: CloseCode): void {
    this.#state.stats.trace(this.#state.host.clock.nowMs(), "session.ended", `${close.code} ${close.reason}`);
    session.close(close.code, close.reason);
    this.disconnect(session.peer);
  }

  /** Ends a session because of a rule it broke, or because of an error of ours. */
  endFor(session: Session, error: unknown): void {
    const { stats } = this.#state;
    const close = closeFor(error);
    const detail = error instanceof Error ? error.message : String(error);
    const isOurs = close.code === CLOSE.internal.code;
    if (isOurs) stats.error(this.#state.host.clock.nowMs(), "session.failed", detail);
    this.reject(session, close, detail, isOurs ? "error" : "warn");
  }

  /** Ends a session for what it sent. */
  reject(session: Session, close: CloseCode, detail: string, level: "error" | "warn" = "warn"): void {
    this.#state.stats.refused(close.reason);
    this.#state.host.log.event(level, "session.rejected", { code: close.code, reason: close.reason, detail: detail.slice(0, 200) });
    this.end(session, close);
  }

  /** A socket failed: above all a frame over the platform's own limit. */
  socketFailed(peer: Peer, detail: string): void {
    const { stats, host } = this.#state;
    stats.socketErrors += 1;
    stats.trace(host.clock.nowMs(), "socket.failed", detail.slice(0, 200));
    host.log.event("warn", "socket.failed", { detail: detail.slice(0, 200) });
    this.disconnect(peer);
  }

  /** A socket closed, or is closing. */
  disconnect(peer: Peer): void {
    if (this.#gone.has(peer)) return;
    this.#gone.add(peer);
    let session = this.#sessions.get(peer) ?? null;
    if (session === null) {
      // A socket whose close woke the room is not among the open ones any more; its attachment still says whose presence it was.
      session = Session.restore(peer);
      if (session === null) return;
      this.presence.restore(session);
    }
    session.closing = true;
    session.stopServing?.();
    this.#sessions.delete(peer);
    const { clock, log } = this.#state.host;
    this.presence.leave(session, clock.nowMs());
    log.event("info", "session.closed", { door: session.door, sessions: this.#sessions.size });
  }
}
