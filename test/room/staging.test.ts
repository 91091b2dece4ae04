import { expect, it } from "vitest";
import { withoutPauses } from "../../src/update/pacer.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

it("[JN7][SY7] a client that asks while a large delta is being staged gets all of it", () => {
  const room = new TestRoom();
  const writer = new DocClient();
  room.connect(writer);
  room.pass(2_000);
  const notes = writer.doc.getMap("notes");
  writer.doc.transact(() => {
    for (let n = 0; n < 60; n++) notes.set(`note ${n}`, "y".repeat(100_000));
  });
  room.settle();

  // The commit is due now and stages its first part; the joiner's turn comes before the second.
  const joiner = new DocClient();
  joiner.open();
  room.clients.set(joiner.peer, joiner);
  let chunksBefore = -1;
  room.timers.after(0, () => {
    chunksBefore = room.room.store.index.chunks.length;
    room.room.connect(joiner.peer, { door: "sync", text: false });
    room.room.receive(joiner.peer, joiner.outbox.shift()!);
  });
  room.timers.runDue();
  expect(chunksBefore).toBe(0);
  room.pass(5_000);
  expect(room.look((r) => r.stats.oversized)).toBe(1);
  expect(joiner.answers).toBe(1);
  expect(joiner.doc.getMap("notes").size).toBe(60);

  writer.doc.getMap("notes").set("later", "z");
  room.pass(2_000);
  expect(joiner.doc.getMap("notes").get("later")).toBe("z");
});

it("[DG3][JN7] damage found while a large delta is being staged: the staging starts over, and nothing is lost", () => {
  const room = new TestRoom();
  const writer = new DocClient();
  room.connect(writer);
  room.pass(2_000);
  const text = writer.doc.getText("t");
  text.insert(0, "abc ".repeat(400));
  for (let at = 0; at < 100; at++) text.delete(at * 3, 1);
  room.pass(2_000);
  room.look((r) => withoutPauses(r.compact()));
  const other = new DocClient();
  room.connect(other);
  room.pass(2_000);
  room.disconnect(other);
  // Offline, scattered deletions: more than are taken without a look at what is stored.
  for (let at = 0; at < 100; at++) other.doc.getText("t").delete(at * 5, 1);
  room.sql.inner.database.exec("UPDATE room_deletes SET data = x'00'");

  text.insert(0, "y".repeat(6_000_000));
  let wasStaging = false;
  let isSetAside = false;
  room.settle();
  other.open();
  room.clients.set(other.peer, other);
  room.timers.after(0, () => {
    wasStaging = room.room.keeper.busyWith === "checkpoint";
    room.room.connect(other.peer, { door: "vault", text: true });
    other.read();
    for (const frame of other.outbox.splice(0)) room.room.receive(other.peer, frame);
    isSetAside = room.room.store.damagedRows().length > 0;
  });
  room.timers.runDue();
  room.pass(5_000);
  expect([wasStaging, isSetAside]).toEqual([true, true]);
  expect(room.look((r) => [r.store.lostUnknown, r.health.kind, r.keeper.busyWith])).toEqual([false, "healthy", null]);
  expect(writer.durableFrames).toBe(writer.sent.length);
  room.pass(5_000);
  room.kill();
  const reader = new DocClient();
  room.connect(reader);
  room.pass(10_000);
  expect(reader.doc.getText("t").length).toBe(text.length);
  expect(reader.doc.getText("t").toString() === text.toString()).toBe(true);
});
