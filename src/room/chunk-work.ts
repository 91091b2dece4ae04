/** Work on chunks, a step in each turn so that edits are not kept waiting: checkpoints when the journal is long, compaction when the alarm goes off. */
import { LIMITS } from "../limits.ts";
import type { StepReport } from "../storage/vault-store.ts";
import type { CheckpointKeeper } from "./checkpoint-keeper.ts";
import type { CommitDesk } from "./commit-desk.ts";
import type { RoomState } from "./room-state.ts";

export class ChunkWork {
  readonly #state: RoomState;
  readonly #keeper: CheckpointKeeper;
  readonly #commits: CommitDesk;

  constructor(state: RoomState, keeper: CheckpointKeeper, commits: CommitDesk) {
    this.#state = state;
    this.#keeper = keeper;
    this.#commits = commits;
  }

  /** Begins a checkpoint if one is due and may be tried. */
  checkpoint(): void {
    const { store, isOver, health } = this.#state;
    if (isOver || health.kind === "fallback" || this.#keeper.busyWith !== null || !store.wantsCheckpoint || this.#keeper.isOpen) return;
    const reason = store.journal.length >= LIMITS.checkpointJournalRows ? "entry_count_exceeded" : "byte_size_exceeded";
    this.#takeTurns(this.#keeper.checkpoint(reason), () => {
      this.#keeper.planCompaction();
      this.#commits.afterWork();
    });
  }

  /** The object's alarm: one step of compaction, and another alarm while there is more. */
  onAlarm(): void {
    if (this.#state.isOver || this.#state.health.kind !== "healthy") return;
    if (this.#keeper.busyWith !== null) {
      this.#keeper.planCompaction();
      return;
    }
    this.#takeTurns(this.#keeper.compactOnce(), (report) => {
      if (report?.kind === "done") this.#keeper.planCompaction();
      this.#commits.afterWork();
      // Commits went on meanwhile.
      this.checkpoint();
    });
  }

  /** An admin asks: a checkpoint of everything, then one pass of compaction, with pauses. Closes the circuit breaker. @throws {Error} with what failed. */
  *compact(): Generator<null, { checkpoint: StepReport; compaction: StepReport }> {
    const { health, isOver, erasedAtMs } = this.#state;
    if (health.kind === "unreadable" || health.kind === "fallback") throw new Error(`Cannot compact: ${health.reason}`);
    if (erasedAtMs !== null) throw new Error("Cannot compact: the vault was erased");
    if (isOver) throw new Error("Cannot compact: the vault was erased, or begins anew");
    while (this.#keeper.busyWith !== null) yield null;
    this.#commits.commitNow();
    try {
      return yield* this.#keeper.asked();
    } finally {
      this.#commits.afterWork();
    }
  }

  /** Goes on with `steps`, one in each turn, beginning with this one. */
  #takeTurns<Result>(steps: Generator<null, Result>, done: (result: Result) => void): void {
    const step = (): void => {
      if (this.#state.isOver) return;
      const next = steps.next();
      if (next.done === true) done(next.value);
      else this.#state.host.timers.after(0, step);
    };
    step();
  }
}
