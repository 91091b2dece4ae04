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
  const hasVisitor = visitor.deleteRange !== undefined;
  const clientCount = reader.varUint();
  if (clientCount > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", reader.pos);
  if (clientCount * 2 > reader.left) throw new UpdateRefusedError("truncated", reader.pos);
  const clients = new ClientsOnce(clientCount);
  let total = 0;
  for (let i = 0; i < clientCount; i++) {
    const at = reader.pos;
    const client = reader.varUint();
    clients.add(client, at);
    const rangeCount = reader.varUint();
    if (rangeCount * 2 > reader.left) throw new UpdateRefusedError("too-many-ranges", at);
    for (let j = 0; j < rangeCount; j++) {
      const clock = reader.varUint();
      const length = reader.varUint();
      if (length === 0) throw new UpdateRefusedError("zero-length", reader.pos);
      if (clock > Number.MAX_SAFE_INTEGER - length) throw new UpdateRefusedError("clock-overflow", reader.pos);
      if (hasVisitor) visitor.deleteRange!(client, clock, length);
    }
    total += rangeCount;
  }
  return total;
}

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
