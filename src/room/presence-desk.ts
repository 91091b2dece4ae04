/** Presence on real sessions: decodes what arrives, relays what is news, keeps attachments in step, and keeps stock clients from thinking us dead. */
import { LIMITS } from "../limits.ts";
import { decodeAwareness, encodeAwareness } from "../protocol/awareness-codec.ts";
import { awarenessFrame, queryAwarenessFrame } from "../protocol/frames.ts";
import { Presence } from "./presence.ts";
import type { Session } from "./session.ts";

export class PresenceDesk {
  readonly #presence = new Presence();
  readonly #sessions: () => Iterable<Session>;
  #ignored = 0;
  #echoed = 0;

  constructor(sessions: () => Iterable<Session>) {
    this.#sessions = sessions;
  }

  /** For debug. */
  get summary(): { present: number; stateBytes: number; ignoredEntries: number; echoes: number } {
    return { present: this.#presence.presentCount, stateBytes: this.#presence.stateBytes, ignoredEntries: this.#ignored, echoes: this.#echoed };
  }

  /** A socket came through hibernation. */
  restore(session: Session): void {
    this.#presence.restore(session.id, session.owned);
  }

  /** Tells a joiner who is there; after a wake the others are asked for what memory has lost. */
  greet(joiner: Session, nowMs: number): void {
    const states = this.#presence.statesForJoiner();
    if (states !== null) joiner.send(awarenessFrame(states), nowMs);
    if (!this.#presence.hasUnknownStates()) return;
    for (const session of this.#sessions()) {
      if (session !== joiner && session.owned.length > 0) session.send(queryAwarenessFrame(), nowMs);
    }
  }

  /**
   * Takes one awareness payload and returns whether it can be the answer to a query: that repeats all the client knows, its own state among it (update
   * laws, W4). What a client announces or changes is news, and what it passes on of others leaves itself out.
   * @throws {FrameRefusedError}
   */
  take(sender: Session, payload: Uint8Array, nowMs: number): boolean {
    const entries = decodeAwareness(payload);
    const owned = new Set(sender.owned.map(([id]) => id));
    const outcome = this.#presence.apply(sender.id, entries);
    this.#ignored += outcome.ignored;
    for (const session of this.#sessions()) {
      const ids = outcome.attachments.get(session.id);
      if (ids === undefined) continue;
      session.owned = ids;
      session.save();
    }
    if (outcome.relay.length > 0) this.#tell(sender, outcome.relayWhole ? payload : encodeAwareness(outcome.relay), nowMs);
    // A stock y-websocket client that hears nothing for 30 s reconnects; its own renewal coming back keeps it (update laws, W2).
    if (outcome.echoNeeded && sender.silentMs(nowMs) >= LIMITS.awarenessEchoSilenceMs) {
      this.#echoed += 1;
      sender.send(awarenessFrame(payload), nowMs);
    }
    return outcome.relay.length === 0 && (entries.length === 0 || entries.some((entry) => owned.has(entry.client)));
  }

  /** A socket is gone: its presence goes with it. */
  leave(session: Session, nowMs: number): void {
    const removals = this.#presence.close(session.id);
    if (removals.length > 0) this.#tell(session, encodeAwareness(removals), nowMs);
  }

  #tell(author: Session, payload: Uint8Array, nowMs: number): void {
    const frame = awarenessFrame(payload);
    for (const session of this.#sessions()) if (session !== author && !session.closing) session.send(frame, nowMs);
  }
}
