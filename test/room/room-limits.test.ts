/** What a room takes from one update and holds at a time: the counts of `limits.ts` at the seam they guard. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { CLOSE } from "../../src/protocol/close-codes.ts";
import { CommitWindow } from "../../src/room/commit-window.ts";
import { Ingest } from "../../src/room/ingest.ts";
import { VaultStore } from "../../src/storage/vault-store.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { checksum } from "../kit/checksum.ts";
import { DocClient } from "../kit/doc-client.ts";
import { NodeSql } from "../kit/node-sql.ts";
import { TestRoom, connected } from "../kit/test-room.ts";

function send(room: TestRoom, client: DocClient, update: Uint8Array): void {
  const frame = new ByteWriter(update.byteLength + 8);
  frame.varUint(0);
  frame.varUint(2);
  frame.varUint(update.byteLength);
  frame.bytes(update, 0, update.byteLength);
  const bytes = frame.finish();
  room.turn((r) => r.receive(client.peer, bytes));
}

/** One collected struct (GC) per client, and deletions of every second clock. */
function deletedStructs(structs: readonly { client: number; clock: number; length: number }[], deletes: readonly { client: number; ranges: number }[] = []): Uint8Array {
  const out = new ByteWriter();
  out.varUint(structs.length);
  for (const { client, clock, length } of structs) {
    for (const value of [1, client, clock, 0, length]) out.varUint(value);
  }
  out.varUint(deletes.length);
  for (const { client, ranges } of deletes) {
    out.varUint(client);
    out.varUint(ranges);
    for (let at = 0; at < ranges; at++) {
      out.varUint(2 * at + 1);
      out.varUint(1);
    }
  }
  return out.finish();
}

/** One binary value of that many bytes in a map. */
function binary(client: number, byteLength: number): Uint8Array {
  const out = new ByteWriter(byteLength + 32);
  for (const value of [1, 1, client, 0]) out.varUint(value);
  // An item with ContentBinary (3) and no origins, under a root type, with a key.
  out.varUint(0x20 | 3);
  out.varUint(1);
  for (const name of ["m", `k${client}`]) {
    out.varUint(name.length);
    for (const char of name) out.varUint(char.charCodeAt(0));
  }
  out.varUint(byteLength);
  out.bytes(new Uint8Array(byteLength), 0, byteLength);
  out.varUint(0);
  return out.finish();
}

describe("what a room takes", () => {
  it("[LM1] [CK5] an import of one client's whole history with more deletions than may name unknown clocks", () => {
    const ranges = LIMITS.maxUnknownDeleteRanges + 10_000;
    const room = new TestRoom();
    const a = connected(room);
    send(room, a, deletedStructs([{ client: 77, clock: 0, length: 2 * ranges }], [{ client: 77, ranges }]));
    room.timers.advance(5_000);
    expect(a.peer.closed).toBe(null);
    expect(room.look((r) => [r.store.clocks.end(77), r.store.readDeletes().rangeCount])).toEqual([2 * ranges, ranges]);
    // The same deletions of somebody unknown could be anything.
    send(room, a, deletedStructs([], [{ client: 78, ranges }]));
    expect(a.peer.closed).toMatchObject({ code: CLOSE.tooLarge.code, reason: "too-many-ranges" });
  });

  it("[LM1] [CK4] never more clients than one message may name", () => {
    const store = new VaultStore(new NodeSql(), checksum);
    store.open();
    const ingest = new Ingest(store, new CommitWindow());
    const half = LIMITS.maxClientsPerMessage / 2;
    const clients = (first: number, count: number): Uint8Array =>
      deletedStructs(Array.from({ length: count }, (_, at) => ({ client: first + at, clock: 0, length: 1 })));
    ingest.take(clients(1, half), false);
    expect(() => ingest.take(clients(1 + half, half + 1), false)).toThrow("too-many-clients");
    expect(ingest.known.vector.size).toBe(half);
    // Up to the limit, and those that are known may go on.
    ingest.take(clients(1 + half, half), false);
    expect(() => ingest.take(clients(1 + 2 * half, 1), false)).toThrow("too-many-clients");
    ingest.take(deletedStructs([{ client: 1, clock: 1, length: 1 }]), false);
    expect([ingest.known.vector.size, ingest.known.end(1)]).toEqual([LIMITS.maxClientsPerMessage, 2]);
  });

  it("[JN2] writers are told to come back while more than maxUnsavedBytes wait for the disk", () => {
    const room = new TestRoom();
    const clients = [1, 2, 3].map(() => connected(room));
    const update = Math.floor(LIMITS.maxUnsavedBytes / 2) - 100;
    for (const [at, client] of clients.entries()) send(room, client, binary(at + 1, update));
    expect(clients.map((client) => client.peer.closed?.code)).toEqual([undefined, undefined, CLOSE.busy.code]);
    expect(CLOSE.busy.retry).toBe(true);
    expect(room.look((r) => r.unsaved.byteLength)).toBeLessThan(LIMITS.maxUnsavedBytes);
    expect(room.look((r) => r.counters.framesTurnedAway)).toBe(1);
    for (const client of clients) client.peer.take();
    room.timers.advance(5_000);
    const again = new DocClient();
    room.connect(again);
    send(room, again, binary(3, 1_000));
    expect(again.peer.closed).toBe(null);
  });

  it("[SY9] no more updates behind gaps than maxPendingUpdates", () => {
    const room = new TestRoom();
    const a = connected(room);
    const behindGap = (at: number): Uint8Array => deletedStructs([{ client: 1_000 + at, clock: 5, length: 1 }]);
    for (let at = 0; at < LIMITS.maxPendingUpdates; at++) send(room, a, behindGap(at));
    expect(a.peer.closed).toBe(null);
    send(room, a, behindGap(LIMITS.maxPendingUpdates));
    expect(a.peer.closed).toMatchObject({ code: CLOSE.pendingFull.code, reason: CLOSE.pendingFull.reason });
    room.timers.advance(5_000);
    expect(room.look((r) => r.store.held.length)).toBe(LIMITS.maxPendingUpdates);
  });
});
