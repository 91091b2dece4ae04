import type { Alarm, Clock, Timers } from "../../src/ports.ts";

/** 2026-01-01T00:00:00Z: a start no test should depend on. */
const START_MS = 1_767_225_600_000;

/** Time that moves only when told, and ids that count. */
export class ManualClock implements Clock {
  #nowMs: number;
  #ids = 0;

  constructor(startMs = START_MS) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** Unique per clock and the same in every run. */
  randomId(): string {
    this.#ids += 1;
    return `id-${this.#ids.toString(16).padStart(16, "0")}`;
  }

  /** Moves time without running anything. */
  setMs(nowMs: number): void {
    if (nowMs < this.#nowMs) throw new Error(`ManualClock: ${nowMs} lies before ${this.#nowMs}`);
    this.#nowMs = nowMs;
  }
}

interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Runs an event as a turn of its own; a test with a `FaultySql` passes its `turn`. */
export type TurnRunner = (event: () => void) => void;

/** Timers on a `ManualClock`. Each task runs as a turn of its own, in order of time, then of asking. */
export class ManualTimers implements Timers {
  readonly #clock: ManualClock;
  readonly #turn: TurnRunner;
  #tasks: Task[] = [];
  #order = 0;

  constructor(clock: ManualClock, turn: TurnRunner = (event) => event()) {
    this.#clock = clock;
    this.#turn = turn;
  }

  after(delayMs: number, run: () => void): () => void {
    this.#order += 1;
    const task = { atMs: this.#clock.nowMs() + Math.max(0, delayMs), order: this.#order, run };
    this.#tasks.push(task);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== task);
    };
  }

  get pending(): number {
    return this.#tasks.length;
  }

  /** Moves time on by `ms`, running what falls due on the way at its own time. @returns how many tasks ran. */
  advance(ms: number): number {
    const endMs = this.#clock.nowMs() + ms;
    let ran = 0;
    for (let next = this.#next(endMs); next !== undefined; next = this.#next(endMs)) {
      this.#clock.setMs(Math.max(this.#clock.nowMs(), next.atMs));
      this.#run(next);
      ran += 1;
    }
    this.#clock.setMs(endMs);
    return ran;
  }

  /** Runs what is due now. Tasks asked for meanwhile with no delay run too. */
  runDue(): number {
    return this.advance(0);
  }

  /** Forgets every task, as the loss of the instance does. */
  clear(): void {
    this.#tasks = [];
  }

  #next(endMs: number): Task | undefined {
    let first: Task | undefined;
    for (const task of this.#tasks) {
      if (task.atMs > endMs) continue;
      if (first === undefined || task.atMs < first.atMs || (task.atMs === first.atMs && task.order < first.order)) first = task;
    }
    return first;
  }

  #run(task: Task): void {
    this.#tasks = this.#tasks.filter((other) => other !== task);
    this.#turn(task.run);
  }
}

/** The one alarm of an object. It survives the instance: keep it across a reopen. */
export class FakeAlarm implements Alarm {
  /** When the alarm fires, or null. */
  atMs: number | null = null;
  /** Times it was moved: each costs a row on the platform. */
  sets = 0;

  ensure(atMs: number): void {
    if (this.atMs !== null && this.atMs <= atMs) return;
    this.atMs = atMs;
    this.sets += 1;
  }

  /** Takes the alarm if it is due. @returns whether the handler must run. */
  takeDue(nowMs: number): boolean {
    if (this.atMs === null || this.atMs > nowMs) return false;
    this.atMs = null;
    return true;
  }
}
