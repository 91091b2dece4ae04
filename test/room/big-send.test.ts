import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import type { SendBudget } from "../../src/room/send-budget.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { DocClient } from "../kit/doc-client.ts";
import { Joiner } from "../kit/joiner.ts";
import { PresentClient } from "../kit/present-client.ts";
import { TestRoom } from "../kit/test-room.ts";

const MIB = 1024 * 1024;

/** A room whose answer to an empty client is a little over `chars` bytes, and its writer. */
function bigRoom(chars: number, sendBudget?: SendBudget): { room: TestRoom; writer: DocClient } {
  const room = new TestRoom();
  if (sendBudget !== undefined) Object.assign(room, { sendBudget });
  const writer = new DocClient();
  room.connect(writer);
  room.pass(2_000);
  const PIECE = 200_000;
  for (let at = 0; at < chars; at += PIECE) {
    writer.doc.getText(`note ${at}`).insert(0, "x".repeat(Math.min(PIECE, chars - at)));
    room.pass(1_100);
  }
  room.pass(5_000);
  return { room, writer };
}

function budgetOf(room: TestRoom): { inFlightBytes: number; waiting: number } {
  return room.look((r) => r.sendBudget.state);
}

/** Another room of the isolate takes all of the budget but `leftBytes`. Returns how it gives it back. */
function occupy(room: TestRoom, leftBytes: number): () => void {
  const nowMs = room.clock.nowMs();
  return room.sendBudget.enter(LIMITS.sendBudgetBytes - leftBytes, nowMs).tryStart(nowMs)!;
}

function expectSame(client: DocClient, writer: DocClient): void {
  expect(client.doc.store.pendingStructs).toBe(null);
  expect(Y.equalSnapshots(Y.snapshot(client.doc), Y.snapshot(writer.doc))).toBe(true);
}

function joiners(room: TestRoom, count: number, answersQueries: boolean): Joiner[] {
  return Array.from({ length: count }, () => {
    const joiner = new Joiner(room, { answersQueries });
    room.connect(joiner);
    return joiner;
  });
}

