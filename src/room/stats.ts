/** Numbers and last errors of one instance, for debug. In memory only; nothing is written for observability while things go well. */
import { LIMITS } from "../limits.ts";

/** One entry of the trace ring. */
export interface TraceEntry {
  readonly atMs: number;
  readonly event: string;
  readonly detail: string;
}

export class Stats {
  /** When this instance began to count. */
  readonly sinceMs: number;
  openedInMs = 0;
  connects = 0;
  refusedConnects = 0;
  socketErrors = 0;
  /** Sessions that had to wait for lost structs, and times everything lost came back. */
  parked = 0;
  healed = 0;
  overlaps = 0;
  oversized = 0;
  readonly refusals: Record<string, number> = {};
  readonly receipts = { baselineSent: 0, postApplySent: 0, failed: 0, bytesTotal: 0, bytesMax: 0, failureNotOpen: 0, failureOversize: 0, failureSendFailed: 0 };
  readonly rowsWrittenBy = { commit: 0, checkpoint: 0, maintenance: 0 };
  readonly commits = { count: 0, failed: 0, failedInARow: 0, bytes: 0, lastBytes: null as number | null, lastMs: 0, longestMs: 0, lastLagMs: 0, longestLagMs: 0 };
  readonly serves = { count: 0, bytes: 0, lastMs: 0, longestMs: 0 };
  lastSaveStartedAtMs: number | null = null;
  lastSaveSucceededAtMs: number | null = null;
  lastSaveFailedAtMs: number | null = null;
  lastSaveError: string | null = null;
  longestStepMs = 0;
  /** Told of every error, to keep it over restarts. */
  onError: ((atMs: number, event: string, detail: string) => void) | null = null;
  readonly #trace: TraceEntry[] = [];
  readonly #errors: TraceEntry[] = [];

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  /** Newest first. */
  get recent(): readonly TraceEntry[] {
    return this.#trace.toReversed();
  }

  /** Newest first. */
  get errors(): readonly TraceEntry[] {
    return this.#errors.toReversed();
  }

  trace(atMs: number, event: string, detail: string): void {
    this.#trace.push({ atMs, event, detail });
    if (this.#trace.length > LIMITS.traceRingEntries) this.#trace.shift();
  }

  error(atMs: number, event: string, detail: string): void {
    this.trace(atMs, event, detail);
    this.#errors.push({ atMs, event, detail: detail.slice(0, 500) });
    if (this.#errors.length > LIMITS.storedErrorEntries) this.#errors.shift();
    this.onError?.(atMs, event, detail);
  }

  /** A session was turned down for what it sent. */
  refused(reason: string): void {
    this.refusals[reason] = (this.refusals[reason] ?? 0) + 1;
  }

  committed(atMs: number, bytes: number, durationMs: number, lagMs: number): void {
    const { commits } = this;
    commits.count += 1;
    commits.failedInARow = 0;
    commits.bytes += bytes;
    commits.lastBytes = bytes;
    commits.lastMs = durationMs;
    commits.longestMs = Math.max(commits.longestMs, durationMs);
    commits.lastLagMs = lagMs;
    commits.longestLagMs = Math.max(commits.longestLagMs, lagMs);
    this.lastSaveSucceededAtMs = atMs;
  }

  /** @param isOversized it was on its way into chunks: said as older servers say it (compat sheet, 2.6) */
  commitFailed(atMs: number, error: unknown, isOversized: boolean): void {
    this.commits.failed += 1;
    this.commits.failedInARow += 1;
    this.lastSaveFailedAtMs = atMs;
    this.lastSaveError = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (isOversized) this.lastSaveError += " (checkpoint fallback)";
    this.error(atMs, "commit.failed", this.lastSaveError);
  }

  served(bytes: number, durationMs: number): void {
    this.serves.count += 1;
    this.serves.bytes += bytes;
    this.serves.lastMs = durationMs;
    this.serves.longestMs = Math.max(this.serves.longestMs, durationMs);
  }

  receiptSent(baseline: boolean, bytes: number): void {
    if (baseline) this.receipts.baselineSent += 1;
    else this.receipts.postApplySent += 1;
    this.receipts.bytesTotal += bytes;
    this.receipts.bytesMax = Math.max(this.receipts.bytesMax, bytes);
  }

  step(durationMs: number): void {
    this.longestStepMs = Math.max(this.longestStepMs, durationMs);
  }
}
