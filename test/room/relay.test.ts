import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { describe, expect, it } from "vitest";
import { Awareness, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom, connected } from "../kit/test-room.ts";

const STOCK = { door: "sync", text: false } as const;

function updateFrame(update: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, 2);
  encoding.writeVarUint8Array(encoder, update);
  return encoding.toUint8Array(encoder);
}

function awarenessFrame(payload: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 1);
  encoding.writeVarUint8Array(encoder, payload);
  return encoding.toUint8Array(encoder);
}

function outerTypes(frames: readonly Uint8Array[]): number[] {
  return frames.map((frame) => decoding.readVarUint(decoding.createDecoder(frame)));
}

/** Updates of a document nobody's client stands for. */
function strangersEdits(edit: (text: Y.Text) => void): Uint8Array[] {
  const doc = new Y.Doc();
  doc.clientID = 77;
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  edit(doc.getText("t"));
  return updates;
}

describe("relays and commits", () => {
  it("[JN1] [JN2] a commit that is due happens although a relay waits in every turn", () => {
    const room = new TestRoom();
    const [a] = [connected(room), connected(room)];
    const edit = (): void => void a.doc.getText("t").insert(0, "word ");
    edit();
    room.settle();
    room.timers.runDue();
    const before = room.sql.commits;
    edit();
    room.settle();
    room.timers.advance(LIMITS.commitWindowMs - 1);
    // The next commit is due in a millisecond. A relay waits by then, and something arrives between any two turns.
    edit();
    edit();
    room.settle();
    expect(room.look((r) => r.relays.isWaiting)).toBe(true);
    let turns = 0;
    let committedAfter = Infinity;
    const flood = (): void => {
      if (room.sql.commits > before) committedAfter = Math.min(committedAfter, turns);
      turns += 1;
      edit();
      room.room.receive(a.peer, a.outbox.shift()!);
      if (turns < 50) room.timers.after(0, flood);
    };
    room.timers.after(1, flood);
    room.timers.advance(1);
    expect(turns).toBe(50);
    expect(committedAfter).toBeLessThan(5);
  });
});

