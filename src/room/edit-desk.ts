/**
 * Takes an edit in: limits and strict reading, cover test, relay, and then whom to tell what and when. What is new waits in the window for its commit;
 * the receipt goes out after that, or at once when all of it was durable before.
 */
import { LIMITS } from "../limits.ts";
import { CLOSE } from "../protocol/close-codes.ts";
import { INCOMPLETE_REASON, READ_ONLY_REASON } from "../protocol/custom.ts";
import { syncStep1Frame, updateFrame } from "../protocol/frames.ts";
import { encodeStateVector } from "../update/state-vector.ts";
import type { CommitDesk } from "./commit-desk.ts";
import type { FrameOutcome } from "./counters.ts";
import type { DamageDesk } from "./damage-desk.ts";
import type { IncompleteDesk } from "./incomplete-desk.ts";
import { tellReadOnly } from "./notices.ts";
import type { ReceiptDesk } from "./receipt-desk.ts";
import type { RelayDesk } from "./relay-desk.ts";
import type { RoomState } from "./room-state.ts";
import type { ServingDesk } from "./serving-desk.ts";
import type { SessionBook } from "./session-book.ts";
import type { Session } from "./session.ts";

/** The parts of the room that an edit touches. */
export interface EditParts {
  readonly sessions: SessionBook;
  readonly relays: RelayDesk;
  readonly serving: ServingDesk;
  readonly commits: CommitDesk;
  readonly receipts: ReceiptDesk;
  readonly damage: DamageDesk;
  readonly incomplete: IncompleteDesk;
}

export class EditDesk {
  readonly #state: RoomState;
  readonly #parts: EditParts;

  constructor(state: RoomState, parts: EditParts) {
    this.#state = state;
    this.#parts = parts;
  }

  /**
   * An update arrived.
   * @param isAnswer a step 2, which repeats everything the client has deleted; else a live edit
   * @throws {UpdateRefusedError} when it is not one a stock document would take @throws {PendingFullError} when too much would wait behind gaps
   */
  take(session: Session, update: Uint8Array, isAnswer: boolean): FrameOutcome {
    const { host, store, window, stats } = this.#state;
    const { sessions, relays, serving, commits, receipts, damage, incomplete } = this.#parts;
    const nowMs = host.clock.nowMs();
    // As an answer, so that deletions are compared with what is stored, however few.
    if (session.mode === "ro" && damage.reading(() => this.#state.ingest.bringsNews(update, true))) {
      this.#refuse(session, READ_ONLY_REASON, nowMs);
      return "readOnly";
    }
    if (incomplete.refuses(session, update, isAnswer)) {
      this.#refuse(session, INCOMPLETE_REASON, nowMs);
      return "readOnly";
    }
    const { health } = this.#state;
    const isUnproven = health.kind === "unproven";
    const isFallback = health.kind === "fallback";
    const maxBytes = isFallback ? health.maxBytes : (isUnproven ? LIMITS.maxUnprovenBytes : LIMITS.maxUnsavedBytes);
    if (commits.unsaved.byteLength + update.byteLength > maxBytes) {
      const close = isUnproven || isFallback ? CLOSE.degraded : CLOSE.busy;
      stats.refused(close.reason);
      sessions.end(session, close);
      // It comes back with the same: by then the room should know whether it can write.
      commits.wantsProof = isUnproven;
      commits.schedule(nowMs);
      return "turnedAway";
    }
    // A big update is not copied once per reader: they are caught up from here, one after another (update laws, C11).
    const mayBeBig = update.byteLength + this.#state.ingest.heldBytes > LIMITS.bigSendBytes;
    const before = mayBeBig ? new Map(this.#state.ingest.known.vector) : null;
    // Where stored deletions cannot be read, everything in the update counts as new.
    const taken = damage.reading(() => this.#state.ingest.take(update, isAnswer));
    const isBig = before !== null && taken.pieces.reduce((sum, piece) => sum + piece.update.byteLength, 0) > LIMITS.bigSendBytes;
    if (isBig) relays.flush();
    session.received += 1;
    stats.overlaps += taken.overlaps;
    for (const piece of taken.pieces) {
      window.add(piece.update, piece.ranges, piece.deletes, nowMs);
      if (!isBig) relays.pass(piece.wasHeld ? null : session, piece.update);
      else if (piece.wasHeld && session.live) session.send(updateFrame(piece.update), nowMs);
    }
    // All of it is in the window before anything is read that may turn out damaged.
    if (taken.released.length > 0) window.release(taken.released);
    if (taken.held !== null) window.hold(taken.held, nowMs);
    if (isBig) serving.catchUpOthers(session, before);
    if (taken.held !== null) {
      // Something is missing before it: the sender may have it (update laws, T13).
      session.send(syncStep1Frame(encodeStateVector(this.#state.ingest.known.vector)), nowMs);
    }
    if (isAnswer) damage.answered(session, taken.bringsLostDeletes);
    if (damage.isOpen) serving.revisitParked();
    if (window.isEmpty) damage.noticeHealing();
    const isNews = taken.pieces.length > 0 || taken.held !== null;
    if (!isNews && window.isEmpty && !commits.isStaging && this.#state.health.kind === "healthy" && !store.wantsCommit) {
      receipts.dealtWith(session);
      receipts.sendCovered(session);
      return "covered";
    }
    // Nothing will be durable, so nobody waits for it.
    if (isFallback) return taken.pieces.length > 0 ? "relayed" : isNews ? "held" : "covered";
    // Covered by something that is itself not durable yet, or by a room that has to prove itself first: the receipt waits with it. The count is saved with the commit; until then a timer keeps us awake.
    window.wait(session);
    commits.schedule(nowMs);
    if (taken.held !== null && taken.pieces.length === 0) return "held";
    return isNews ? "relayed" : "covered";
  }

  /** An edit where only reading is allowed: it is not taken, the session hears so now and then, and goes on. The frame counts as dealt with. */
  #refuse(session: Session, reason: string, nowMs: number): void {
    session.received += 1;
    tellReadOnly(session, reason, nowMs);
    if (this.#state.health.kind === "fallback") return;
    if (session.durable < session.received - 1) {
      // A frame before it repeated something that is not durable yet.
      this.#state.window.wait(session);
      this.#parts.commits.schedule(nowMs);
      return;
    }
    this.#parts.receipts.dealtWith(session);
    if (this.#state.health.kind === "healthy") this.#parts.receipts.sendCovered(session);
  }
}
