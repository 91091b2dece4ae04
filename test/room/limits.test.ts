/** Limits and windows of a room that nothing else comes near: each at its edge. */
import * as encoding from "lib0/encoding";
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import type { SqlRow, SqlValue } from "../../src/ports.ts";
import { CLOSE } from "../../src/protocol/close-codes.ts";
import { debugReport } from "../../src/report/debug.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { bytes, syncFrame, varints } from "../kit/bad-frames.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom, connected } from "../kit/test-room.ts";

/** A socket that says nothing and reads nothing: many of them cost little. */
class SilentClient extends DocClient {
  override open(): void {
    super.open();
    this.outbox.length = 0;
  }

  override read(): void {
    this.peer.take();
  }
}

/** Deletions of single clocks of one client nobody knows, none next to another. */
function unknownDeletes(client: number, ranges: number): Uint8Array {
  return bytes((encoder) => {
    for (const number of [0, 1, client, ranges]) encoding.writeVarUint(encoder, number);
    for (let n = 0; n < ranges; n++) {
      encoding.writeVarUint(encoder, 10 + n * 2);
      encoding.writeVarUint(encoder, 1);
    }
  });
}

/** One empty struct each of so many clients with ids of five bytes. */
function manyClients(count: number): Uint8Array {
  const numbers = [count];
  for (let n = count; n > 0; n--) numbers.push(1, 2 ** 31 + n, 0, 0, 1);
  return varints(...numbers, 0);
}

interface Debug {
  readonly documentSummary: unknown;
  readonly documentSummaryReason: string | null;
  readonly svEcho: { readonly failureOversize: number; readonly failed: number };
}

function debug(room: TestRoom): Debug {
  return room.look((r) => debugReport(r, "room", room.sql, room.clock.nowMs())) as unknown as Debug;
}

