/**
 * Items that may stand in the list behind a map key, and which of them is the key's current one.
 *
 * In Yjs every set of a map key is an item of a small list: the first names its parent and key, each later one carries only its predecessor's
 * id as origin, and none has a right origin. The current value is the rightmost item; if that is deleted the key is absent. With empty right
 * origins the list is a tree written in preorder (update laws, A5): an item's children are the items with it as origin, siblings ascend by
 * client id, every clock of a longer item is the child of the one before. So the rightmost is found by going to the last sibling, then to its
 * last child, until there is none.
 *
 * Holds some 50 bytes per item in columns, no object per item. Items may be added in any order, more than once and cut anywhere: first added wins.
 */

/** No origin, no owner, no item. */
const NONE = -1;

/** Items of one client by clock, for look-up. */
interface ClientItems {
  readonly starts: number[];
  readonly items: number[];
}

export class MapItems {
  readonly #client: number[] = [];
  readonly #clock: number[] = [];
  readonly #length: number[] = [];
  readonly #originClient: number[] = [];
  readonly #originClock: number[] = [];
  readonly #byClient = new Map<number, ClientItems>();
  /** Children by owner as linked lists: first child of an item, next sibling of a child. */
  #firstChild = new Int32Array(0);
  #nextChild = new Int32Array(0);

  get count(): number {
    return this.#client.length;
  }

  /** Adds the item of `length` clocks from (`client`, `clock`) on; `originClient` is -1 when it begins its list. Returns its number. */
  add(client: number, clock: number, length: number, originClient: number, originClock: number): number {
    this.#client.push(client);
    this.#clock.push(clock);
    this.#length.push(length);
    this.#originClient.push(originClient);
    return this.#originClock.push(originClock) - 1;
  }

  /** Links what was added. Call once, after the last `add` and before the questions below. */
  link(): void {
    this.#indexByClock();
    this.#firstChild = new Int32Array(this.count).fill(NONE);
    this.#nextChild = new Int32Array(this.count).fill(NONE);
    for (let item = 0; item < this.count; item++) {
      if (this.#at(this.#length, item) === 0 || this.#at(this.#originClient, item) < 0) continue;
      const owner = this.find(this.#at(this.#originClient, item), this.#at(this.#originClock, item));
      // An origin we do not know belongs to a list we do not follow, or to an item the room has not got.
      if (owner === NONE) continue;
      this.#nextChild[item] = this.#firstChild[owner] ?? NONE;
      this.#firstChild[owner] = item;
    }
  }

  /** The item that covers (`client`, `clock`), or -1. */
  find(client: number, clock: number): number {
    const known = this.#byClient.get(client);
    if (known === undefined) return NONE;
    let low = 0;
    let high = known.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#at(known.starts, middle) <= clock) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return NONE;
    const item = this.#at(known.items, low - 1);
    return clock < this.#endOf(item) ? item : NONE;
  }

  /** The rightmost item of the list that begins with `heads` (concurrent first sets of one key), or -1 when none of them stands. */
  rightmost(heads: readonly number[]): number {
    let item = NONE;
    // A head that was cut or dropped as a repeat is no head any more.
    for (const head of heads) {
      if (this.#at(this.#length, head) > 0 && this.#at(this.#originClient, head) < 0) item = this.#later(item, head);
    }
    while (item !== NONE) {
      const child = this.#lastChild(item);
      if (child === NONE) return item;
      item = child;
    }
    return NONE;
  }

  #lastChild(item: number): number {
    const client = this.#at(this.#client, item);
    const lastClock = this.#endOf(item) - 1;
    let atEnd = NONE;
    let inside = NONE;
    let insideClock = Infinity;
    for (let child = this.#firstChild[item] ?? NONE; child !== NONE; child = this.#nextChild[child] ?? NONE) {
      const clock = this.#at(this.#originClock, child);
      if (clock === lastClock) {
        atEnd = this.#later(atEnd, child);
      } else if (this.#at(this.#client, child) > client && clock <= insideClock) {
        // A rival of the item's own next clock, to the right of it and of all that follows it there; the earliest such fork decides.
        inside = clock < insideClock ? child : this.#later(inside, child);
        insideClock = clock;
      }
    }
    return inside === NONE ? atEnd : inside;
  }

  /** Which of two siblings stands further right: the higher client, and of one client the earlier clock. */
  #later(a: number, b: number): number {
    if (a === NONE) return b;
    const byClient = this.#at(this.#client, a) - this.#at(this.#client, b);
    if (byClient !== 0) return byClient > 0 ? a : b;
    return this.#at(this.#clock, a) <= this.#at(this.#clock, b) ? a : b;
  }

  /** Sorts by client and clock; what an earlier item covers is dropped (length 0) or cut off at the front. */
  #indexByClock(): void {
    const order = Uint32Array.from({ length: this.count }, (_, item) => item);
    order.sort(
      (a, b) =>
        this.#at(this.#client, a) - this.#at(this.#client, b) || this.#at(this.#clock, a) - this.#at(this.#clock, b) || a - b,
    );
    let client = NONE;
    let end = 0;
    let known: ClientItems = { starts: [], items: [] };
    for (const item of order) {
      if (this.#at(this.#client, item) !== client) {
        client = this.#at(this.#client, item);
        end = 0;
        known = { starts: [], items: [] };
        this.#byClient.set(client, known);
      }
      const itemEnd = this.#endOf(item);
      if (itemEnd <= end) {
        this.#length[item] = 0;
        continue;
      }
      if (this.#at(this.#clock, item) < end) {
        this.#clock[item] = end;
        this.#length[item] = itemEnd - end;
        this.#originClient[item] = client;
        this.#originClock[item] = end - 1;
      }
      known.starts.push(this.#at(this.#clock, item));
      known.items.push(item);
      end = itemEnd;
    }
  }

  #endOf(item: number): number {
    return this.#at(this.#clock, item) + this.#at(this.#length, item);
  }

  #at(column: readonly number[], index: number): number {
    const value = column[index];
    if (value === undefined) throw new RangeError(`Cannot read map item ${index}: there are ${this.count}`);
    return value;
  }
}
