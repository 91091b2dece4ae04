/**
 * Makes edits durable: one commit per window, receipts after it, and what happens when it fails. Never in the turn of a relay, because the platform
 * holds back everything sent in a turn that writes until the disk has it (update laws, C1).
 */
import { LIMITS } from "../limits.ts";
import type { AccessBook } from "./access-book.ts";
import type { CheckpointKeeper } from "./checkpoint-keeper.ts";
import type { ClosedWindow } from "./commit-window.ts";
import type { DamageDesk } from "./damage-desk.ts";
import type { IncompleteDesk } from "./incomplete-desk.ts";
import { retryPauseMs } from "./health.ts";
import { tellDegraded, tellRecovered } from "./notices.ts";
import type { ReceiptDesk } from "./receipt-desk.ts";
import type { RelayDesk } from "./relay-desk.ts";
import type { RoomState } from "./room-state.ts";
import type { SessionBook } from "./session-book.ts";
import { Staging } from "./staging.ts";

/** The parts of the room that a commit touches. */
export interface CommitParts {
  readonly sessions: SessionBook;
  readonly relays: RelayDesk;
  readonly receipts: ReceiptDesk;
  readonly damage: DamageDesk;
  readonly incomplete: IncompleteDesk;
  readonly keeper: CheckpointKeeper;
  readonly access: AccessBook;
  /** Called in a turn of its own when the journal has become long enough for a checkpoint. */
  checkpoint(): void;
}

export class CommitDesk {
  readonly #state: RoomState;
  readonly #parts: CommitParts;
  readonly #staging: Staging;
  /** Somebody was turned away while storage failed: the next commit is to show whether it works again, though nobody waits for it. */
  wantsProof = false;
  #cancelCommit: (() => void) | null = null;
  #commitDueMs = 0;
  #lastCommitMs = 0;