describe("limits of a room", () => {
  it("[LM1] a session over maxSessionsPerRoom is turned away with 4503 and told why; one that leaves makes room", () => {
    const room = new TestRoom();
    const first = new SilentClient();
    room.connect(first);
    for (let n = 1; n < LIMITS.maxSessionsPerRoom; n++) {
      const client = new SilentClient();
      room.connect(client);
      expect(client.peer.closed).toBe(null);
    }
    const late = new DocClient();
    room.connect(late);
    late.read();
    room.timers.advance(LIMITS.refusalHoldMs);
    expect(late.peer.closed).toMatchObject({ code: CLOSE.busy.code, reason: CLOSE.busy.reason });
    expect(late.texts.join()).toContain("yaos/degraded");
    room.disconnect(late);
    room.disconnect(first);
    const next = new DocClient();
    room.connect(next);
    expect(next.peer.closed).toBe(null);
  });

  it("[LM1] [CK4] deletions of what nobody has are kept up to maxUnknownDeleteRanges, and refused above", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    room.turn((r) => r.receive(a.peer, syncFrame(2, unknownDeletes(77, LIMITS.maxUnknownDeleteRanges))));
    expect(a.peer.closed).toBe(null);
    room.pass(2_000);
    const deletes = room.look((r) => r.store.journalDeletes.rangeCount);
    b.peer.take();
    room.turn((r) => r.receive(b.peer, syncFrame(2, unknownDeletes(78, LIMITS.maxUnknownDeleteRanges + 1))));
    expect(b.peer.closed).toMatchObject({ code: CLOSE.tooLarge.code, reason: "too-many-ranges" });
    room.pass(2_000);
    expect(room.look((r) => r.store.journalDeletes.rangeCount)).toBe(deletes);
  });

  it("[DB3] [LM1] a vault up to maxSummaryVaultBytes is counted, one above is not, with the reason", () => {
    const room = new TestRoom();
    const a = connected(room);
    const stored = (): number => room.look((r) => r.store.chunkBytes + r.store.journalBytes);
    const write = (length: number): void => {
      a.doc.getMap("notes").set(`note ${a.doc.getMap("notes").size}`, new Y.Text("x".repeat(length)));
      room.pass(5_000);
    };
    for (let n = 0; n < 3; n++) write(5_000_000);
    expect(stored()).toBeGreaterThan(LIMITS.maxSummaryVaultBytes * 0.8);
    expect(debug(room)).toMatchObject({ documentSummaryReason: null });
    expect(debug(room).documentSummary).not.toBe(null);
    write(3_000_000);
    expect(stored()).toBeGreaterThan(LIMITS.maxSummaryVaultBytes);
    expect(debug(room).documentSummary).toBe(null);
    expect(debug(room).documentSummaryReason).toContain(String(LIMITS.maxSummaryVaultBytes));
  });

  it("[CP1] checkpointJournalRows rows are a checkpoint, one less is none", () => {
    const room = new TestRoom();
    const a = connected(room);
    const state = (): number[] => room.look((r) => [r.store.journal.length, r.keeper.totals.checkpoints]);
    for (let n = 1; n < LIMITS.checkpointJournalRows; n++) {
      a.doc.getMap("m").set("key", n);
      room.pass(LIMITS.commitWindowMs + 1);
    }
    expect(state()).toEqual([LIMITS.checkpointJournalRows - 1, 0]);
    a.doc.getMap("m").set("key", "last");
    room.pass(LIMITS.commitWindowMs + 1);
    expect(state()).toEqual([0, 1]);
  });

  it("[JN1] a window of commitWindowBytes is committed without waiting for its end, a smaller one is not", () => {
    const room = new TestRoom();
    const a = connected(room);
    const head = (): number => room.look((r) => r.store.head);
    a.doc.getText("t").insert(0, "first after quiet");
    room.pass(0);
    expect(head()).toBe(1);
    a.doc.getText("t").insert(0, "x".repeat(LIMITS.commitWindowBytes / 2));
    room.pass(LIMITS.commitWindowMs / 4);
    expect(head()).toBe(1);
    a.doc.getText("t").insert(0, "x".repeat(LIMITS.commitWindowBytes / 2));
    room.pass(LIMITS.relayWindowMs);
    expect(head()).toBe(2);
    a.doc.getText("t").insert(0, "small");
    room.pass(LIMITS.commitWindowMs / 2);
    expect(head()).toBe(2);
    room.pass(LIMITS.commitWindowMs / 2);
    expect(head()).toBe(3);
  });

  it("[LM2] no value bound is above maxBlobBytes, however large what must be stored", () => {
    const room = new TestRoom();
    const a = connected(room);
    const { inner } = room.sql;
    const exec = inner.exec.bind(inner);
    let largest = 0;
    inner.exec = <Row extends SqlRow = SqlRow>(query: string, ...params: readonly SqlValue[]): Row[] => {
      for (const value of params) if (value instanceof Uint8Array) largest = Math.max(largest, value.byteLength);
      return exec<Row>(query, ...params);
    };
    // One struct of several rows, the same behind a gap, and enough of both for a checkpoint.
    a.doc.getText("t").insert(0, "x".repeat(6_000_000));
    room.pass(5_000);
    const stranger = new Y.Doc();
    stranger.getText("t").insert(0, "first ");
    const before = Y.encodeStateVector(stranger);
    stranger.getText("u").insert(0, "y".repeat(5_000_000));
    room.turn((r) => r.receive(a.peer, syncFrame(2, Y.encodeStateAsUpdate(stranger, before))));
    room.pass(5_000);
    expect(room.look((r) => r.store.held.length)).toBe(1);
    a.doc.getText("t").delete(0, 3_000_000);
    room.pass(5_000);
    room.look((r) => withoutPauses(r.compact()));
    expect(largest).toBeGreaterThan(LIMITS.chunkBytes / 2);
    expect(largest).toBeLessThanOrEqual(LIMITS.maxBlobBytes);
  });

  it("[RC6] a vector that old plugins would drop is not sent, and counted", () => {
    const room = new TestRoom();
    const a = connected(room);
    const baseline = a.receipts.length;
    room.turn((r) => r.receive(a.peer, syncFrame(2, manyClients(8_000))));
    room.pass(2_000);
    expect(a.receipts.length).toBe(baseline + 1);
    expect(debug(room).svEcho).toMatchObject({ failureOversize: 0, failed: 0 });
    room.turn((r) => r.receive(a.peer, syncFrame(2, manyClients(9_000))));
    room.pass(2_000);
    expect(a.peer.closed).toBe(null);
    expect(a.receipts.length).toBe(baseline + 1);
    expect(debug(room).svEcho).toMatchObject({ failureOversize: 1, failed: 1 });
    const { byteLength } = a.receipts.at(-1)!.sv;
    expect(Math.ceil(byteLength / 3) * 4).toBeLessThanOrEqual(LIMITS.maxReceiptVectorChars);
  });
});