describe("relay", () => {
  it("[SY2] a session that has not asked yet gets no relay", () => {
    const room = new TestRoom();
    const a = connected(room);
    const silent = new DocClient();
    room.connect(silent, STOCK);
    silent.outbox.length = 0;
    silent.peer.take();
    a.doc.getText("t").insert(0, "too early");
    room.pass(2_000);
    expect(silent.relayed).toBe(0);
    expect(silent.doc.getText("t").length).toBe(0);
  });

  it("[SY4] deletions made offline reach the others, with and without new text beside them", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    a.doc.getText("t").insert(0, "one two three");
    room.pass(2_000);
    for (const insert of ["", "four "]) {
      room.disconnect(a);
      a.doc.getText("t").delete(0, 4);
      a.doc.getText("t").insert(0, insert);
      room.connect(a);
      room.settle();
      expect(b.doc.getText("t").toString()).toBe(a.doc.getText("t").toString());
      room.pass(2_000);
    }
    room.kill();
    expect(connected(room).doc.getText("t").toString()).toBe("four three");
  });

  it("[SY4] deletions by a client that deleted before the last checkpoint are news", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    a.doc.getText("t").insert(0, "abcdef");
    a.doc.getText("t").delete(0, 1);
    room.pass(2_000);
    room.look((r) => withoutPauses(r.compact()));
    expect(room.look((r) => r.store.journal.length)).toBe(0);
    a.doc.getText("t").delete(0, 1);
    room.pass(2_000);
    expect(b.doc.getText("t").toString()).toBe("cdef");
    room.kill();
    expect(connected(room).doc.getText("t").toString()).toBe("cdef");
  });

  it("[SY2] an edit after a pause goes out at once; edits close together share a frame, and nobody gets back what is theirs", () => {
    const room = new TestRoom();
    const [a, b, c] = [connected(room), connected(room), connected(room)];
    for (const client of [a, b, c]) client.peer.take();
    a.doc.getText("t").insert(0, "1");
    room.settle();
    expect(c.doc.getText("t").toString()).toBe("1");
    expect(c.relayed).toBe(1);
    for (const letter of "23") a.doc.getText("t").insert(a.doc.getText("t").length, letter);
    b.doc.getMap("m").set("by", "b");
    a.doc.getText("t").delete(0, 1);
    room.settle();
    expect(c.relayed).toBe(1);
    room.timers.advance(LIMITS.relayWindowMs);
    room.settle();
    expect(c.relayed).toBe(2);
    expect(c.doc.getText("t").toString()).toBe("23");
    expect(c.doc.getMap("m").get("by")).toBe("b");
    expect([a.relayed, b.relayed]).toEqual([1, 2]);
    expect(a.doc.getMap("m").get("by")).toBe("b");
    expect(b.doc.getText("t").toString()).toBe("23");
    expect(room.look((r) => [r.relays.deliveries, r.relays.frames])).toEqual([2 + 3 + 4 + 1, 2 + 3]);
  });

  it("[SY2] what waits for its window reaches a client that is answered meanwhile, and is sent before the commit", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    a.doc.getText("t").insert(0, "one");
    room.settle();
    a.doc.getText("t").insert(3, " two");
    const joiner = new DocClient();
    room.connect(joiner);
    room.settle();
    expect(joiner.doc.getText("t").toString()).toBe("one two");
    expect(b.doc.getText("t").toString()).toBe("one two");
    // The commit falls due while an edit waits: it goes first, in a turn of its own.
    room.timers.advance(LIMITS.commitWindowMs - 4);
    a.doc.getText("t").insert(7, " three");
    room.settle();
    a.doc.getText("t").insert(13, " four");
    room.settle();
    const rows = room.look((r) => r.store.head);
    room.timers.advance(4);
    expect(room.look((r) => r.relays.isWaiting)).toBe(false);
    room.settle();
    expect(b.doc.getText("t").toString()).toBe("one two three four");
    room.pass(2_000);
    expect(room.look((r) => r.store.head)).toBeGreaterThan(rows);
  });

  it("[SY5] what lies behind a gap is stored, asked for, neither relayed nor served, and placed when the gap closes", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    const [first, second, third] = strangersEdits((text) => {
      text.insert(0, "one ");
      text.insert(4, "two ");
      text.insert(8, "three");
    });
    b.peer.take();
    room.turn((r) => r.receive(a.peer, updateFrame(third!)));
    room.turn((r) => r.receive(a.peer, updateFrame(second!)));
    expect(b.peer.takeBinary()).toEqual([]);
    expect(outerTypes(a.peer.takeBinary())).toContain(0);
    room.timers.advance(2_000);
    expect(room.look((r) => r.store.held.length)).toBe(2);
    expect(room.look((r) => r.store.clocks.vector.get(77))).toBeUndefined();
    const joiner = connected(room);
    expect(joiner.doc.store.pendingStructs).toBeNull();
    expect(joiner.doc.getText("t").length).toBe(0);

    room.kill();
    const [again, reader] = [connected(room), connected(room)];
    room.turn((r) => r.receive(again.peer, updateFrame(first!)));
    room.pass(2_000);
    expect(reader.doc.getText("t").toString()).toBe("one two three");
    expect(room.look((r) => r.store.held.length)).toBe(0);
    room.kill();
    expect(connected(room).doc.getText("t").toString()).toBe("one two three");
    expect(room.look((r) => r.store.held.length)).toBe(0);
  });

  it("[AW4] a client's own presence comes back to it only after a long silence", () => {
    const room = new TestRoom();
    const a = new DocClient();
    room.connect(a, STOCK);
    room.settle();
    const awareness = new Awareness(new Y.Doc());
    const renew = (): number[] => {
      awareness.setLocalState({ name: "a" });
      a.peer.take();
      const frame = awarenessFrame(encodeAwarenessUpdate(awareness, [awareness.clientID]));
      room.turn((r) => r.receive(a.peer, frame));
      return outerTypes(a.peer.takeBinary());
    };
    expect(renew()).toEqual([]);
    room.timers.advance(LIMITS.awarenessEchoSilenceMs);
    expect(renew()).toEqual([1]);
    expect(renew()).toEqual([]);
    awareness.destroy();
  });
});
