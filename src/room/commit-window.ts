/** What was relayed but is not yet on disk: one commit window. */
import { DeleteSet, union } from "../update/delete-set.ts";
import type { CommitBatch } from "../storage/vault-store.ts";
import type { ClientRange } from "../update/news.ts";
import type { Session } from "./session.ts";

/** A window as it goes to disk, with who waits for it and up to which of their frames. */
export interface ClosedWindow {
  readonly batch: CommitBatch;
  readonly waiting: ReadonlyMap<Session, number>;
  readonly openedAtMs: number;
}

export class CommitWindow {
  #updates: Uint8Array[] = [];
  #ranges: ClientRange[] = [];
  #deletes = DeleteSet.empty;
  #held: Uint8Array[] = [];
  #released: number[] = [];
  readonly #waiting = new Set<Session>();
  #byteLength = 0;
  #openedAtMs = 0;

  /** Nothing to write. Sessions may still wait for a commit in progress. */
  get isEmpty(): boolean {
    return this.#updates.length === 0 && this.#held.length === 0;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  /** When the first of its edits came. */
  get openedAtMs(): number {
    return this.#openedAtMs;
  }

  get deletes(): DeleteSet {
    return this.#deletes;
  }

  /** Clocks the waiting updates add. */
  get ranges(): readonly ClientRange[] {
    return this.#ranges;
  }

  /** Waiting structs behind a gap, in order of arrival. */
  get held(): readonly Uint8Array[] {
    return this.#held;
  }

  /** Updates in order of arrival. */
  get updates(): readonly Uint8Array[] {
    return this.#updates;
  }

  add(update: Uint8Array, ranges: readonly ClientRange[], deletes: DeleteSet, nowMs: number): void {
    if (this.isEmpty) this.#openedAtMs = nowMs;
    this.#updates.push(update);
    this.#ranges.push(...ranges);
    if (!deletes.isEmpty) this.#deletes = union(this.#deletes, deletes);
    this.#byteLength += update.byteLength;
  }

  hold(update: Uint8Array, nowMs: number): void {
    if (this.isEmpty) this.#openedAtMs = nowMs;
    this.#held.push(update);
    this.#byteLength += update.byteLength;
  }

  /** A held update was placed before it was stored: it needs no row. Nothing happens when it is in a window closed before. */
  dropHeld(update: Uint8Array): void {
    const at = this.#held.indexOf(update);
    if (at < 0) return;
    this.#held.splice(at, 1);
    this.#byteLength -= update.byteLength;
  }

  release(rows: readonly number[]): void {
    this.#released.push(...rows);
  }

  /** `session` gets its receipt when this window is durable. */
  wait(session: Session): void {
    this.#waiting.add(session);
  }

  /** Empties the window into a batch. What is not committed afterwards must be given back with `reopen`. */
  close(): ClosedWindow {
    const closed: ClosedWindow = {
      batch: { updates: this.#updates, ranges: this.#ranges, deletes: this.#deletes, held: this.#held, released: this.#released },
      waiting: new Map([...this.#waiting].map((session) => [session, session.received])),
      openedAtMs: this.#openedAtMs,
    };
    this.#updates = [];
    this.#ranges = [];
    this.#deletes = DeleteSet.empty;
    this.#held = [];
    this.#released = [];
    this.#waiting.clear();
    this.#byteLength = 0;
    return closed;
  }

  /** Puts a batch whose commit failed back in front of what came since. */
  reopen(closed: ClosedWindow): void {
    const { batch } = closed;
    this.#updates = [...batch.updates, ...this.#updates];
    this.#ranges = [...batch.ranges, ...this.#ranges];
    this.#deletes = union(batch.deletes, this.#deletes);
    this.#held = [...batch.held, ...this.#held];
    this.#released = [...batch.released, ...this.#released];
    for (const session of closed.waiting.keys()) this.#waiting.add(session);
    this.#byteLength = [...this.#updates, ...this.#held].reduce((sum, update) => sum + update.byteLength, 0);
    this.#openedAtMs = closed.openedAtMs;
  }
}
