/**
 * How often something named by a key may happen: never more than `limit` times within any `windowMs`.
 * Counted in slots of a twelfth of the window, so a key costs a few numbers however often it comes. A slot counts until it lies wholly outside
 * the window: the bound is exact, and a refusal lasts at most a slot longer than it had to. What was refused is not counted, so a client that
 * keeps asking is let in as soon as there is room.
 */

/** Slots a window is divided into. More would refuse for less long and cost memory. */
const SLOTS = 12;

/** Taken, or how long until the next may be, in milliseconds. */
export type RateVerdict = { readonly ok: true } | { readonly ok: false; readonly retryAfterMs: number };

const TAKEN: RateVerdict = { ok: true };

/** Counts by slot number modulo length; the window touches one slot more than it has, as it rarely starts at a slot's edge. */
interface Counts {
  last: number;
  readonly bySlot: number[];
}

export class RateWindow {
  readonly #limit: number;
  readonly #slotMs: number;
  readonly #maxKeys: number;
  /** In order of use: the first is the one unused longest. */
  readonly #keys = new Map<string, Counts>();

  /** @param maxKeys keys remembered; beyond it the one unused longest is forgotten, which lets it start anew */
  constructor(limit: number, windowMs: number, maxKeys: number) {
    this.#limit = limit;
    this.#slotMs = windowMs / SLOTS;
    this.#maxKeys = maxKeys;
  }

  /** Counts one more for `key`, or refuses it. `nowMs` may stand still, and step back: time then counts as standing. */
  take(key: string, nowMs: number): RateVerdict {
    const counts = this.#countsOf(key, Math.floor(nowMs / this.#slotMs));
    let used = 0;
    for (const count of counts.bySlot) used += count;
    if (used >= this.#limit) return { ok: false, retryAfterMs: Math.max(1, Math.ceil(this.#nextRoomMs(counts) - nowMs)) };
    const at = counts.last % (SLOTS + 1);
    counts.bySlot[at] = (counts.bySlot[at] ?? 0) + 1;
    return TAKEN;
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#keys.size;
  }

  #countsOf(key: string, slot: number): Counts {
    let counts = this.#keys.get(key);
    if (counts === undefined) {
      const oldest = this.#keys.size < this.#maxKeys ? undefined : this.#keys.keys().next().value;
      if (oldest !== undefined) this.#keys.delete(oldest);
      counts = { last: slot, bySlot: Array.from({ length: SLOTS + 1 }, () => 0) };
    } else {
      this.#keys.delete(key);
      const passed = Math.min(slot - counts.last, SLOTS + 1);
      for (let step = 1; step <= passed; step++) counts.bySlot[(counts.last + step) % (SLOTS + 1)] = 0;
      counts.last = Math.max(counts.last, slot);
    }
    this.#keys.set(key, counts);
    return counts;
  }

  /** When the oldest slot that counts has left the window. */
  #nextRoomMs(counts: Counts): number {
    for (let age = SLOTS; age > 0; age--) {
      if ((counts.bySlot[(counts.last - age + SLOTS + 1) % (SLOTS + 1)] ?? 0) > 0) return (counts.last - age + SLOTS + 1) * this.#slotMs;
    }
    return (counts.last + SLOTS + 1) * this.#slotMs;
  }
}
