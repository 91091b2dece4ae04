import { LIMITS } from "../limits.ts";
import { UpdateRefusedError } from "./refused.ts";
import type { ByteReader } from "./varint.ts";
import type { UpdateVisitor } from "./visitor.ts";

/**
 * Reads one delete set (number of clients; per client its id, the number of ranges, then clock and length of each) and shows
 * every range as written. Returns the number of ranges.
 *
 * Refused beyond broken numbers: one client twice, and ranges of length 0. A stock document splits the item at such a range,
 * which tears a surrogate pair apart, or throws when the range lies beyond what it knows (tried, yjs 13.6.33).
 * @throws {UpdateRefusedError}
 */
export function readDeleteRanges(reader: ByteReader, visitor: UpdateVisitor): number {
  const ranges = new DeleteRangeReader(reader, visitor);
  ranges.readSome(Infinity);
  return ranges.count;
}

/** The same reading in parts. Nothing else may move `reader` before the end. */
export class DeleteRangeReader {
  /** Ranges read so far. */
  count = 0;
  readonly #reader: ByteReader;
  readonly #visitor: UpdateVisitor;
  /** Clients not begun yet; -1 before their number is read. */
  #clientsLeft = -1;
  #clients: ClientsOnce | null = null;
  #client = 0;
  /** Ranges of all clients begun so far. */
  #announced = 0;
  /** Ranges of the begun client not read yet. */
  #rangesLeft = 0;

  constructor(reader: ByteReader, visitor: UpdateVisitor) {
    this.#reader = reader;
    this.#visitor = visitor;
  }

  /** Goes on for about `work` (`pacer.ts`) and returns whether the end is reached. @throws {UpdateRefusedError} */
  readSome(work: number): boolean {
    if (this.#clientsLeft === -1) this.#begin();
    for (let left = work; left > 0; ) {
      if (this.#rangesLeft > 0) {
        const count = Math.min(this.#rangesLeft, Math.ceil(left / RANGE_WORK));
        this.#readRanges(count);
        left -= count * RANGE_WORK;
      } else if (this.#clientsLeft > 0) {
        this.#nextClient();
        left -= RANGE_WORK;
      } else {
        return true;
      }
    }
    return this.#rangesLeft === 0 && this.#clientsLeft === 0;
  }

  #begin(): void {
    const reader = this.#reader;
    const clientCount = reader.varUint();
    if (clientCount > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", reader.pos);
    if (clientCount * 2 > reader.left) throw new UpdateRefusedError("truncated", reader.pos);
    this.#clients = new ClientsOnce(clientCount);
    this.#clientsLeft = clientCount;
  }

  #nextClient(): void {
    const reader = this.#reader;
    const at = reader.pos;
    this.#client = reader.varUint();
    this.#clients!.add(this.#client, at);
    this.#clientsLeft--;
    const rangeCount = reader.varUint();
    if (rangeCount * 2 > reader.left || this.#announced + rangeCount > LIMITS.maxDeleteRangesPerUpdate) throw new UpdateRefusedError("too-many-ranges", at);
    this.#announced += rangeCount;
    this.#rangesLeft = rangeCount;
    this.#visitor.deleteClient?.(this.#client, rangeCount);
  }

  #readRanges(count: number): void {
    const reader = this.#reader;
    const visitor = this.#visitor;
    const client = this.#client;
    const hasVisitor = visitor.deleteRange !== undefined;
    for (let i = 0; i < count; i++) {
      const clock = reader.varUint();
      const length = reader.varUint();
      if (length === 0) throw new UpdateRefusedError("zero-length", reader.pos);
      if (clock > Number.MAX_SAFE_INTEGER - length) throw new UpdateRefusedError("clock-overflow", reader.pos);
      if (hasVisitor) visitor.deleteRange!(client, clock, length);
    }
    this.#rangesLeft -= count;
    this.count += count;
  }
}

/** Reading one range (two numbers), as work (`pacer.ts`). */
const RANGE_WORK = 32;

/** Sees that no client comes twice. Genuine messages list clients in descending order, and then nothing is remembered. */
export class ClientsOnce {
  readonly #seen: number[] = [];
  readonly #keep: boolean;
  #set: Set<number> | null = null;
  #last = Infinity;

  constructor(clientCount: number) {
    this.#keep = clientCount > 1;
  }

  /** @throws {UpdateRefusedError} "duplicate-client" at `offset` */
  add(client: number, offset: number): void {
    if (this.#set === null && client < this.#last) {
      this.#last = client;
      if (this.#keep) this.#seen.push(client);
      return;
    }
    this.#set ??= new Set(this.#seen);
    if (this.#set.has(client)) throw new UpdateRefusedError("duplicate-client", offset);
    this.#set.add(client);
  }
}
