/**
 * The order in which a rewrite emits structs: causes first (update laws, A3), so that chunks loaded one after another
 * never leave a client with pending structs. One cursor per client and a stack of clients that wait for each other.
 */

import type { ClientOrder, StructTable } from "./struct-table.ts";
import { GC_REF } from "./visitor.ts";

export class CausalOrder {
  /** First clock of the row `next` gave that no earlier row covers: above the row's own clock when rows overlap. */
  from = 0;
  readonly #table: StructTable;
  readonly #order: ClientOrder;
  /** Per client: index into `order.rows` of its next row, and the first clock that row will bring (Infinity: no more). */
  readonly #cursor: Int32Array;
  readonly #nextClock: Float64Array;
  readonly #covered: Float64Array;
  /** Clients being advanced, and the clock each must pass before the one below it can go on. */
  readonly #stack: number[] = [];
  readonly #need: number[] = [];
  readonly #onStack: Uint8Array;
  #root = 0;

  constructor(table: StructTable, order: ClientOrder) {
    const clients = table.clientIds.length;
    this.#table = table;
    this.#order = order;
    this.#cursor = order.first.slice(0, clients);
    this.#nextClock = new Float64Array(clients);
    this.#covered = new Float64Array(clients);
    this.#onStack = new Uint8Array(clients);
    for (let c = 0; c < clients; c++) this.#settle(c);
  }

  /** The next row in causal order, or -1 after the last. Rows whose clocks are all covered by earlier ones never come. */
  next(): number {
    for (;;) {
      const top = this.#stack.length - 1;
      if (top < 0) {
        while (this.#root < this.#nextClock.length && this.#nextClock[this.#root] === Infinity) this.#root++;
        if (this.#root === this.#nextClock.length) return -1;
        this.#pushClient(this.#root, Infinity);
        continue;
      }
      const client = this.#stack[top]!;
      const clock = this.#nextClock[client]!;
      if (clock === Infinity || clock > this.#need[top]!) {
        this.#onStack[client] = 0;
        this.#stack.pop();
        this.#need.pop();
        continue;
      }
      const row = this.#order.rows[this.#cursor[client]!]!;
      if (this.#waits(row)) continue;
      this.from = clock;
      this.#covered[client] = this.#table.clock[row]! + this.#table.length[row]!;
      this.#cursor[client]!++;
      this.#settle(client);
      return row;
    }
  }

  /** Pushes a client the row waits for, if there is one that can be advanced. */
  #waits(row: number): boolean {
    const { info, leftClient, leftClock, rightClient, rightClock } = this.#table;
    if ((info[row]! & 31) === GC_REF) return false;
    const left = leftClient[row]!;
    if (left !== -1 && this.#isAhead(left, leftClock[row]!)) {
      this.#pushClient(left, leftClock[row]!);
      return true;
    }
    const right = rightClient[row]!;
    if (right !== -1 && this.#isAhead(right, rightClock[row]!)) {
      this.#pushClient(right, rightClock[row]!);
      return true;
    }
    return false;
  }

  /**
   * Whether the sources still bring this clock and its client can be advanced now. A client already on the stack waits
   * for us in turn: no genuine history makes such a cycle, so then the row simply goes first. A clock in no source
   * counts as there: it is earlier, or never comes. The struct's own client is on the stack, so never waited for.
   */
  #isAhead(client: number, clock: number): boolean {
    return this.#nextClock[client]! <= clock && this.#onStack[client] === 0;
  }

  #pushClient(client: number, need: number): void {
    this.#stack.push(client);
    this.#need.push(need);
    this.#onStack[client] = 1;
  }

  /** Moves a client's cursor over rows that bring nothing new. */
  #settle(client: number): void {
    const { clock, length } = this.#table;
    const end = this.#order.first[client + 1]!;
    const covered = this.#covered[client]!;
    let cursor = this.#cursor[client]!;
    let next = Infinity;
    for (; cursor < end; cursor++) {
      const row = this.#order.rows[cursor]!;
      if (clock[row]! + length[row]! > covered) {
        next = Math.max(clock[row]!, covered);
        break;
      }
    }
    this.#cursor[client] = cursor;
    this.#nextClock[client] = next;
  }
}
