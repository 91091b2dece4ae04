import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import type { DocClient } from "../kit/doc-client.ts";
import { TestRoom, connected } from "../kit/test-room.ts";

/** Chunks cannot be written from now on; journal rows can. */
const BREAK_CHUNKS = `CREATE TRIGGER broken BEFORE INSERT ON room_chunk BEGIN SELECT RAISE(ABORT, 'no room for chunks'); END`;

function database(room: TestRoom, sql: string): void {
  room.sql.inner.database.exec(sql);
}

function rows<Row>(room: TestRoom, sql: string): Row[] {
  return room.sql.inner.database.prepare(sql).all() as Row[];
}

/** Enough text for one checkpoint, over several commits. */
function fill(room: TestRoom, client: DocClient, label: string): void {
  const text = client.doc.getText("t");
  for (let written = 0; written <= LIMITS.checkpointJournalBytes; written += 50_000) {
    text.insert(text.length, `${label} ${"x".repeat(50_000)}`);
    room.pass(1_100);
  }
}

describe("checkpoints", () => {
  it("[CP5] three failures open the breaker, edits go on being committed, an admin closes it", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "start ");
    room.pass(2_000);
    database(room, BREAK_CHUNKS);
    fill(room, a, "broken");
    const head = room.look((r) => r.store.head);
    for (let i = 0; i < 6; i++) {
      a.doc.getText("t").insert(0, `${i}`);
      room.pass(1_100);
    }
    expect(room.look((r) => [r.keeper.isOpen, r.keeper.totals.failures, r.keeper.totals.checkpoints])).toEqual([true, LIMITS.checkpointBreakerFailures, 0]);
    expect(room.look((r) => [r.health.kind, r.store.head])).toEqual(["healthy", head + 6]);
    expect(a.durableFrames).toBe(a.sent.length);
    expect(() => room.look((r) => withoutPauses(r.compact()))).toThrow(/no room for chunks/);

    database(room, "DROP TRIGGER broken");
    room.look((r) => withoutPauses(r.compact()));
    expect(room.look((r) => [r.keeper.isOpen, r.keeper.totals.checkpoints])).toEqual([false, 1]);
    room.kill();
    expect(connected(room).doc.getText("t").toString()).toBe(a.doc.getText("t").toString());
  });

  it("[CP5] checkpoints that reset the object open the breaker of the next instance, until one reaches the disk", () => {
    const room = new TestRoom();
    const a = connected(room);
    for (let death = 1; death <= LIMITS.checkpointBreakerFailures; death++) {
      a.doc.getText("t").insert(0, `${death} `);
      room.pass(2_000);
      expect(room.look((r) => [r.keeper.isOpen, r.health.kind])).toEqual([false, "healthy"]);
      room.sql.faults = { failCommit: room.sql.commits + 1 };
      expect(room.turn((r) => void withoutPauses(r.keeper.checkpoint("test")))).toBe(false);
      expect(room.look((r) => [r.health.kind, r.keeper.totals.failuresInARow])).toEqual(["unproven", death]);
      room.connect(a);
      room.pass(2_000);
    }
    expect(room.look((r) => [r.keeper.isOpen, r.health.kind, r.store.index.chunks.length])).toEqual([true, "healthy", 0]);
    fill(room, a, "kept in the journal");
    expect(room.look((r) => r.store.wantsCheckpoint)).toBe(true);
    room.turn((r) => void withoutPauses(r.compact()));
    room.die();
    expect(room.look((r) => [r.keeper.isOpen, r.store.index.chunks.length])).toEqual([false, 1]);
    expect(connected(room).doc.getText("t").toString()).toBe(a.doc.getText("t").toString());
  });

  it("[CP5] a death in a checkpoint counts once, however often the room wakes before it has written again", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "one");
    room.pass(2_000);
    room.sql.faults = { failCommit: room.sql.commits + 1 };
    expect(room.turn((r) => void withoutPauses(r.keeper.checkpoint("test")))).toBe(false);
    for (let wake = 0; wake < 3; wake++) {
      expect(room.look((r) => [r.keeper.totals.failuresInARow, r.health.kind])).toEqual([1, "unproven"]);
      room.timers.runDue();
      room.hibernate();
    }
  });

  it("[CP5] [DG2] a death in a compaction is known to the next instance although commits went on meanwhile", () => {
    const room = new TestRoom();
    const a = connected(room);
    fill(room, a, "filling");
    a.doc.getText("t").delete(0, 200_000);
    room.pass(1_100);
    room.look((r) => withoutPauses(r.keeper.checkpoint("test")));
    expect(room.look((r) => r.store.wantsCompaction)).toBe(true);
    // The first step of it.
    room.turn((r) => r.onAlarm());
    expect(room.look((r) => r.keeper.busyWith)).toBe("maintenance");
    a.doc.getText("other").insert(0, "k");
    room.settle();
    const { head } = room.look((r) => r.store);
    room.turn((r) => r.commitNow());
    expect(room.look((r) => [r.keeper.busyWith, r.store.head])).toEqual(["maintenance", head + 1]);
    room.sql.faults = { failCommit: room.sql.commits + 1 };
    room.timers.advance(50);
    expect(room.deaths).toBe(1);
    expect(room.look((r) => [r.health.kind, r.keeper.totals.failuresInARow])).toEqual(["unproven", 1]);
  });

  it("[CP1] [JN4] sequence numbers go on over checkpoints and restarts, and the journal is empty after one", () => {
    const room = new TestRoom();
    const a = connected(room);
    let last = 0;
    for (let round = 0; round < 3; round++) {
      a.doc.getText("t").insert(0, `round ${round} `);
      a.doc.getText("t").delete(2, 1);
      room.pass(2_000);
      const head = room.look((r) => r.store.head);
      expect(head).toBe(last + 1);
      room.look((r) => withoutPauses(r.compact()));
      expect(room.look((r) => [r.store.head, r.store.index.absorbed, r.store.journal.length])).toEqual([head, head, 0]);
      room.kill();
      expect(room.look((r) => [r.store.head, r.store.journal.length])).toEqual([head, 0]);
      room.connect(a);
      room.pass(2_000);
      last = room.look((r) => r.store.head);
      expect(last).toBe(head);
    }
    expect(connected(room).doc.getText("t").toString()).toBe(a.doc.getText("t").toString());
  });

  it("[CP2] chunks stand in causal order, and only those the index names are stored", () => {
    const room = new TestRoom();
    const a = connected(room);
    for (let round = 0; round < 8; round++) fill(room, a, `round ${round}`);
    const { chunks, stored } = room.look((r) => ({
      chunks: r.store.index.chunks,
      stored: rows<{ count: number }>(room, "SELECT count(*) AS count FROM room_chunk")[0]!.count,
    }));
    expect(chunks.length).toBeGreaterThan(2);
    expect(stored).toBe(chunks.reduce((sum, chunk) => sum + chunk.parts, 0));
    const clocks = chunks.flatMap((chunk) => [...chunk.runs].filter((run) => run.client === a.doc.clientID).map((run) => run.clock));
    expect(clocks).toEqual(clocks.toSorted((x, y) => x - y));
  });

  it("[JN5] a journal row is not believed when only the checksum of its summary differs", () => {
    const room = new TestRoom();
    const a = connected(room);
    a.doc.getText("t").insert(0, "written");
    room.pass(2_000);
    room.disconnect(a);
    const [row] = rows<{ summary: Uint8Array }>(room, "SELECT summary FROM room_journal WHERE slot = 1");
    const summary = row!.summary.slice();
    summary[summary.length - 1]! ^= 1;
    room.sql.inner.database.prepare("UPDATE room_journal SET summary = ? WHERE slot = 1").run(summary);
    room.kill();
    expect(room.look((r) => r.store.damagedRows().length)).toBe(1);
  });
});
