/** Much waits behind a gap: a client that pastes before it has sent what it wrote offline, through the room. */
import * as encoding from "lib0/encoding";
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { CLOSE } from "../../src/protocol/close-codes.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

const MIB = 1024 * 1024;

function connected(room: TestRoom, doc?: Y.Doc): DocClient {
  const client = new DocClient(doc);
  room.connect(client);
  room.pass(2_000);
  return client;
}

function send(room: TestRoom, client: DocClient, update: Uint8Array): void {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, 2);
  encoding.writeVarUint8Array(encoder, update);
  room.turn((r) => r.receive(client.peer, encoding.toUint8Array(encoder)));
}

/** Numbered lines: parts joined in another order make another text. */
function lines(byteLength: number): string {
  return Array.from({ length: Math.ceil(byteLength / 8) }, (_, at) => String(at).padStart(7, "0")).join("\n");
}

/** A document that wrote offline and then pasted: the updates in order. */
function offlineThenPaste(clientId: number, byteLength: number): { doc: Y.Doc; offline: Uint8Array; paste: Uint8Array } {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  const text = doc.getText(`t${clientId}`);
  text.insert(0, "written offline ");
  const offline = Y.encodeStateAsUpdate(doc);
  const before = Y.encodeStateVector(doc);
  text.insert(3, lines(byteLength));
  return { doc, offline, paste: Y.encodeStateAsUpdate(doc, before) };
}

function heldRows(room: TestRoom): number {
  return room.look((r) => r.store.held.length);
}

/** Three edits of one client, each following on from the last. */
function threeEdits(clientId: number): [Uint8Array, Uint8Array, Uint8Array] {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (const word of ["one ", "two ", "three"]) doc.getText("t").insert(doc.getText("t").length, word);
  return updates as [Uint8Array, Uint8Array, Uint8Array];
}

describe("what waited behind a gap", () => {
  it("[SY5] [SY7] reaches the client that closes the gap, too", () => {
    const room = new TestRoom();
    const clients = [connected(room), connected(room), connected(room)];
    const [one, two, three] = threeEdits(77);
    const forward = (client: DocClient, update: Uint8Array): void => {
      Y.applyUpdate(client.doc, update, client);
      send(room, client, update);
      room.pass(2_000);
    };
    forward(clients[1]!, three);
    forward(clients[0]!, Y.mergeUpdates([one, two]));
    expect(clients.map((client) => client.doc.getText("t").toString())).toEqual(["one two three", "one two three", "one two three"]);
  });

  it.each([
    ["at once", 0],
    ["after its commit", 2_000],
  ])("[DG3] [SY5] is kept when the frame that brings it comes upon damage, and its gap closes %s", (_when, afterMs) => {
    const room = new TestRoom();
    const writer = connected(room);
    writer.doc.getText("d").insert(0, "hello world");
    writer.doc.getText("d").delete(0, 5);
    room.pass(2_000);
    room.look((r) => withoutPauses(r.compact()));
    const [one, two, three] = threeEdits(77);
    const other = new Y.Doc();
    other.getText("big").insert(0, "z".repeat(LIMITS.bigSendBytes + 1));
    // Serving the big news to somebody reads stored deletions, which are damaged.
    const reader = connected(room);
    room.sql.inner.database.exec(`UPDATE room_deletes SET data = x'ff'`);
    send(room, writer, Y.mergeUpdates([Y.encodeStateAsUpdate(other), three]));
    expect(room.look((r) => r.stats.errors.map((error) => error.event))).toContain("row.damaged");
    expect(room.look((r) => r.ingest.heldBytes)).toBeGreaterThan(0);
    room.pass(afterMs);
    send(room, writer, one);
    send(room, writer, two);
    room.pass(2_000);
    expect(reader.doc.getText("t").toString()).toBe("one two three");
    room.kill();
    room.connect(writer);
    room.pass(2_000);
    expect(connected(room).doc.getText("t").toString()).toBe("one two three");
  });
});

