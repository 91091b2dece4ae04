/**
 * Runs checkpoints and compaction, remembers how they went, and stops trying after some failures in a row until one succeeds or an admin asks.
 * A failure never touches what is stored: the work is one transaction, or staged rows that nothing names.
 */
import { LIMITS } from "../limits.ts";
import { DamagedRowError } from "../storage/damage.ts";
import type { StepReport, VaultStore } from "../storage/vault-store.ts";
import type { RoomHost } from "./room.ts";
import type { Stats } from "./stats.ts";

const NOTHING: StepReport = { kind: "noop", bytesWritten: 0, chunksWritten: 0 };

export class CheckpointKeeper {
  readonly #store: VaultStore;
  readonly #host: RoomHost;
  readonly #stats: Stats;
  readonly #onDamage: (error: DamagedRowError) => void;
  readonly totals = { checkpoints: 0, compactions: 0, bytesWritten: 0, failures: 0, failuresInARow: 0, lastMs: 0, longestMs: 0 };
  lastAtMs: number | null = null;
  lastReason: string | null = null;
  lastError: string | null = null;

  /** @param onDamage called after a run that met a row it could not trust */
  constructor(store: VaultStore, host: RoomHost, stats: Stats, onDamage: (error: DamagedRowError) => void) {
    this.#store = store;
    this.#host = host;
    this.#stats = stats;
    this.#onDamage = onDamage;
    const { writeNote } = host;
    // An instance that died in a checkpoint could not count it.
    if (writeNote.died === "checkpoint") writeNote.checkpointFailures += 1;
    this.totals.failuresInARow = writeNote.checkpointFailures;
  }

  /** The circuit breaker: open means no checkpoint is tried by itself. */
  get isOpen(): boolean {
    return this.totals.failuresInARow >= LIMITS.checkpointBreakerFailures;
  }

  /** One checkpoint in this turn. Returns null when it failed. Never throws. */
  checkpoint(reason: string): StepReport | null {
    return this.#run("checkpoint", reason, () => {
      const steps = this.#store.checkpoint(null, this.#host.clock.nowMs());
      for (;;) {
        const next = steps.next();
        if (next.done === true) return next.value;
      }
    });
  }

  /** One step of compaction in this turn. Returns null when it failed. Never throws. */
  compactOnce(): StepReport | null {
    if (this.isOpen) return null;
    return this.#run("maintenance", "compaction", () => this.#store.compactOnce());
  }

  /** An admin asks: closes the breaker and tries both. @throws {Error} with what failed. */
  asked(): { checkpoint: StepReport; compaction: StepReport } {
    this.totals.failuresInARow = 0;
    this.#host.writeNote.checkpointFailures = 0;
    const checkpoint = this.#store.journal.length === 0 ? NOTHING : this.checkpoint("admin");
    const compaction = checkpoint === null ? null : this.#store.wantsCompaction ? this.compactOnce() : NOTHING;
    if (checkpoint === null || compaction === null) throw new Error(this.lastError ?? "checkpoint failed");
    return { checkpoint, compaction };
  }

  succeeded(report: StepReport, reason: string, durationMs: number): void {
    const { totals } = this;
    totals.failuresInARow = 0;
    if (reason === "compaction") totals.compactions += 1;
    else totals.checkpoints += 1;
    totals.bytesWritten += report.bytesWritten;
    totals.lastMs = durationMs;
    totals.longestMs = Math.max(totals.longestMs, durationMs);
    this.lastAtMs = this.#host.clock.nowMs();
    this.lastReason = reason;
    this.#host.log.event("info", reason === "compaction" ? "chunks.compacted" : "checkpoint.written", {
      reason,
      chunks: report.chunksWritten,
      bytes: report.bytesWritten,
      durationMs,
    });
  }

  #run(kind: "checkpoint" | "maintenance", reason: string, work: () => StepReport): StepReport | null {
    const startedMs = this.#host.clock.nowMs();
    const rowsBefore = this.#host.sql.rowsWritten;
    // Counted outside the object too: a checkpoint that resets it must not be tried for ever.
    this.#host.writeNote.begin("checkpoint");
    let isDone = false;
    try {
      const report = work();
      isDone = true;
      const durationMs = this.#host.clock.nowMs() - startedMs;
      this.#stats.step(durationMs);
      if (report.kind === "done") this.succeeded(report, reason, durationMs);
      return report;
    } catch (error) {
      this.totals.failures += 1;
      this.totals.failuresInARow += 1;
      this.#host.writeNote.checkpointFailures = this.totals.failuresInARow;
      this.lastError = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      this.#stats.error(startedMs, "checkpoint.failed", this.lastError);
      this.#host.log.event("error", "checkpoint.failed", { reason, inARow: this.totals.failuresInARow, error: this.lastError.slice(0, 200) });
      if (error instanceof DamagedRowError) this.#onDamage(error);
      return null;
    } finally {
      this.#host.writeNote.end(isDone);
      this.#stats.rowsWrittenBy[kind] += this.#host.sql.rowsWritten - rowsBefore;
    }
  }
}