describe("big answers", () => {
  it("small answers ask nobody: no turn, no query, whatever is on its way", () => {
    const { room, writer } = bigRoom(900_000);
    const release = occupy(room, 0);
    const [joiner] = joiners(room, 1, false);
    room.settle();
    expect(joiner!.answers).toBe(1);
    expect(joiner!.frames.some((frame) => frame.kind === "query")).toBe(false);
    expectSame(joiner!, writer);
    release();
  });

  it("a client that answers the query gives its turn back at once", () => {
    const { room, writer } = bigRoom(1_500_000);
    const [joiner] = joiners(room, 1, true);
    room.turn((r) => r.receive(joiner!.peer, joiner!.outbox.shift()!));
    expect(budgetOf(room).inFlightBytes).toBeGreaterThan(1_500_000);
    joiner!.read();
    expect(joiner!.frames.map((frame) => frame.kind).filter((kind) => kind !== "text" && kind !== "presence")).toEqual(["step 1", "step 2", "query"]);
    room.settle();
    expect(budgetOf(room)).toEqual({ inFlightBytes: 0, waiting: 0 });
    expectSame(joiner!, writer);
    const timers = room.timers.pending;
    room.pass(LIMITS.sendCreditWaitMs);
    expect(timers, "nothing is waited for any more").toBe(0);
  });

  it("[SV4] a client that never answers has everything at once and gives its turn back after the wait", () => {
    const { room, writer } = bigRoom(1_500_000);
    const [joiner] = joiners(room, 1, false);
    room.settle();
    expect(joiner!.answers).toBe(1);
    expectSame(joiner!, writer);
    room.pass(LIMITS.sendCreditWaitMs - 1);
    expect(budgetOf(room).inFlightBytes).toBeGreaterThan(1_500_000);
    room.pass(1);
    expect(budgetOf(room)).toEqual({ inFlightBytes: 0, waiting: 0 });
    expect(joiner!.peer.closed).toBe(null);
    writer.doc.getText("note 0").insert(0, "later");
    room.pass(100);
    expectSame(joiner!, writer);
  });

  it("two rooms of an isolate take turns, in the order of asking", () => {
    const first = bigRoom(1_500_000);
    const second = bigRoom(1_500_000, first.room.sendBudget);
    second.room.clock.setMs(Math.max(first.room.clock.nowMs(), second.room.clock.nowMs()));
    first.room.clock.setMs(second.room.clock.nowMs());
    occupy(first.room, 2 * MIB);
    const [a] = joiners(first.room, 1, false);
    first.room.settle();
    const [b] = joiners(second.room, 1, false);
    second.room.settle();
    expect([a!.answers, b!.answers]).toEqual([1, 0]);
    expect(budgetOf(second.room).waiting).toBe(1);
    // The second room asks again and again; only the first one's credit lets it go on.
    second.room.pass(1_000);
    first.room.pass(1_000);
    expect(b!.answers).toBe(0);
    a!.sendPresence();
    first.room.settle();
    second.room.pass(LIMITS.sendRetryMs);
    expect(b!.answers).toBe(1);
    expect(b!.answerFrames).toHaveLength(1);
    expectSame(b!, second.writer);
    expect(budgetOf(second.room).waiting).toBe(0);
  });

  it("a room that dies while it waits, or while its client reads, stops nobody for long", () => {
    const first = bigRoom(1_500_000);
    const second = bigRoom(1_500_000, first.room.sendBudget);
    second.room.clock.setMs(Math.max(first.room.clock.nowMs(), second.room.clock.nowMs()));
    first.room.clock.setMs(second.room.clock.nowMs());
    joiners(first.room, 1, false);
    occupy(first.room, MIB);
    first.room.settle();
    expect(budgetOf(first.room).waiting).toBe(1);
    first.room.kill();
    const [b] = joiners(second.room, 1, false);
    second.room.settle();
    expect(b!.answers).toBe(0);
    second.room.pass(2 * LIMITS.sendCreditWaitMs - LIMITS.sendRetryMs);
    expect(b!.answers).toBe(0);
    second.room.pass(2 * LIMITS.sendRetryMs);
    expect(b!.answers).toBe(1);
    expectSame(b!, second.writer);
  });

  it("joiners of a large room are served one after another, each completely, in the order they asked", () => {
    const { room, writer } = bigRoom(1_500_000);
    occupy(room, 2 * MIB);
    const all = [...joiners(room, 3, true), ...joiners(room, 2, false)];
    // One event of each, so that all have asked before anybody answers.
    for (const joiner of all) room.turn((r) => r.receive(joiner.peer, joiner.outbox.shift()!));
    expect(budgetOf(room).waiting).toBe(4);
    room.settle();
    expect(all.map((joiner) => joiner.answers)).toEqual([1, 0, 0, 0, 0]);
    const history: string[] = [];
    for (let waitedMs = 0; waitedMs < 3_000; waitedMs += LIMITS.sendRetryMs) {
      room.pass(LIMITS.sendRetryMs);
      expect(budgetOf(room).inFlightBytes).toBeLessThanOrEqual(LIMITS.sendBudgetBytes);
      const answers = all.map((joiner) => joiner.answers).join("");
      if (history.at(-1) !== answers) history.push(answers);
    }
    expect(history).toEqual(["11000", "11100", "11110", "11111"]);
    for (const joiner of all) {
      expectSame(joiner, writer);
      expect(joiner.answerFrames).toHaveLength(1);
    }
  });

  it("a client that leaves while it waits, or while it reads, gives its turn back", () => {
    const { room, writer } = bigRoom(1_500_000);
    occupy(room, 2 * MIB);
    const [reading, waiting, last] = joiners(room, 3, false);
    room.settle();
    expect([reading!.answers, waiting!.answers, last!.answers]).toEqual([1, 0, 0]);
    expect(budgetOf(room).waiting).toBe(2);
    room.disconnect(waiting!);
    expect(budgetOf(room).waiting).toBe(1);
    room.pass(100);
    expect(last!.answers).toBe(0);
    room.disconnect(reading!);
    room.pass(LIMITS.sendRetryMs);
    expect([waiting!.answers, last!.answers]).toEqual([0, 1]);
    expectSame(last!, writer);
  });

  it("what happens during the wait is in the answer: edits, a checkpoint, a rewrite", () => {
    const { room, writer } = bigRoom(1_500_000);
    const release = occupy(room, MIB);
    const [joiner] = joiners(room, 1, true);
    room.settle();
    writer.doc.getText("note 0").delete(0, 150_000);
    writer.doc.getText("new").insert(0, "made while it waited");
    room.pass(1_500);
    room.look((r) => withoutPauses(r.compact()));
    room.pass(1_500);
    writer.doc.getText("newer").insert(0, "not stored yet");
    room.settle();
    expect(joiner!.answerFrames).toEqual([]);
    release();
    room.pass(LIMITS.sendRetryMs);
    expect(joiner!.answerFrames.map((frame) => frame.kind)).toEqual(["step 2"]);
    expectSame(joiner!, writer);
    // What was planned before the rewrite names chunks that are gone: reading those would look like damage.
    expect(room.look((r) => [r.stats.parked, r.stats.errors])).toEqual([0, []]);
  });

  it("a client that asks anew while it waits is answered once, and holds one place", () => {
    const { room, writer } = bigRoom(1_500_000);
    const release = occupy(room, MIB);
    const [joiner] = joiners(room, 1, true);
    room.settle();
    const again = new Joiner(room, { answersQueries: true });
    again.open();
    for (let time = 0; time < 5; time += 1) room.turn((r) => r.receive(joiner!.peer, again.outbox[0]!));
    expect(budgetOf(room).waiting).toBe(1);
    release();
    room.pass(LIMITS.sendRetryMs);
    expect(joiner!.answers).toBe(1);
    expect(budgetOf(room)).toEqual({ inFlightBytes: 0, waiting: 0 });
    expectSame(joiner!, writer);
  });

  it("[SV5] damage found while an answer waits: its client waits for the missing part, and is not served around it", () => {
    const { room, writer } = bigRoom(3_000_000);
    const half = new DocClient();
    Y.applyUpdate(half.doc, Y.encodeStateAsUpdate(writer.doc), half);
    writer.doc.getText("note 0").insert(5, "news");
    room.pass(2_000);
    room.look((r) => withoutPauses(r.compact()));
    room.disconnect(writer);
    room.pass(2_000);
    const release = occupy(room, 0);
    const [joiner] = joiners(room, 1, true);
    room.settle();
    const flip = "CAST(substr(data, 1, length(data) / 2) || x'ff' || substr(data, length(data) / 2 + 2) AS BLOB)";
    room.sql.inner.database.exec(`UPDATE room_chunk SET data = ${flip} WHERE row = (SELECT max(row) FROM room_chunk)`);
    room.connect(half);
    room.settle();
    expect(room.look((r) => r.store.lost.length)).toBe(1);
    release();
    room.pass(100);
    expect(joiner!.answers).toBe(0);
    expect(joiner!.frames.some((frame) => frame.kind === "denial" || frame.kind === "text")).toBe(true);
    expect(budgetOf(room)).toEqual({ inFlightBytes: 0, waiting: 0 });
    // Nobody brings it in time.
    room.pass(10_000);
    expect(joiner!.peer.closed?.code).toBe(4510);
    room.connect(writer);
    room.pass(100);
    const [again] = joiners(room, 1, true);
    room.pass(100);
    expect(again!.answers).toBe(1);
    expectSame(again!, writer);
  });

  it("the presence a stock client announces as it connects is no answer", () => {
    const { room } = bigRoom(1_500_000);
    const stock = new PresentClient();
    room.connect(stock);
    // Its step 1 and its presence are both on their way before it has read anything.
    for (const frame of stock.outbox.splice(0)) room.turn((r) => r.receive(stock.peer, frame));
    expect(budgetOf(room).inFlightBytes).toBeGreaterThan(1_500_000);
    room.settle();
    expect(budgetOf(room).inFlightBytes).toBe(0);
  });
});
