/** Says to whom it concerns what is durable, and to nobody anything else (update laws, C4). */
import { receiptFrame } from "../protocol/custom.ts";
import { encodeStateVector } from "../update/state-vector.ts";
import type { RoomState } from "./room-state.ts";
import type { Session } from "./session.ts";

export class ReceiptDesk {
  readonly #state: RoomState;
  /** What is durable, encoded; null when that has changed. */
  #receiptVector: Uint8Array | null = null;

  constructor(state: RoomState) {
    this.#state = state;
  }

  /** Something became durable, or was lost. */
  changed(): void {
    this.#receiptVector = null;
  }

  /** A session begins, or the room may promise again. */
  sendBaseline(session: Session): void {
    this.#send(session, "baseline");
  }

  /** All frames of the session are dealt with: what they brought is durable, or was not taken. */
  dealtWith(session: Session): void {
    session.durable = session.received;
    session.save();
  }

  /** A session sent what the room had. */
  sendCovered(session: Session): void {
    this.#send(session, "covered");
  }

  /** Everything up to the given frame of each session is durable now. */
  settle(waiting: ReadonlyMap<Session, number>): void {
    for (const [session, frames] of waiting) {
      if (session.closing) continue;
      session.durable = Math.max(session.durable, frames);
      session.save();
      if (this.#state.health.kind === "healthy" && session.durable === session.received) this.#send(session, "commit");
    }
  }

  #send(session: Session, why: "baseline" | "commit" | "covered"): void {
    if (!session.text) return;
    const { store, stats, host } = this.#state;
    this.#receiptVector ??= encodeStateVector(store.clocks.vector);
    const frame = receiptFrame({ stateVector: this.#receiptVector, epoch: session.epoch, durableFrames: session.durable });
    if (frame === null) {
      stats.receipts.failureOversize += 1;
      stats.receipts.failed += 1;
      return;
    }
    if (!session.send(frame, host.clock.nowMs())) {
      stats.receipts.failureNotOpen += 1;
      stats.receipts.failed += 1;
      return;
    }
    stats.receiptSent(why === "baseline", frame.length);
  }
}