describe("much behind a gap", () => {
  it("[SY9] a paste of 5 MiB waits in parts over a restart, and everybody has it once the gap closes", () => {
    const room = new TestRoom();
    const reader = connected(room);
    const { doc, offline, paste } = offlineThenPaste(77, 5 * MIB);
    send(room, reader, paste);
    room.timers.advance(2_000);
    expect(heldRows(room)).toBe(1);
    expect(room.look((r) => r.ingest.heldBytes)).toBeGreaterThan(5 * MIB);
    expect(reader.peer.closed).toBe(null);

    room.kill();
    const [a, b] = [connected(room), connected(room)];
    expect(b.doc.getText("t77").length).toBe(0);
    send(room, a, offline);
    room.pass(5_000);
    expect(b.doc.getText("t77").toString() === doc.getText("t77").toString()).toBe(true);
    expect(room.look((r) => [r.store.held.length, r.ingest.heldBytes])).toEqual([0, 0]);
    room.kill();
    expect(connected(room).doc.getText("t77").toString() === doc.getText("t77").toString()).toBe(true);
  });

  it("[SY9] a paste whose gap closes within its window is never stored as held", () => {
    const room = new TestRoom();
    const a = connected(room);
    const { doc, offline, paste } = offlineThenPaste(77, 2 * MIB);
    send(room, a, paste);
    send(room, a, offline);
    room.pass(5_000);
    expect(room.look((r) => [r.store.held.length, r.ingest.heldBytes])).toEqual([0, 0]);
    expect(room.sql.inner.database.prepare(`SELECT count(*) AS n FROM room_held`).get()).toEqual({ n: 0 });
    room.kill();
    expect(connected(room).doc.getText("t77").toString() === doc.getText("t77").toString()).toBe(true);
  });

  it("[DG3] a damaged part sets the whole aside; the client's next sync brings everything", () => {
    const room = new TestRoom();
    const reader = connected(room);
    const { doc, paste } = offlineThenPaste(77, 5 * MIB);
    send(room, reader, paste);
    room.timers.advance(2_000);
    room.sql.inner.database.exec(`UPDATE room_held SET data = CAST(substr(data, 2) AS BLOB) WHERE key % 64 = 1`);
    room.kill();
    expect(heldRows(room)).toBe(0);
    expect(room.look((r) => r.store.damagedRows().map((row) => row.origin))).toEqual(["held row 1", "held row 1", "held row 1"]);
    const writer = connected(room, doc);
    expect(writer.receipts.at(-1)?.durableFrames).toBe(writer.sent.length);
    expect(connected(room).doc.getText("t77").toString() === doc.getText("t77").toString()).toBe(true);
  });

  it("[SY9] above the limit the session ends with a code that lets the client come back, and what waits stays", () => {
    const room = new TestRoom();
    const [a, b] = [connected(room), connected(room)];
    const first = offlineThenPaste(77, LIMITS.maxPendingBytes - 2 * MIB);
    const second = offlineThenPaste(78, 3 * MIB);
    send(room, a, first.paste);
    room.timers.advance(2_000);
    send(room, b, second.paste);
    expect(b.peer.closed).toMatchObject({ code: CLOSE.pendingFull.code, reason: CLOSE.pendingFull.reason });
    expect(CLOSE.pendingFull.retry).toBe(true);
    expect(a.peer.closed).toBe(null);
    expect(heldRows(room)).toBe(1);
    expect(room.look((r) => r.stats.refusals)).toEqual({ [CLOSE.pendingFull.reason]: 1 });

    // It comes back: its answer to step 1 has no gap.
    const again = connected(room, second.doc);
    expect(again.peer.closed).toBe(null);
    expect(again.receipts.at(-1)?.durableFrames).toBe(again.sent.length);
    // The room's space is free again once the other gap has closed.
    send(room, a, first.offline);
    room.pass(5_000);
    expect(room.look((r) => r.ingest.heldBytes)).toBe(0);
    const fresh = connected(room);
    for (const { doc, name } of [{ ...first, name: "t77" }, { ...second, name: "t78" }]) {
      expect(fresh.doc.getText(name).toString() === doc.getText(name).toString()).toBe(true);
    }
  });
});
