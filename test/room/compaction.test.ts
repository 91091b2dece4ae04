import { describe, expect, it } from "vitest";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

describe("compaction", () => {
  it("[CP3] ends: after a storm of edits all over an import the alarm comes to rest, and no place is left to split", () => {
    const room = new TestRoom();
    const writer = new DocClient();
    room.connect(writer);
    const note = (i: number) => writer.doc.getText(`note ${i}`);
    writer.doc.transact(() => {
      for (let i = 0; i < 700; i++) note(i).insert(0, `note ${i} `.repeat(450));
    });
    room.pass(2_000);
    expect(room.look((r) => r.store.index.chunks.length)).toBeGreaterThan(2);
    const editor = new DocClient();
    room.connect(editor);
    room.settle();
    for (let i = 0; i < 14_000; i++) {
      const text = editor.doc.getText(`note ${(i * 7) % 700}`);
      if (i % 3 === 0) text.delete((i * 13) % 3_000, 5);
      else text.insert((i * 31) % 3_000, "word ");
      if (i % 200 === 0) room.pass(1_100);
    }
    room.pass(2_000);
    let alarms = 0;
    while (room.alarm.atMs !== null && alarms < 100) {
      alarms += 1;
      room.pass(1_100);
    }
    expect(alarms).toBeLessThan(100);
    expect(room.look((r) => r.keeper.totals.compactions)).toBeGreaterThan(2);
    expect(room.look((r) => r.store.wantsCompaction)).toBe(false);
    const fresh = new DocClient();
    room.connect(fresh);
    room.pass(100);
    for (let i = 0; i < 700; i++) expect(fresh.doc.getText(`note ${i}`).toString()).toBe(editor.doc.getText(`note ${i}`).toString());
  });
});