  constructor(state: RoomState, parts: CommitParts) {
    this.#state = state;
    this.#parts = parts;
    const { keeper } = parts;
    this.#staging = new Staging(state, keeper, {
      published: (closed, report, begin) => {
        const { clock, sql } = state.host;
        this.#keepFacts(clock.nowMs());
        const durationMs = clock.nowMs() - begin.atMs;
        state.stats.rowsWrittenBy.checkpoint += sql.rowsWritten - begin.rowsWritten;
        state.stats.oversized += 1;
        keeper.succeeded(report, "oversized_delta", durationMs);
        keeper.planCompaction();
        this.#committed(closed, durationMs, true);
      },
      failed: (closed, error) => this.#failed(closed, error, true),
      damaged: (error) => parts.damage.setAside([error]),
      abandoned: (closed) => {
        state.host.writeNote.end("commit", false);
        state.window.reopen(closed);
        this.schedule(state.host.clock.nowMs());
      },
      over: () => this.afterWork(),
    });
  }

  /** A large delta is on its way into chunks: nothing else may be committed until it is published. */
  get isStaging(): boolean {
    return this.#staging.closed !== null;
  }

  /** What was relayed and is not on disk: the open window and a large delta being staged. */
  get unsaved(): { byteLength: number; updates: number; sinceMs: number | null } {
    const staged = this.#staging.closed;
    const { window } = this.#state;
    return {
      byteLength: window.byteLength + (staged === null ? 0 : byteLengthOf(staged)),
      updates: window.updates.length + (staged?.batch.updates.length ?? 0),
      sinceMs: staged?.openedAtMs ?? (window.isEmpty ? null : window.openedAtMs),
    };
  }

  /** The first edit after quiet is committed in the next turn; while edits flow, once per window. */
  schedule(nowMs: number): void {
    const { health, window, host } = this.#state;
    if (health.kind === "fallback" || this.#parts.keeper.busyWith === "checkpoint") return;
    let delayMs = Math.max(0, this.#lastCommitMs + LIMITS.commitWindowMs - nowMs);
    if (window.byteLength >= LIMITS.commitWindowBytes) delayMs = 0;
    if (health.kind === "unproven") delayMs = Math.max(delayMs, retryPauseMs(health.attempts));
    const dueMs = nowMs + delayMs;
    if (this.#cancelCommit !== null) {
      if (dueMs >= this.#commitDueMs) return;
      this.#cancelCommit();
    }
    this.#commitDueMs = dueMs;
    this.#cancelCommit = host.timers.after(delayMs, () => this.#due());
  }

  /** Commits waited for the work on chunks. */
  afterWork(): void {
    if (this.#state.window.isEmpty) this.commitNow();
    else this.schedule(this.#state.host.clock.nowMs());
  }

  /** Gives up a staging under way and puts its edits back into the window. */
  abandonStaging(): void {
    this.#staging.abandon();
  }

  /** Nothing is committed any more by itself. */
  stop(): void {
    this.#cancelCommit?.();
  }

  #due(hasFlushed = false): void {
    const { relays } = this.#parts;
    if (relays.isWaiting && !hasFlushed) {
      // A relay sent in the turn of the commit would wait for the disk. Once: under load something always waits.
      relays.flush();
      this.#cancelCommit = this.#state.host.timers.after(0, () => this.#due(true));
      return;
    }
    this.#cancelCommit = null;
    this.commitNow();
  }

  /** Writes the open window. Runs in a turn of its own; never throws. */
  commitNow(): void {
    const { host, store, window, stats } = this.#state;
    const { keeper, receipts } = this.#parts;
    if (this.#state.isOver || this.#state.health.kind === "fallback" || keeper.busyWith === "checkpoint") return;
    const startedMs = host.clock.nowMs();
    this.#lastCommitMs = startedMs;
    const closed = window.close();
    const { batch } = closed;
    const wantsProof = this.wantsProof || closed.waiting.size > 0;
    this.wantsProof = false;
    const isEmpty = batch.updates.length === 0 && batch.held.length === 0 && batch.released.length === 0 && !store.wantsCommit;
    if (isEmpty && !(this.#state.health.kind === "unproven" && wantsProof)) {
      receipts.settle(closed.waiting);
      return;
    }
    const rowsBefore = host.sql.rowsWritten;
    host.writeNote.begin("commit");
    stats.lastSaveStartedAtMs = startedMs;
    try {
      if (!store.fits(batch)) {
        if (keeper.busyWith !== null) {
          // Two steps may not be made of the same chunks. What is under way asks again when it is done.
          host.writeNote.end("commit", false);
          window.reopen(closed);
          return;
        }
        this.#staging.start(closed);
        return;
      }
      // Nothing to store, but somebody waits for a receipt: one row shows whether storage can be written again.
      if (isEmpty) store.prove(startedMs);
      else store.commit(batch, startedMs);
    } catch (error) {
      this.#failed(closed, error);
      return;
    }
    this.#keepFacts(startedMs);
    stats.rowsWrittenBy.commit += host.sql.rowsWritten - rowsBefore;
    this.#committed(closed, host.clock.nowMs() - startedMs);
    if (store.wantsCheckpoint && !keeper.isOpen) host.timers.after(0, () => this.#parts.checkpoint());
  }

  /** What else changed with the edits of this commit: in its turn, so that both are durable or neither. */
  #keepFacts(nowMs: number): void {
    try {
      this.#state.schema.committed(nowMs);
      this.#parts.access.committed();
    } catch (error) {
      // The edits stand; what is missing is found out again.
      this.#state.stats.error(nowMs, "facts.failed", String(error));
    }
  }

  #committed(closed: ClosedWindow, durationMs: number, checkpointDone = false): void {
    const { host, ingest, stats } = this.#state;
    const { receipts, damage, incomplete } = this.#parts;
    const nowMs = host.clock.nowMs();
    host.writeNote.end("commit", checkpointDone);
    receipts.changed();
    ingest.windowClosed();
    damage.noticeHealing();
    stats.committed(nowMs, byteLengthOf(closed), durationMs, nowMs - closed.openedAtMs);
    if (this.#state.health.kind === "unproven") {
      this.#state.health = { kind: "healthy" };
      host.log.event("warn", "commit.proven", {});
      for (const session of this.#parts.sessions.all) {
        if (!incomplete.tell(session, nowMs)) tellRecovered(session, nowMs);
        // Whoever does not wait for this commit is owed the receipts that were held back.
        if (!closed.waiting.has(session) && session.durable === session.received) receipts.sendBaseline(session);
      }
    }
    receipts.settle(closed.waiting);
    incomplete.noticeFilled();
  }

  #failed(closed: ClosedWindow, error: unknown, isOversized = false): void {
    const { host, health, stats } = this.#state;
    const nowMs = host.clock.nowMs();
    host.writeNote.end("commit", false);
    this.#state.window.reopen(closed);
    const attempts = health.kind === "unproven" ? health.attempts + 1 : 0;
    const reason = "a commit failed";
    this.#state.health = { kind: "unproven", reason, sinceMs: health.kind === "unproven" ? health.sinceMs : nowMs, attempts };
    stats.commitFailed(nowMs, error, isOversized);
    host.log.event("error", "commit.failed", { attempts, error: String(error).slice(0, 200) });
    if (attempts === 0) for (const session of this.#parts.sessions.all) tellDegraded(session, reason, nowMs);
    this.schedule(nowMs);
  }
}

/** Bytes of the edits in a window. */
function byteLengthOf(closed: ClosedWindow): number {
  return closed.batch.updates.reduce((sum, update) => sum + update.byteLength, 0);
}
