import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { CLOSE } from "../../src/protocol/close-codes.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom, connected } from "../kit/test-room.ts";

const STOCK = { door: "sync", text: false } as const;

/** Frames that the room calls durable, receipt by receipt, since `from`. */
function counts(client: DocClient, from: number): number[] {
  client.read();
  return client.receipts.slice(from).map((receipt) => receipt.durableFrames);
}

describe("receipts", () => {
  it("[RC4] a repeat of an edit that is not committed yet gets no receipt", () => {
    const room = new TestRoom();
    const a = connected(room);
    const before = a.receipts.length;
    a.doc.getText("t").insert(0, "once");
    const [frame] = a.outbox;
    a.sent.push(a.sent.at(-1)!);
    a.outbox.push(frame!);
    room.settle();
    expect(room.look((r) => r.counters.framesCovered)).toBeGreaterThan(0);
    expect(counts(a, before)).toEqual([]);
    room.pass(2_000);
    expect(counts(a, before)).toEqual([a.sent.length]);
  });

  it("[RC4] [CP2] an oversized edit is receipted after its publication, and not while a later frame waits", () => {
    const room = new TestRoom();
    const a = connected(room);
    const before = a.receipts.length;
    a.doc.getText("t").insert(0, "y".repeat(6_000_000));
    room.settle();
    // Between the first step of the staging and the second.
    let seen: number[] | null = null;
    let absorbed = -1;
    room.timers.after(0, () => {
      seen = counts(a, before);
      absorbed = room.room.store.index.chunks.length;
      a.doc.getText("t").insert(0, "later ");
      room.room.receive(a.peer, a.outbox.shift()!);
    });
    room.timers.runDue();
    expect(seen).toEqual([]);
    expect(absorbed).toBe(0);
    expect(room.look((r) => r.store.index.chunks.length)).toBeGreaterThan(0);
    expect(counts(a, before)).toEqual([]);
    room.pass(2_000);
    expect(counts(a, before)).toEqual([a.sent.length]);
  });

  it("[CP2] a crash while an oversized edit is staged leaves nothing of it, and its rows go with the next checkpoint", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "y".repeat(6_000_000));
    room.settle();
    const storedRows = (): number => Number(room.sql.inner.database.prepare("SELECT count(*) AS n FROM room_chunk").get()!["n"]);
    // Runs between two steps of the staging, until a chunk is staged: then no further step comes.
    const stop = (): void => {
      if (room.sql.rowsWritten > 0) room.timers.clear();
      else room.timers.after(0, stop);
    };
    room.timers.after(0, stop);
    room.timers.runDue();
    expect(storedRows()).toBeGreaterThan(0);
    room.kill();
    const fresh = connected(room);
    expect(fresh.doc.getText("t").toString()).toBe("");
    room.connect(a);
    room.pass(5_000);
    expect(fresh.doc.getText("t").length).toBe(6_000_000);
    expect(storedRows()).toBe(room.look((r) => r.store.index.chunks.reduce((sum, chunk) => sum + chunk.parts, 0)));
  });

  it("[RC1] the vector of a receipt is the durable one, whatever was relayed already", () => {
    const room = new TestRoom();
    const writer = new DocClient();
    room.connect(writer, STOCK);
    room.settle();
    writer.doc.getText("t").insert(0, "not on disk");
    room.settle();
    const a = new DocClient();
    room.connect(a);
    room.settle();
    expect(a.doc.getText("t").toString()).toBe("not on disk");
    expect(Y.decodeStateVector(a.receipts[0]!.sv).size).toBe(0);
    room.pass(2_000);
    const c = connected(room);
    expect(Y.decodeStateVector(c.receipts[0]!.sv).get(writer.doc.clientID)).toBe(11);
  });

  it("[RC3] every connection has an epoch of its own, a reconnect too", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    room.disconnect(a);
    room.connect(a);
    room.pass(2_000);
    const epochs = new Set([...a.receipts, ...b.receipts].map((receipt) => receipt.epoch));
    expect(epochs.size).toBe(3);
    expect(a.receipts.at(-1)!.epoch).not.toBe(a.receipts[0]!.epoch);
  });

  it("[HB2] frames are counted on after hibernation, under the same epoch", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "before");
    room.pass(5_000);
    const { epoch } = a.receipts.at(-1)!;
    expect(a.durableFrames).toBe(a.sent.length);
    room.hibernate();
    a.doc.getText("t").insert(0, "after ");
    room.pass(5_000);
    expect(a.sent.length).toBeGreaterThan(1);
    expect(a.receipts.at(-1)).toMatchObject({ epoch, durableFrames: a.sent.length });
  });

  it("[DG1] [JN6] an edit whose commit failed is kept, and receipted by the commit that succeeds", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "first ");
    room.pass(2_000);
    const { database } = room.sql.inner;
    database.exec("CREATE TRIGGER broken BEFORE INSERT ON room_journal BEGIN SELECT RAISE(ABORT, 'no room for rows'); END");
    const before = a.receipts.length;
    a.doc.getText("t").insert(0, "while it fails ");
    room.pass(2_000);
    a.doc.getText("t").insert(0, "and after ");
    room.pass(2_000);
    expect(counts(a, before)).toEqual([]);
    expect(room.look((r) => [r.health.kind, r.store.head])).toEqual(["unproven", 1]);
    database.exec("DROP TRIGGER broken");
    room.pass(130_000);
    expect(room.look((r) => r.health.kind)).toBe("healthy");
    expect(a.durableFrames).toBe(a.sent.length);
    room.kill();
    expect(connected(room).doc.getText("t").toString()).toBe("and after while it fails first ");
  });

  it("[DG2] [RC7] an instance after one that died in its commit says so and gives no receipt before a commit of its own", () => {
    const room = new TestRoom({ failCommit: 1 });
    const a = connected(room);
    a.doc.getText("t").insert(0, "lost with the commit");
    room.pass(2_000);
    expect(room.deaths).toBe(1);
    const b = new DocClient();
    room.connect(b);
    room.settle();
    expect(room.look((r) => r.health.kind)).toBe("unproven");
    expect(b.receipts).toEqual([]);
    expect(b.texts.join()).toContain("yaos/degraded");
    b.doc.getText("t").insert(0, "proof");
    room.pass(10_000);
    expect(b.durableFrames).toBe(b.sent.length);
    expect(b.texts.join()).toContain(`"reason":null`);
  });

  it("[DG2] a client with more than an unproven room takes is turned away, and the room proves itself for it", () => {
    const room = new TestRoom();
    const doc = new Y.Doc();
    doc.getText("t").insert(0, "x".repeat(LIMITS.maxUnprovenBytes + 1));
    const first = connected(room);
    first.doc.getText("other").insert(0, "stored");
    room.pass(2_000);
    room.sql.faults = { failCommit: room.sql.commits + 1 };
    first.doc.getText("other").insert(0, "lost ");
    room.pass(2_000);
    expect(room.deaths).toBe(1);
    const big = new DocClient(doc);
    room.connect(big);
    room.settle();
    expect([big.peer.closed?.code, room.look((r) => r.health.kind)]).toEqual([CLOSE.degraded.code, "unproven"]);
    room.pass(2_000);
    expect(room.look((r) => r.health.kind)).toBe("healthy");
    const again = new DocClient(doc);
    room.connect(again);
    room.pass(5_000);
    expect(again.peer.closed).toBe(null);
    expect(again.durableFrames).toBe(again.sent.length);
  });

  it("[DG2] [RC7] with nothing new to store, one row proves that storage can be written, and the receipts follow", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "durable ");
    room.pass(2_000);
    room.sql.faults = { failCommit: room.sql.commits + 1 };
    a.doc.getText("t").insert(0, "lost ");
    room.pass(2_000);
    expect(room.deaths).toBe(1);
    // Has everything that is stored and nothing else.
    const b = new DocClient();
    room.connect(b);
    const written = room.look(() => room.sql.rowsWritten);
    room.settle();
    expect([room.look((r) => r.health.kind), b.receipts.length, room.sql.rowsWritten - written]).toEqual(["unproven", 0, 0]);
    room.pass(10_000);
    // The other row is what is kept of the error.
    expect([room.look((r) => r.health.kind), room.sql.rowsWritten - written, room.look((r) => r.store.storedErrors().length)]).toEqual(["healthy", 2, 1]);
    expect(b.durableFrames).toBe(b.sent.length);
    expect(b.doc.getText("t").toString()).toBe("durable ");
    room.pass(10_000);
    expect(room.sql.rowsWritten - written).toBe(2);
  });
});
