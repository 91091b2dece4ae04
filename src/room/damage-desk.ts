/**
 * Damage to what is stored: rows that cannot be trusted are taken out of use, everybody is asked for what was in them, and the damage is over
 * once all of it is durable again. Who waits meanwhile is the serving desk's matter.
 */
import { CLOSE } from "../protocol/close-codes.ts";
import { syncStep1Frame } from "../protocol/frames.ts";
import { DamagedRowError } from "../storage/damage.ts";
import { encodeStateVector } from "../update/state-vector.ts";
import type { ReceiptDesk } from "./receipt-desk.ts";
import type { RoomState } from "./room-state.ts";
import type { SessionBook } from "./session-book.ts";
import type { Session } from "./session.ts";

/** Damaged rows set aside for one reading. */
const MAX_ROWS_AT_ONCE = 1_000;

export class DamageDesk {
  readonly #state: RoomState;
  readonly #sessions: SessionBook;
  readonly #receipts: ReceiptDesk;
  readonly #dropWork: () => void;
  #isOpen = false;

  /** @param dropWork gives up what is being made of the rows that are about to change */
  constructor(state: RoomState, sessions: SessionBook, receipts: ReceiptDesk, dropWork: () => void) {
    this.#state = state;
    this.#sessions = sessions;
    this.#receipts = receipts;
    this.#dropWork = dropWork;
  }

  /** Something was lost and is not known to be back. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What the rows on disk say, just after they were read. */
  opened(): void {
    const { store } = this.#state;
    this.#isOpen = store.lost.length > 0 || store.lostUnknown;
  }

  /** Does `work`; when it meets a damaged row, sets that aside and does it again without. @throws what it throws then, and all but damage at once */
  reading<Result>(work: () => Result): Result {
    // Each time a row fewer can be damaged; more than that is no damage of rows.
    for (let rows = 0; ; rows++) {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof DamagedRowError) || rows === MAX_ROWS_AT_ONCE || this.#state.health.kind === "unreadable") throw error;
        this.setAside([error]);
      }
    }
  }

  /** Takes damaged rows out of use, keeps their bytes, and asks everybody for what was in them. Never throws. */
  setAside(damaged: readonly DamagedRowError[]): void {
    const { host, store, stats } = this.#state;
    const rowsBefore = host.sql.rowsWritten;
    const nowMs = host.clock.nowMs();
    for (const error of damaged) {
      stats.error(nowMs, "row.damaged", error.message);
      host.log.event("error", "row.damaged", { detail: error.message });
    }
    // What is under way is made of what is about to change. Before knowing anew, which must find the edits that were being staged in the window.
    this.#dropWork();
    try {
      store.setAside(damaged, nowMs);
    } catch (error) {
      const reason = `damage that could not be set aside: ${error instanceof Error ? error.message : String(error)}`;
      this.#state.becomeUnreadable(reason, reason, nowMs);
      for (const session of this.#sessions.all) this.#sessions.end(session, CLOSE.degraded);
      return;
    }
    stats.rowsWrittenBy.maintenance += host.sql.rowsWritten - rowsBefore;
    this.#isOpen = true;
    this.#receipts.changed();
    this.#state.knowAnew();
    this.askEverybody();
  }

  /** One of the sessions may have what the room lacks. */
  askEverybody(): void {
    const nowMs = this.#state.host.clock.nowMs();
    const step1 = syncStep1Frame(encodeStateVector(this.#state.ingest.known.vector));
    for (const session of this.#sessions.all) session.send(step1, nowMs);
  }

  /** A session answered with everything it has deleted. @param bringsLostDeletes whether it has what was lost of the stored deletions */
  answered(session: Session, bringsLostDeletes: boolean): void {
    const { store } = this.#state;
    // Who has had every relay has every deletion too; its answer brings them all.
    if (session.live && session.mode === "rw" && store.lostUnknown && bringsLostDeletes) store.unknownHealed();
  }

  /** Says so once everything that was lost is durable again. */
  noticeHealing(): void {
    const { host, store, stats } = this.#state;
    if (!this.#isOpen || store.lost.length > 0 || store.lostUnknown) return;
    this.#isOpen = false;
    stats.healed += 1;
    stats.trace(host.clock.nowMs(), "room.healed", "everything lost has been brought back");
    host.log.event("warn", "room.healed", {});
  }
}
