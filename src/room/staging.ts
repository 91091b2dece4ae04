/** A delta too large for the journal, on its way into chunks over as many turns as it takes. Nothing else is committed meanwhile. */
import { DamagedRowError } from "../storage/damage.ts";
import type { StepReport } from "../storage/vault-store.ts";
import type { CheckpointKeeper } from "./checkpoint-keeper.ts";
import type { ClosedWindow } from "./commit-window.ts";
import type { RoomState } from "./room-state.ts";

/** When a staging began, and the rows that were written up to then. */
interface Begin {
  readonly atMs: number;
  readonly rowsWritten: number;
}

/** Whoever hands a delta over hears what became of it. */
export interface StagingOwner {
  /** In the turn that made it durable. */
  published(closed: ClosedWindow, report: StepReport, begin: Begin): void;
  failed(closed: ClosedWindow, error: unknown): void;
  /** It met a row that cannot be trusted; whoever sets that aside abandons the staging. */
  damaged(error: DamagedRowError): void;
  abandoned(closed: ClosedWindow): void;
  /** Last of all, unless it was abandoned from outside: chunks are free for others. */
  over(): void;
}

export class Staging {
  readonly #state: RoomState;
  readonly #keeper: CheckpointKeeper;
  readonly #owner: StagingOwner;
  /** What is under way; a turn that finds another here, or none, was abandoned. */
  #run: { readonly closed: ClosedWindow; readonly release: () => void } | null = null;

  constructor(state: RoomState, keeper: CheckpointKeeper, owner: StagingOwner) {
    this.#state = state;
    this.#keeper = keeper;
    this.#owner = owner;
  }

  /** The delta under way, or null. */
  get closed(): ClosedWindow | null {
    return this.#run?.closed ?? null;
  }

  /** Begins, with a first step in this turn. The journal before the delta goes along. Never throws once begun. */
  start(closed: ClosedWindow): void {
    const { clock, sql, timers } = this.#state.host;
    const begin: Begin = { atMs: clock.nowMs(), rowsWritten: sql.rowsWritten };
    const steps = this.#state.store.checkpoint(closed.batch, begin.atMs);
    const run = { closed, release: this.#keeper.claim() };
    this.#run = run;
    const step = (): void => {
      if (this.#run !== run || this.#state.isOver) return;
      try {
        const turnMs = clock.nowMs();
        const next = steps.next();
        this.#state.stats.step(clock.nowMs() - turnMs);
        if (next.done !== true) {
          timers.after(0, step);
          return;
        }
        this.#end();
        this.#owner.published(closed, next.value, begin);
      } catch (error) {
        if (error instanceof DamagedRowError) this.#owner.damaged(error);
        else {
          this.#end();
          this.#owner.failed(closed, error);
        }
      }
      this.#owner.over();
    };
    step();
  }

  /** Gives up what is under way. Nothing names what it has stored. */
  abandon(): void {
    const closed = this.#run?.closed;
    if (closed === undefined || this.#state.isOver) return;
    this.#end();
    this.#owner.abandoned(closed);
  }

  #end(): void {
    this.#run?.release();
    this.#run = null;
  }
}
