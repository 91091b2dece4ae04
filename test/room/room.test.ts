import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { DocClient, holds } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

const STOCK = { door: "sync", text: false } as const;

describe("room", () => {
  it("[SY2] [JN2] relays an edit to the others at once and never to its author", () => {
    const room = new TestRoom();
    const [a, b] = [new DocClient(), new DocClient()];
    room.connect(a);
    room.connect(b, STOCK);
    room.settle();
    const before = a.relayed;
    a.doc.getText("t").insert(0, "hello");
    room.settle();
    expect(b.doc.getText("t").toString()).toBe("hello");
    expect(a.relayed).toBe(before);
    expect(room.look((r) => r.store.head)).toBe(0);
    room.pass(0);
    expect(room.look((r) => r.store.head)).toBe(1);
  });

  it("[RC1] [RC5] sends a receipt only after the commit, with the frame count, and none to clients that cannot read text", () => {
    const room = new TestRoom();
    const [a, b] = [new DocClient(), new DocClient()];
    room.connect(a);
    room.connect(b, STOCK);
    room.pass(0);
    const baseline = a.receipts.length;
    a.doc.getText("t").insert(0, "x");
    room.settle();
    expect(a.receipts.length).toBe(baseline);
    room.pass(1_000);
    expect(a.receipts.at(-1)?.durableFrames).toBe(a.sent.length);
    expect(b.texts).toEqual([]);
  });

  it("[SY4] stores a delete-only edit and gives it back after a kill", () => {
    const room = new TestRoom();
    const a = new DocClient();
    room.connect(a);
    a.doc.getText("t").insert(0, "abc");
    room.pass(2_000);
    a.doc.getText("t").delete(0, 2);
    room.pass(2_000);
    expect(a.receipts.at(-1)?.durableFrames).toBe(a.sent.length);
    room.kill();
    const fresh = new DocClient();
    room.connect(fresh);
    room.settle();
    expect(fresh.doc.getText("t").toString()).toBe("c");
  });

  it("[HB1] writes nothing when a client that is up to date reconnects, nor when the room wakes", () => {
    const room = new TestRoom();
    const a = new DocClient();
    room.connect(a);
    for (let i = 0; i < 20; i++) a.doc.getText("t").insert(0, `word ${i} `);
    a.doc.getText("t").delete(5, 30);
    room.pass(2_000);
    room.disconnect(a);
    room.pass(2_000);
    // The database's own count: the room's begins anew with every instance.
    const changes = (): unknown => room.sql.inner.database.prepare("SELECT total_changes() AS n").get()!["n"];
    const before = changes();
    room.hibernate();
    room.connect(a);
    room.pass(5_000);
    expect(changes()).toBe(before);
    expect(room.look((r) => r.counters.framesCovered)).toBe(1);
    expect(a.receipts.at(-1)?.durableFrames).toBe(1);
  });

  it("[CP1] moves the journal into chunks by itself and serves the same vault", () => {
    const room = new TestRoom();
    const a = new DocClient();
    room.connect(a);
    const text = a.doc.getText("t");
    for (let i = 0; i < 400; i++) {
      text.insert(text.length, `line ${i} ${"x".repeat(900)}\n`);
      if (i % 7 === 0) text.delete(0, 300);
      room.pass(1_100);
    }
    expect(room.look((r) => r.store.index.chunks.length)).toBeGreaterThan(0);
    expect(room.look((r) => r.health.kind)).toBe("healthy");
    const fresh = new DocClient();
    room.connect(fresh);
    room.settle();
    expect(fresh.doc.getText("t").toString()).toBe(text.toString());
    expect(fresh.answers).toBe(1);
    room.kill();
    const later = new DocClient();
    room.connect(later, STOCK);
    room.settle();
    expect(later.doc.getText("t").toString()).toBe(text.toString());
    expect(holds(later.doc, Y.encodeStateAsUpdate(a.doc))).toBe(true);
  });

  it("[CP2] takes a delta over the journal row cap through a checkpoint, atomically", () => {
    const room = new TestRoom();
    const a = new DocClient();
    room.connect(a);
    room.pass(0);
    a.doc.transact(() => {
      for (let i = 0; i < 60; i++) a.doc.getMap("notes").set(`n${i}`, new Y.Text("y".repeat(100_000)));
    });
    room.pass(5_000);
    expect(a.receipts.at(-1)?.durableFrames).toBe(a.sent.length);
    expect(room.look((r) => r.stats.oversized)).toBe(1);
    expect(room.look((r) => r.store.journal.length)).toBe(0);
    room.kill();
    const fresh = new DocClient();
    room.connect(fresh);
    room.settle();
    expect(fresh.doc.getMap("notes").size).toBe(60);
  });
});
