/**
 * How long work may go on before its caller gets a chance to do something else. There is no clock here: work is counted in bytes read or
 * written, and everything else is put in bytes of about the same cost, so that pauses fall in the same places whatever machine it runs on.
 */

/** Reading, collecting or writing one struct, beside its bytes: some 100 ns, in which plain text goes by at about one byte a nanosecond. */
export const STRUCT_WORK = 128;
/** One element in a pass over a column of numbers. */
export const ELEMENT_WORK = 8;

/** Counts work and says when to pause. */
export class Pacer {
  readonly #every: number;
  #spent = 0;

  /** @param every work between two pauses; Infinity never pauses. */
  constructor(every: number) {
    this.#every = every;
  }

  spend(work: number): void {
    this.#spent += work;
  }

  /** Whether to pause now. */
  get isDue(): boolean {
    return this.#spent >= this.#every;
  }

  /** Work until the next pause, at least 1. */
  get left(): number {
    return Math.max(1, this.#every - this.#spent);
  }

  /** How many things of this cost fit until the next pause, at least one. */
  countLeft(work: number): number {
    return Math.max(1, Math.floor(this.left / work));
  }

  /** How many things of this cost fit between two pauses, at least one. */
  countBetween(work: number): number {
    return Math.max(1, Math.floor(this.#every / work));
  }

  /** The caller pauses, or has been given something to do by other means. */
  restart(): void {
    this.#spent = 0;
  }

  /** Pauses when it is due, in a generator: `yield* pacer.pause()`. */
  *pause(): Generator<null, void> {
    if (!this.isDue) return;
    this.#spent = 0;
    yield null;
  }

  /** Calls `body` for consecutive parts of `[0, count)`, with pauses between them. @param work of one element */
  *inParts(count: number, work: number, body: (from: number, to: number) => void): Generator<null, void> {
    for (let from = 0; from < count; ) {
      const to = Math.min(count, from + this.countLeft(work));
      body(from, to);
      this.spend((to - from) * work);
      from = to;
      if (this.isDue) {
        this.#spent = 0;
        yield null;
      }
    }
  }
}

/** Runs steps to their end at once and returns what they return. */
export function withoutPauses<Result>(steps: Generator<unknown, Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
