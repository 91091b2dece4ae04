/**
 * Passes news on to the other live sessions. An edit after a pause goes out in its own turn; while edits follow each other closely, those of one short
 * window go out as one frame per reader, because a reader and its socket cost more per frame than per byte.
 */
import { LIMITS } from "../limits.ts";
import type { Clock, Timers } from "../ports.ts";
import { updateFrame } from "../protocol/frames.ts";
import { joinUpdates } from "../update/join-updates.ts";
import type { Session } from "./session.ts";

interface Item {
  /** Null when everybody lacks it. */
  readonly author: Session | null;
  readonly update: Uint8Array;
}

export class RelayDesk {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #sessions: () => Iterable<Session>;
  #items: Item[] = [];
  #byteLength = 0;
  #lastSentMs = -Infinity;
  #cancel: (() => void) | null = null;
  /** Updates passed on, one per reader; and the frames they went in. */
  deliveries = 0;
  frames = 0;

  constructor(host: { readonly clock: Clock; readonly timers: Timers }, sessions: () => Iterable<Session>) {
    this.#clock = host.clock;
    this.#timers = host.timers;
    this.#sessions = sessions;
  }

  /** Whether something waits for its window to end. */
  get isWaiting(): boolean {
    return this.#items.length > 0;
  }

  /** Passes one update on to every live session but its author, now or within `relayWindowMs`. */
  pass(author: Session | null, update: Uint8Array): void {
    this.#items.push({ author, update });
    this.#byteLength += update.byteLength;
    const waitMs = this.#lastSentMs + LIMITS.relayWindowMs - this.#clock.nowMs();
    if (waitMs <= 0 || this.#byteLength >= LIMITS.relayWindowBytes) this.flush();
    else this.#cancel ??= this.#timers.after(waitMs, () => this.flush());
  }

  /** Sends what waits. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#byteLength = 0;
    const nowMs = this.#clock.nowMs();
    this.#lastSentMs = nowMs;
    const authors = new Set(items.map((item) => item.author));
    let forAll: Uint8Array[] | null = null;
    for (const session of this.#sessions()) {
      if (!session.live || session.closing) continue;
      let frames: readonly Uint8Array[];
      let count = items.length;
      if (authors.has(session)) {
        // Nobody gets back what is theirs.
        const others = items.filter((item) => item.author !== session);
        if (others.length === 0) continue;
        count = others.length;
        frames = framesOf(others);
      } else frames = forAll ??= framesOf(items);
      for (const frame of frames) session.send(frame, nowMs);
      this.deliveries += count;
      this.frames += frames.length;
    }
  }
}

/** One frame, unless the updates do not follow on from each other (a reader got some of them another way). */
function framesOf(items: readonly Item[]): Uint8Array[] {
  const updates = items.map((item) => item.update);
  const joined = joinUpdates(updates);
  return (joined === null ? updates : [joined]).map((update) => updateFrame(update));
}
