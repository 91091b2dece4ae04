/**
 * Runs checkpoints and compaction, remembers how they went, and stops trying after some failures in a row until one succeeds or an admin asks.
 * A failure never touches what is stored: the work is one transaction, or staged rows that nothing names.
 */
import { LIMITS } from "../limits.ts";
import { DamagedRowError } from "../storage/damage.ts";
import type { StepReport, VaultStore } from "../storage/vault-store.ts";
import type { RoomHost } from "./room-host.ts";
import type { Stats } from "./stats.ts";

/** Whose rows a piece of work writes. */
export type WorkKind = "checkpoint" | "maintenance";

/** Steps of one compaction pass: chunks of the largest vault, several times over. */
const MAX_PASS_STEPS = 1_000;

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
  /** The run under way; one that finds another here, or none, was abandoned. */
  #run: { readonly kind: WorkKind } | null = null;
  #isStopped = false;

  /** @param onDamage called after a run that met a row it could not trust */
  constructor(store: VaultStore, host: RoomHost, stats: Stats, onDamage: (error: DamagedRowError) => void) {
    this.#store = store;
    this.#host = host;
    this.#stats = stats;
    this.#onDamage = onDamage;
    const { writeNote } = host;
    this.totals.failuresInARow = writeNote.checkpointFailures;
  }

  /** The circuit breaker: open means no checkpoint is tried by itself. */
  get isOpen(): boolean {
    return this.totals.failuresInARow >= LIMITS.checkpointBreakerFailures;
  }

  /** What is under way over several turns. Nothing else of the kind may start, and while it is a checkpoint nothing may be committed. */
  get busyWith(): WorkKind | null {
    return this.#run?.kind ?? null;
  }

  /** A checkpoint, with pauses. Returns null when it failed or was abandoned. Never throws. */
  checkpoint(reason: string): Generator<null, StepReport | null> {
    return this.#drive("checkpoint", reason, this.#store.checkpoint(null, this.#host.clock.nowMs()));
  }

  /** One step of compaction, with pauses. Returns null when it failed, was abandoned, or the breaker is open. Never throws. */
  *compactOnce(): Generator<null, StepReport | null> {
    return this.isOpen ? null : yield* this.#drive("maintenance", "compaction", this.#store.compaction());
  }

  /** Compaction is slower than an edit should wait for: the alarm does it. */
  planCompaction(): void {
    if (this.#store.wantsCompaction) this.#host.alarm.ensure(this.#host.clock.nowMs() + LIMITS.compactionDelayMs);
  }

  /** Drops what is under way: what it was made of has changed. Nothing of it is stored, or nothing names what is. */
  abandon(): void {
    this.#run = null;
  }

  /** What all work is made of is gone for good, or another instance's. */
  stop(): void {
    this.abandon();
    this.#isStopped = true;
  }

  /** The caller does the work itself, until it calls what this returns. Only as a checkpoint it keeps commits waiting. */
  claim(kind: WorkKind = "checkpoint"): () => void {
    const run = { kind };
    this.#run = run;
    return () => {
      if (this.#run === run) this.#run = null;
    };
  }

  /** An admin asks: closes the breaker, then a checkpoint and one pass of compaction, with pauses. @throws {Error} with what failed. */
  *asked(): Generator<null, { checkpoint: StepReport; compaction: StepReport }> {
    while (this.#run !== null) yield null;
    this.totals.failuresInARow = 0;
    this.#host.writeNote.checkpointFailures = 0;
    this.#assertGoing();
    const checkpoint = this.#store.journal.length === 0 ? NOTHING : yield* this.checkpoint("admin");
    this.#assertGoing();
    if (checkpoint === null) throw new Error(this.lastError ?? "a damaged row was set aside meanwhile");
    let compaction = NOTHING;
    for (let steps = 0; steps < MAX_PASS_STEPS && !this.#isStopped && this.#store.wantsCompaction; steps++) {
      while (this.#run !== null) yield null;
      this.#assertGoing();
      const step = yield* this.compactOnce();
      this.#assertGoing();
      if (step === null) throw new Error(this.lastError ?? "a damaged row was set aside meanwhile");
      if (step.kind === "noop") break;
      compaction = { kind: "done", bytesWritten: compaction.bytesWritten + step.bytesWritten, chunksWritten: compaction.chunksWritten + step.chunksWritten };
      yield null;
    }
    return { checkpoint, compaction };
  }

  #assertGoing(): void {
    if (this.#isStopped) throw new Error("Cannot compact: the vault was erased, or begins anew");
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

  *#drive(kind: WorkKind, reason: string, steps: Generator<null, StepReport>): Generator<null, StepReport | null> {
    const { clock, sql, writeNote } = this.#host;
    const startedMs = clock.nowMs();
    const run = { kind };
    this.#run = run;
    // Counted outside the object too: a checkpoint that resets it must not be tried for ever.
    writeNote.begin("checkpoint");
    let isDone = false;
    try {
      for (;;) {
        const turnMs = clock.nowMs();
        const rowsBefore = sql.rowsWritten;
        let next: IteratorResult<null, StepReport>;
        try {
          next = steps.next();
        } finally {
          this.#stats.rowsWrittenBy[kind] += sql.rowsWritten - rowsBefore;
          this.#stats.step(clock.nowMs() - turnMs);
        }
        if (next.done === true) {
          isDone = true;
          if (next.value.kind === "done") this.succeeded(next.value, reason, clock.nowMs() - startedMs);
          return next.value;
        }
        yield null;
        if (this.#run !== run) return null;
      }
    } catch (error) {
      this.totals.failures += 1;
      this.totals.failuresInARow += 1;
      writeNote.checkpointFailures = this.totals.failuresInARow;
      this.lastError = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      this.#stats.error(startedMs, "checkpoint.failed", this.lastError);
      this.#host.log.event("error", "checkpoint.failed", { reason, inARow: this.totals.failuresInARow, error: this.lastError.slice(0, 200) });
      if (this.#run === run) this.#run = null;
      if (error instanceof DamagedRowError) this.#onDamage(error);
      return null;
    } finally {
      writeNote.end("checkpoint", isDone);
      if (this.#run === run) this.#run = null;
    }
  }
}
