/** Delete ranges out of order: no stock client writes them, and a stock document that cannot place them yet keeps them wrong. */
import { expect, test } from "vitest";
import * as Y from "yjs";
import { syncFrame, varints } from "../kit/bad-frames.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

/** Deletions of one client nobody knows: ranges as clock and length. */
function deletesOf(...ranges: readonly number[]): Uint8Array {
  return varints(0, 1, 7, ranges.length / 2, ...ranges);
}

test.each([
  { ranges: [100, 1, 5, 1], kept: [[5, 1], [100, 1]] },
  { ranges: [5, 3, 6, 1], kept: [[5, 3]] },
  { ranges: [22, 3, Number.MAX_SAFE_INTEGER - 1, 1, 9, 1], kept: [[9, 1], [22, 3], [Number.MAX_SAFE_INTEGER - 1, 1]] },
])("[CK5] ranges $ranges reach others in order, and hurt nobody", ({ ranges, kept }) => {
  const room = new TestRoom();
  const [a, b] = [new DocClient(), new DocClient()];
  for (const client of [a, b]) room.connect(client);
  room.pass(2_000);
  room.turn((r) => r.receive(a.peer, syncFrame(2, deletesOf(...ranges))));
  room.pass(2_000);
  const pending = Y.decodeUpdateV2(b.doc.store.pendingDs!).ds.clients.get(7)!;
  expect(pending.map(({ clock, len }) => [clock, len])).toEqual(kept);
  a.doc.getText("t").insert(0, "still");
  room.pass(2_000);
  expect(b.doc.getText("t").toString()).toBe("still");
});
