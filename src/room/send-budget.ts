/**
 * How many bytes of large answers may be on their way at once, over all rooms of one isolate: sockets give no backpressure and rooms share the memory.
 * A grant ends when the client has shown that it got that far, or after a while; who does not answer is still served, one after another.
 *
 * Pure bookkeeping: it calls nobody, because one object must not do the I/O of another. Each room asks again for its own tickets; a room that died
 * stops asking, and what it held or waited for expires.
 */
import { LIMITS } from "../limits.ts";

interface Ticket {
  readonly bytes: number;
  askedAtMs: number;
}

interface Grant {
  readonly bytes: number;
  readonly atMs: number;
}

/** A place in the queue. */
export interface SendTicket {
  /** A function that ends the grant, when it is this ticket's turn and there is room; else null: ask again after `sendRetryMs`. */
  tryStart(nowMs: number): (() => void) | null;
  /** Gives up waiting. */
  cancel(): void;
}

/** A room that has not asked for this long is gone. */
const EXPIRES_MS = 2 * LIMITS.sendCreditWaitMs;

export class SendBudget {
  #queue: Ticket[] = [];
  #grants: Grant[] = [];

  /** Bytes granted and not released, and answers waiting. For debug. */
  get state(): { inFlightBytes: number; waiting: number } {
    return { inFlightBytes: this.#inFlightBytes, waiting: this.#queue.length };
  }

  get #inFlightBytes(): number {
    return this.#grants.reduce((sum, grant) => sum + grant.bytes, 0);
  }

  /** Joins the queue with `bytes` to send. */
  enter(bytes: number, nowMs: number): SendTicket {
    const ticket: Ticket = { bytes, askedAtMs: nowMs };
    this.#queue.push(ticket);
    const leave = (): void => {
      this.#queue = this.#queue.filter((other) => other !== ticket);
    };
    return {
      tryStart: (atMs) => {
        ticket.askedAtMs = atMs;
        this.#queue = this.#queue.filter((other) => atMs - other.askedAtMs < EXPIRES_MS);
        // Another dropped it as dead while the whole isolate stood still: it has lost its place, not its turn.
        if (!this.#queue.includes(ticket)) this.#queue.push(ticket);
        this.#grants = this.#grants.filter((grant) => atMs - grant.atMs < EXPIRES_MS);
        if (this.#queue[0] !== ticket) return null;
        // At least one is always let through.
        if (this.#grants.length > 0 && this.#inFlightBytes + bytes > LIMITS.sendBudgetBytes) return null;
        leave();
        const grant: Grant = { bytes, atMs };
        this.#grants.push(grant);
        return () => {
          this.#grants = this.#grants.filter((other) => other !== grant);
        };
      },
      cancel: leave,
    };
  }
}
