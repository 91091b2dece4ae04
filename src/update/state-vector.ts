import { LIMITS } from "../limits.ts";
import { ClientsOnce } from "./delete-ranges.ts";
import { UpdateRefusedError } from "./refused.ts";
import { ByteReader, ByteWriter } from "./varint.ts";

/** Client id to the next clock expected from it. Clients that wrote nothing are left out. */
export type StateVector = Map<number, number>;

/**
 * Reads a state vector as Yjs encodes it: number of clients, then client and clock of each. Clocks of 0 say nothing and are left out.
 * @throws {UpdateRefusedError} "too-large", "too-many-clients", "duplicate-client", "truncated", "bad-varint" or "trailing-bytes"
 */
export function decodeStateVector(bytes: Uint8Array): StateVector {
  if (bytes.length > LIMITS.maxStateVectorBytes) throw new UpdateRefusedError("too-large", LIMITS.maxStateVectorBytes);
  const reader = new ByteReader(bytes);
  const count = reader.varUint();
  if (count > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", 0);
  if (count * 2 > reader.left) throw new UpdateRefusedError("truncated", bytes.length);
  const seen = new ClientsOnce(count);
  const vector: StateVector = new Map();
  for (let i = 0; i < count; i++) {
    const at = reader.pos;
    const client = reader.varUint();
    seen.add(client, at);
    const clock = reader.varUint();
    if (clock > 0) vector.set(client, clock);
  }
  if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);
  return vector;
}

/** Encodes `vector` as Yjs does: clients in descending order; clocks of 0 are left out. */
export function encodeStateVector(vector: ReadonlyMap<number, number>): Uint8Array {
  const clients = new Float64Array(vector.size);
  let count = 0;
  for (const [client, clock] of vector) if (clock > 0) clients[count++] = client;
  const sorted = clients.subarray(0, count).sort();
  const writer = new ByteWriter(8 + count * 8);
  writer.varUint(count);
  for (let i = count - 1; i >= 0; i--) {
    const client = sorted[i]!;
    writer.varUint(client);
    writer.varUint(vector.get(client)!);
  }
  return writer.finish();
}
