import { expect, it } from "vitest";
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
