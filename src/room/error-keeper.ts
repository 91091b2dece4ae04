/** Keeps errors over restarts, in a turn of their own, so that storing one never holds back what is being sent. */
import type { RoomState } from "./room-state.ts";

/** Pause between two stored errors: a storm tells no more. */
const ERROR_PAUSE_MS = 1_000;

export class ErrorKeeper {
  readonly #state: RoomState;
  #errorKeptAtMs = 0;

  constructor(state: RoomState) {
    this.#state = state;
  }

  /** Stores an error soon, unless one was just stored. Never throws. */
  keep(atMs: number, event: string, detail: string): void {
    if (atMs - this.#errorKeptAtMs < ERROR_PAUSE_MS) return;
    this.#errorKeptAtMs = atMs;
    this.#state.host.timers.after(0, () => this.#store(atMs, event, detail));
  }

  #store(atMs: number, event: string, detail: string): void {
    const { host, store, stats, health, isOver } = this.#state;
    // What cannot be read is not written to either.
    if (isOver || health.kind === "unreadable" || health.kind === "fallback") return;
    const rowsBefore = host.sql.rowsWritten;
    try {
      store.recordError(atMs, event, detail);
    } catch {
      // Where even this fails, the log has it.
    }
    stats.rowsWrittenBy.maintenance += host.sql.rowsWritten - rowsBefore;
  }
}
