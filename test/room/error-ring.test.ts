import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { debugReport } from "../../src/report/debug.ts";
import { listErrors, recordError } from "../../src/storage/error-ring.ts";
import { migrate } from "../../src/storage/schema.ts";
import { DocClient } from "../kit/doc-client.ts";
import { NodeSql } from "../kit/node-sql.ts";
import { TestRoom } from "../kit/test-room.ts";

/** What debug shows of an error. */
interface ShownError {
  readonly ts: string;
  readonly event: string;
  readonly detail: string;
}

function stored(room: TestRoom): ShownError[] {
  return room.look((r) => debugReport(r, "room", room.sql, room.clock.nowMs())["storedErrors"] as ShownError[]);
}

function details(room: TestRoom): string[] {
  return stored(room).map((error) => error.detail);
}

function fail(room: TestRoom, detail: string): void {
  room.turn((r) => r.stats.error(room.clock.nowMs(), "test.failed", detail));
}

/** A room with tables, because something was committed. */
function usedRoom(): { room: TestRoom; client: DocClient } {
  const room = new TestRoom();
  const client = new DocClient();
  room.connect(client);
  client.doc.getText("t").insert(0, "first");
  room.pass(5_000);
  return { room, client };
}

describe("error ring", () => {
  it("[DB5] is bounded, keeps the newest, newest first, and cuts long details", () => {
    const sql = new NodeSql();
    migrate(sql);
    expect(listErrors(sql)).toEqual([]);
    const all = LIMITS.storedErrorEntries * 2 + 7;
    for (let n = 1; n <= all; n += 1) {
      recordError(sql, n * 1_000, "test.failed", `${n} ${"x".repeat(2_000)}`);
      const kept = listErrors(sql);
      expect(kept.length).toBe(Math.min(n, LIMITS.storedErrorEntries));
      expect(kept.map((error) => error.atMs)).toEqual(Array.from(kept, (_, at) => (n - at) * 1_000));
    }
    const newest = listErrors(sql)[0]!;
    expect([newest.event, newest.detail]).toEqual(["test.failed", `${all} ${"x".repeat(2_000)}`.slice(0, 500)]);
    expect(sql.exec("SELECT count(*) AS n FROM room_errors")).toEqual([{ n: LIMITS.storedErrorEntries }]);
  });

  it("[DB5] stores one error a second at most, in a turn of its own, and debug shows it", () => {
    const { room } = usedRoom();
    const before = room.sql.rowsWritten;
    for (let n = 0; n < 30; n += 1) fail(room, `storm ${n}`);
    expect(room.sql.rowsWritten, "the turn of the error writes nothing").toBe(before);
    room.pass(0);
    expect(stored(room)).toEqual([{ ts: new Date(room.clock.nowMs()).toISOString(), event: "test.failed", detail: "storm 0" }]);
    room.pass(999);
    fail(room, "too soon");
    room.pass(1);
    fail(room, "a second later");
    room.pass(0);
    expect(details(room)).toEqual(["a second later", "storm 0"]);
    expect(room.sql.rowsWritten - before).toBe(2);
    expect(room.look((r) => r.stats.rowsWrittenBy.maintenance)).toBe(2);
    // In memory nothing is left out.
    expect(room.look((r) => r.stats.errors.length)).toBe(32);
  });

  it("[DB5] survives the instance and goes on where it was", () => {
    const { room } = usedRoom();
    for (let n = 0; n < LIMITS.storedErrorEntries + 5; n += 1) {
      fail(room, `error ${n}`);
      room.pass(1_000);
      if (n % 20 === 0) room.kill();
    }
    room.kill();
    const expected = Array.from({ length: LIMITS.storedErrorEntries }, (_, at) => `error ${LIMITS.storedErrorEntries + 4 - at}`);
    expect(details(room)).toEqual(expected);
    expect(room.sql.rowsWritten, "looking wrote").toBe(0);
    expect(room.look((r) => r.stats.errors)).toEqual([]);
  });

  it("keeps what really went wrong: a commit that failed", () => {
    const { room, client } = usedRoom();
    const from = room.sql.statements;
    room.sql.faults = { failStatements: new Set([from + 1]) };
    client.doc.getText("t").insert(0, "kept in the window ");
    room.pass(100);
    room.sql.faults = {};
    room.pass(10_000);
    room.kill();
    expect(stored(room).map((error) => error.event)).toEqual(["commit.failed"]);
    expect(details(room)[0]).toContain("SQLITE_ERROR");
  });

  it("does no harm where its own write fails", () => {
    const { room, client } = usedRoom();
    fail(room, "before");
    room.pass(1_000);
    const from = room.sql.statements;
    fail(room, "not written");
    room.sql.faults = { failStatements: new Set([from + 1, from + 2, from + 3]) };
    room.pass(0);
    expect(room.sql.statements).toBeGreaterThan(from);
    room.sql.faults = {};
    expect(room.deaths).toBe(0);
    expect(room.look((r) => [r.health.kind, r.stats.commits.failed])).toEqual(["healthy", 0]);
    client.doc.getText("t").insert(0, "goes on ");
    room.pass(1_000);
    expect(client.durableFrames).toBe(client.sent.length);
    fail(room, "after");
    room.pass(0);
    expect(details(room)).toEqual(["after", "before"]);
  });

  it("creates no tables in a room that never stored anything", () => {
    const room = new TestRoom();
    fail(room, "nowhere to go");
    room.pass(2_000);
    expect(stored(room)).toEqual([]);
    expect(room.sql.rowsWritten).toBe(0);
    expect(room.look((r) => r.store.isFresh)).toBe(true);
  });

  it("[DB5] keeps what went wrong at the opening", () => {
    const { room, client } = usedRoom();
    room.disconnect(client);
    room.sql.inner.database.exec("UPDATE room_journal SET summary = x'0102030405060708'");
    room.kill();
    expect(room.look((r) => r.stats.errors.length)).toBeGreaterThan(0);
    room.pass(2_000);
    expect(stored(room).map((error) => error.event)).toContain("row.damaged");
  });

  it("[DB5] keeps its order when the clock is set back", () => {
    const sql = new NodeSql();
    migrate(sql);
    for (const [at, atMs] of [5_000, 9_000, 1_000, 2_000, 2_000].entries()) recordError(sql, atMs, "test.failed", String(at));
    expect(listErrors(sql).map((error) => error.detail)).toEqual(["4", "3", "2", "1", "0"]);
  });
});
