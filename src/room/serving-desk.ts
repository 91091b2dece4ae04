/**
 * Brings sessions up to date: a small answer at once, a big one frame by frame as the isolate's send budget allows, and none to whoever needs
 * what is lost; those wait until it is back.
 */
import { LIMITS } from "../limits.ts";
import { CLOSE } from "../protocol/close-codes.ts";
import { queryAwarenessFrame, syncStep1Frame, syncStep2Frame } from "../protocol/frames.ts";
import { release } from "../release.ts";
import { DamagedRowError } from "../storage/damage.ts";
import { decodeStateVector, encodeStateVector } from "../update/state-vector.ts";
import type { DamageDesk } from "./damage-desk.ts";
import type { IncompleteDesk } from "./incomplete-desk.ts";
import { tellDegraded } from "./notices.ts";
import type { RelayDesk } from "./relay-desk.ts";
import type { RoomState } from "./room-state.ts";
import { type ServeStep, nextServeStep } from "./serve.ts";
import type { SessionBook } from "./session-book.ts";
import type { Session } from "./session.ts";

export class ServingDesk {
  readonly #state: RoomState;
  readonly #sessions: SessionBook;
  readonly #relays: RelayDesk;
  readonly #damage: DamageDesk;
  readonly #incomplete: IncompleteDesk;
  readonly #isStaging: () => boolean;

  /** @param isStaging whether edits are on their way to disk where neither window nor index shows them */
  constructor(state: RoomState, sessions: SessionBook, relays: RelayDesk, damage: DamageDesk, incomplete: IncompleteDesk, isStaging: () => boolean) {
    this.#state = state;
    this.#sessions = sessions;
    this.#relays = relays;
    this.#damage = damage;
    this.#incomplete = incomplete;
    this.#isStaging = isStaging;
  }

