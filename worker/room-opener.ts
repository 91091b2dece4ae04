/**
 * Gives out the room of an object: at once when nothing is to be done before, which is nearly always; else after the takeover of an older server's vault,
 * which runs in turns. Whoever asks meanwhile waits.
 */
import { type OpenedAs, type Opening, type OpeningHost, beginOpening } from "../src/takeover/opening.ts";
import type { Room } from "../src/room/room.ts";
import { NO_TAKEOVER, type TakeoverView } from "../src/room/takeover-view.ts";

/** Pauses of a takeover passed over in one turn: each stands for some 10 ms of work, and every turn that writes is a commit. */
const STEPS_PER_TURN = 4;

/** A vault that could not be taken over is looked at again after this long, when somebody asks. */
const RETRY_AFTER_MS = 60_000;

export class RoomOpener {
  readonly #host: Omit<OpeningHost, "filled">;
  readonly #make: (takeover: TakeoverView) => Room;
  #room: Room | null = null;
  #waiting: Promise<Room | null> | null = null;
  #as: OpenedAs | null = null;
  #atMs = 0;
  /** Grows when what is under way has become void. */
  #run = 0;

  constructor(host: Omit<OpeningHost, "filled">, make: (takeover: TakeoverView) => Room) {
    this.#host = host;
    this.#make = make;
  }

  /** How the room was opened; null while it was not. */
  get as(): OpenedAs | null {
    return this.#as;
  }

  /** The room if there is one. Begins nothing. */
  get opened(): Room | null {
    return this.#room;
  }

  /** The room, or null while a takeover is under way. Begins one if need be. */
  now(): Room | null {
    if (this.#waiting !== null) return null;
    if (this.#room !== null && this.#as?.refusal != null && this.#host.clock.nowMs() - this.#atMs > RETRY_AFTER_MS) this.reset();
    if (this.#room === null) {
      const opening = beginOpening({ ...this.#host, filled: () => this.reset() });
      if (!("view" in opening)) {
        this.#waiting = this.#inTurns(opening);
        return null;
      }
      this.#opened(opening);
    }
    return this.#room;
  }

  /** The room, once it is there. */
  async ready(): Promise<Room> {
    for (;;) {
      const room = this.now() ?? (await this.#waiting);
      if (room !== null) return room;
    }
  }

  /** A room over whatever is stored, for erasing it: what is under way ends, and nothing else may be done with this room. */
  forErasing(): Room {
    if (this.#room === null) {
      this.reset();
      this.#room = this.#make(NO_TAKEOVER);
    }
    return this.#room;
  }

  /** The next to ask gets a new room, made of what is stored then. */
  reset(): void {
    this.#run += 1;
    this.#room = null;
    this.#waiting = null;
    this.#as = null;
  }

  /** Null when it has become void: whoever waits asks again. */
  async #inTurns(steps: Generator<null, Opening>): Promise<Room | null> {
    const run = this.#run;
    try {
      // Not in the turn of whoever asks: the promise must be known before it can be over.
      await Promise.resolve();
      while (run === this.#run) {
        for (let count = 0; count < STEPS_PER_TURN; count++) {
          const step = steps.next();
          if (step.done === true) return this.#opened(step.value);
        }
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      return null;
    } catch (error) {
      if (run === this.#run) this.reset();
      throw error;
    }
  }

  #opened(opening: Opening): Room {
    this.#as = opening.as;
    this.#atMs = this.#host.clock.nowMs();
    const { sql } = this.#host;
    this.#room = this.#make(opening.view);
    // All that was written since the object began belongs to the move.
    if (opening.as.movedNow) this.#room.stats.rowsWrittenBy.maintenance += sql.rowsWritten;
    this.#waiting = null;
    return this.#room;
  }
}