  /** A step 1 arrived. @throws {UpdateRefusedError} when its vector is not one */
  answer(session: Session, stateVector: Uint8Array): void {
    const vector = decodeStateVector(stateVector);
    this.#incomplete.asked(session, vector);
    // The answer carries all that waits; a second copy would do no harm, but cost.
    this.#relays.flush();
    // The same connection asking again (a resync timer) has had every relay; unless it lacks structs, there is nothing to say.
    if (session.live && this.#lacksNothing(vector)) {
      session.send(syncStep2Frame(Uint8Array.of(0, 0)), this.#state.host.clock.nowMs());
      return;
    }
    this.#serveOrPark(session, vector);
  }

  /** Serves every other live session what came since `before`. */
  catchUpOthers(author: Session, before: ReadonlyMap<number, number>): void {
    for (const session of this.#sessions.all) {
      if (session === author || !session.live || session.closing) continue;
      this.#serveOrPark(session, before);
      this.#relays.deliveries += 1;
    }
  }

  /** After news: whoever waited for it is served. */
  revisitParked(): void {
    for (const session of this.#sessions.all) {
      const vector = session.parked;
      if (vector === null || session.closing || this.#needsLost(vector)) continue;
      this.#serveOrPark(session, vector);
    }
  }

  /** Brings a client up to date, unless it needs what is lost: nobody is served around a hole (update laws, T9). */
  #serveOrPark(session: Session, vector: ReadonlyMap<number, number>): void {
    session.live = false;
    if (this.#needsLost(vector)) {
      this.#park(session, vector);
      return;
    }
    session.parked = null;
    session.stopServing?.();
    this.#serve(session, vector, new Set());
  }

  /** Sends the next frame of an answer: a small one at once, a big one when the isolate has room for it. Never throws. */
  #serve(session: Session, vector: ReadonlyMap<number, number>, sent: Set<number>): void {
    if (this.#isStaging()) {
      // A large delta under way is in neither the window nor the index: an answer now would leave it out, and no relay would bring it.
      const cancel = this.#state.host.timers.after(LIMITS.sendRetryMs, () => this.#serve(session, vector, sent));
      session.stopServing = () => {
        cancel();
        session.stopServing = null;
      };
      return;
    }
    if (this.#parkedInstead(session, vector)) return;
    this.#guarded(session, vector, () => {
      const step = this.#plan(vector, sent);
      if (step.closing && step.byteLength <= LIMITS.bigSendBytes) this.#send(session, step, sent);
      else this.#sendInTurn(session, vector, sent, step);
    });
  }

  /** Sends one big frame when its turn comes, then waits until the client has got that far. @param step good for this turn only */
  #sendInTurn(session: Session, vector: ReadonlyMap<number, number>, sent: Set<number>, step: ServeStep): void {
    const { clock, timers, sendBudget } = this.#state.host;
    const ticket = sendBudget.enter(step.byteLength, clock.nowMs());
    // After a wait, what to send is decided anew.
    let planned: ServeStep | null = step;
    let cancelWait: (() => void) | null = null;
    const attempt = (): void => {
      if (this.#isStaging()) {
        ticket.cancel();
        this.#serve(session, vector, sent);
        return;
      }
      const endGrant = ticket.tryStart(clock.nowMs());
      if (endGrant === null) {
        planned = null;
        cancelWait = timers.after(LIMITS.sendRetryMs, attempt);
        return;
      }
      const done = (): void => {
        cancelWait?.();
        session.onCredit = null;
        session.stopServing = null;
        endGrant();
      };
      session.stopServing = done;
      if (planned === null && this.#parkedInstead(session, vector)) {
        done();
        return;
      }
      let isSent = false;
      this.#guarded(session, vector, () => {
        const now = planned ?? this.#plan(vector, sent);
        this.#send(session, now, sent);
        isSent = true;
        // The provider's answer to this arrives after it has taken in the frame before (update laws, W4).
        session.send(queryAwarenessFrame(), clock.nowMs());
        const goOn = (): void => {
          done();
          if (!now.closing && !session.closing) this.#serve(session, vector, sent);
        };
        session.onCredit = goOn;
        cancelWait = timers.after(LIMITS.sendCreditWaitMs, goOn);
      });
      if (!isSent) done();
    };
    session.stopServing = () => {
      cancelWait?.();
      ticket.cancel();
      session.stopServing = null;
    };
    attempt();
  }

  /** @throws {DamagedRowError} when the delete set or the journal cannot be read */
  #plan(vector: ReadonlyMap<number, number>, sent: ReadonlySet<number>): ServeStep {
    return nextServeStep(this.#state.store, this.#state.window, (client) => vector.get(client) ?? 0, sent);
  }

  /** @throws {DamagedRowError} when a chunk cannot be read; then nothing was sent */
  #send(session: Session, step: ServeStep, sent: Set<number>): void {
    const { clock } = this.#state.host;
    const startedMs = clock.nowMs();
    const frame = step.create();
    session.send(frame, startedMs);
    const { byteLength } = frame;
    release(frame);
    for (const id of step.chunkIds) sent.add(id);
    if (step.closing) {
      session.live = true;
      session.save();
    }
    this.#state.stats.served(byteLength, clock.nowMs() - startedMs);
  }

  /** Does `work`; damage it meets is set aside and the session waits, anything else ends the session. */
  #guarded(session: Session, vector: ReadonlyMap<number, number>, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof DamagedRowError) {
        this.#damage.setAside([error]);
        this.#park(session, vector);
      } else this.#sessions.endFor(session, error);
    }
  }

  /** Between two frames, or while the answer waited, something may have been lost. */
  #parkedInstead(session: Session, vector: ReadonlyMap<number, number>): boolean {
    if (!this.#needsLost(vector)) return false;
    this.#park(session, vector);
    return true;
  }

  #needsLost(vector: ReadonlyMap<number, number>): boolean {
    const { store, ingest } = this.#state;
    // What came back but is not committed yet can be served all the same.
    const { known } = ingest;
    if (store.lost.some((range) => (vector.get(range.client) ?? 0) < range.to && !known.has(range.client, range.from, range.to))) return true;
    return store.lostUnknown && !store.canHealUnknown(vector);
  }

  /** The client waits: it may itself have what is missing, or another may bring it. */
  #park(session: Session, vector: ReadonlyMap<number, number>): void {
    const isNew = session.parked === null;
    session.parked = vector;
    session.live = false;
    if (!isNew) return;
    const { host, stats, ingest } = this.#state;
    const nowMs = host.clock.nowMs();
    stats.parked += 1;
    tellDegraded(session, CLOSE.damaged.reason, nowMs);
    session.send(syncStep1Frame(encodeStateVector(ingest.known.vector)), nowMs);
    host.log.event("warn", "session.parked", { door: session.door });
    host.timers.after(LIMITS.refusalHoldMs, () => {
      if (session.parked !== null && !session.closing) this.#sessions.end(session, CLOSE.damaged);
    });
  }

  #lacksNothing(vector: ReadonlyMap<number, number>): boolean {
    for (const [client, end] of this.#state.ingest.known.vector) if ((vector.get(client) ?? 0) < end) return false;
    return true;
  }
}
