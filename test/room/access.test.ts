import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import type { ConnectOptions } from "../../src/room/room-host.ts";
import { debugReport } from "../../src/report/debug.ts";
import { updateFrame } from "../../src/protocol/frames.ts";
import { readMeta } from "../../src/storage/room-meta.ts";
import { DocClient } from "../kit/doc-client.ts";
import { NodeSql } from "../kit/node-sql.ts";
import { TestRoom } from "../kit/test-room.ts";

const vault = (by: string, accessEpoch: number, mode: "rw" | "ro" = "rw"): ConnectOptions => ({ door: "vault", text: true, access: { by, mode, accessEpoch } });
const sync = (by: string, accessEpoch: number, mode: "rw" | "ro" = "rw"): ConnectOptions => ({ door: "sync", text: false, access: { by, mode, accessEpoch } });
const READER = vault("reader", 0, "ro");
const NOTICE = '__YPS:{"type":"yaos/read-only","reason":"read-only credential"}';

const text = (client: DocClient): string => client.doc.getText("t").toString();
const type = (client: DocClient, words: string): void => client.doc.getText("t").insert(client.doc.getText("t").length, words);

function join(room: TestRoom, options?: ConnectOptions, doc?: Y.Doc): DocClient {
  const client = new DocClient(doc);
  room.connect(client, options);
  room.settle();
  return client;
}

/** A client that has left, as somebody who has the vault on disk. */
function away(room: TestRoom, client: DocClient): void {
  room.disconnect(client);
  room.pass(2_000);
}

describe("read-only sessions", () => {
  it("[RO1] [RO2] receive everything and change nothing", () => {
    const room = new TestRoom();
    const [owner, reader] = [join(room), join(room, READER)];
    type(owner, "hello");
    room.pass(2_000);
    expect(text(reader)).toBe("hello");
    type(reader, " from the reader");
    reader.doc.getText("t").delete(0, 2);
    room.pass(2_000);
    expect(text(owner)).toBe("hello");
    expect(room.look((r) => r.store.head)).toBe(1);
    type(owner, "!");
    room.pass(2_000);
    room.kill();
    expect(text(join(room))).toBe("hello!");
  });

  it("[RO2] an edit whose structs wait behind a gap is not held either, and an answer that repeats what the room has is no edit", () => {
    const room = new TestRoom();
    const owner = join(room);
    type(owner, "hello");
    owner.doc.getText("t").delete(1, 1);
    room.pass(2_000);
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(owner.doc));
    const reader = join(room, READER, doc);
    expect(room.look((r) => [r.counters.framesReadOnly, r.counters.framesCovered])).toEqual([0, 2]);
    const updates: Uint8Array[] = [];
    const other = new Y.Doc();
    other.on("update", (update: Uint8Array) => updates.push(update));
    other.getArray("a").push([1]);
    other.getArray("a").push([2]);
    reader.outbox.push(updateFrame(updates[1]!));
    room.pass(2_000);
    expect(room.look((r) => [r.counters.framesReadOnly, r.store.held.length, r.ingest.heldBytes])).toEqual([1, 0, 0]);
    expect(reader.peer.closed).toBe(null);
  });

  it("[RO3] are told so by text, at most once a second", () => {
    const room = new TestRoom();
    const reader = join(room, READER);
    for (const words of ["a", "b", "c"]) type(reader, words);
    room.settle();
    expect(reader.texts.filter((frame) => frame === NOTICE)).toHaveLength(1);
    room.pass(LIMITS.readOnlyNoticeMs);
    type(reader, "d");
    room.settle();
    expect(reader.texts.filter((frame) => frame === NOTICE)).toHaveLength(2);
    expect(room.look((r) => r.counters.framesReadOnly)).toBe(4);
  });

  it("[RO3] are told so by the auth frame where no text may go", () => {
    const room = new TestRoom();
    const reader = join(room, sync("reader", 0, "ro"));
    type(reader, "a");
    room.settle();
    expect(reader.texts).toEqual([]);
    expect(reader.denials).toEqual(["read-only credential"]);
    expect(reader.peer.closed).toBe(null);
  });

  it("[RO4] refused frames count as dealt with, covered ones before them only once durable", () => {
    const room = new TestRoom();
    const [owner, reader] = [join(room), join(room, READER)];
    room.pass(2_000);
    type(reader, "mine");
    room.settle();
    expect(reader.durableFrames).toBe(reader.sent.length);
    type(owner, "first");
    room.pass(2_000);
    type(owner, "second");
    room.settle();
    type(owner, "third");
    room.settle();
    // What it repeats is relayed, not committed: neither this frame nor the refused one after it may be confirmed.
    const before = reader.durableFrames;
    reader.doc.emit("update", [Y.encodeStateAsUpdate(owner.doc), null, reader.doc, null as unknown as Y.Transaction]);
    type(reader, "mine again");
    room.settle();
    expect(reader.durableFrames).toBe(before);
    room.pass(2_000);
    expect(reader.durableFrames).toBe(reader.sent.length);
  });

  it("[RO4] outcomes still add up, and the mode outlives a hibernation", () => {
    const room = new TestRoom();
    const [owner, reader] = [join(room), join(room, READER)];
    type(owner, "x");
    room.pass(2_000);
    room.hibernate();
    type(reader, "y");
    room.pass(2_000);
    expect(text(owner)).toBe("x");
    const { framesReceived, ...outcomes } = room.look((r) => r.counters);
    expect(outcomes.framesReadOnly).toBe(1);
    expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(framesReceived);
  });

  it("[RO5] cannot bring back what was lost; a client that may write can", () => {
    const database = new NodeSql();
    const room = new TestRoom({}, database);
    const owner = join(room);
    type(owner, "precious");
    room.pass(2_000);
    away(room, owner);
    database.exec(`UPDATE room_journal SET data = zeroblob(length(data))`);
    room.kill();
    const doc = new Y.Doc();
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(owner.doc));
    // Who has nothing needs what is there, which is when the damage shows.
    join(room);
    join(room, READER, doc);
    room.pass(2_000);
    expect(room.look((r) => r.store.lost.length)).toBeGreaterThan(0);
    room.connect(owner);
    room.pass(2_000);
    expect(room.look((r) => r.store.lost)).toEqual([]);
  });
});

describe("revoked access", () => {
  it("[RV1] ends the sessions below the epoch and says how many; others stay", () => {
    const room = new TestRoom();
    const [owner, a1, a2, b] = [join(room), join(room, vault("dev-a", 3)), join(room, sync("dev-a", 3)), join(room, vault("dev-b", 3))];
    expect(room.look((r) => r.revoke("dev-a", 4))).toBe(2);
    expect([a1, a2].map((client) => client.peer.closed)).toEqual([
      { code: 4403, reason: "access revoked", by: "server" },
      { code: 4403, reason: "access revoked", by: "server" },
    ]);
    expect([owner, b].map((client) => client.peer.closed)).toEqual([null, null]);
    expect(a1.texts.some((frame) => frame.includes('"error"'))).toBe(false);
    expect(room.look((r) => r.revoke("dev-a", 4))).toBe(0);
    expect(room.look((r) => [...r.sessions].length)).toBe(2);
  });

  it("[RV1] a rotation ends the owner's sessions of before, and lets in those of after", () => {
    const room = new TestRoom();
    const [old, device] = [join(room), join(room, vault("dev", 0))];
    expect(room.look((r) => r.revoke("owner", 1))).toBe(1);
    expect(old.peer.closed?.code).toBe(4403);
    expect(device.peer.closed).toBe(null);
    expect(join(room, vault("owner", 1)).peer.closed).toBe(null);
  });

  it("[RV2] is remembered over restarts, in a room that has stored nothing else too", () => {
    const room = new TestRoom();
    room.look((r) => r.revoke("dev", 5));
    room.kill();
    const late = join(room, vault("dev", 4));
    expect(late.peer.closed).toEqual({ code: 1008, reason: "unauthorized", by: "server" });
    expect(late.texts).toEqual(['{"type":"error","code":"unauthorized"}', '__YPS:{"type":"error","code":"unauthorized"}']);
    const stock = join(room, sync("dev", 4));
    expect([stock.peer.closed?.code, stock.texts]).toEqual([4403, []]);
    expect(join(room, vault("dev", 5)).peer.closed).toBe(null);
    // Never lowered.
    expect(room.look((r) => r.revoke("dev", 2))).toBe(0);
    expect(join(room, vault("dev", 4)).peer.closed?.code).toBe(1008);
    // The room is a room, not a damaged one.
    const owner = join(room);
    type(owner, "x");
    room.pass(2_000);
    room.kill();
    expect(text(join(room))).toBe("x");
  });

  it("[RV2] a socket that does not answer its close is not heard, after a hibernation neither", () => {
    const room = new TestRoom();
    const [owner, device] = [join(room), join(room, vault("dev", 0))];
    room.pass(2_000);
    room.look((r) => r.revoke("dev", 1));
    // The client never answered: the platform still lists the socket.
    device.peer.closed = null;
    room.hibernate();
    type(device, "too late");
    room.pass(2_000);
    expect(text(owner)).toBe("");
    expect(room.look((r) => [r.counters.framesIgnored, r.store.head])).toEqual([1, 0]);
  });

  it("[RV3] what was seen of a revoked device is kept", () => {
    const room = new TestRoom();
    const [owner, device] = [join(room), join(room, vault("dev", 0))];
    room.pass(2_000);
    type(device, "seen");
    room.settle();
    expect(text(owner)).toBe("seen");
    expect(room.look((r) => r.window.isEmpty)).toBe(false);
    room.look((r) => r.revoke("dev", 1));
    room.pass(2_000);
    room.kill();
    expect(text(join(room))).toBe("seen");
  });

  it("[RV3] its presence leaves with it", () => {
    const room = new TestRoom();
    const owner = join(room);
    const device = join(room, vault("dev", 0));
    device.outbox.push(Uint8Array.of(1, 6, 1, 9, 1, 2, 123, 125));
    room.settle();
    expect(room.look((r) => r.presence.summary.present)).toBe(1);
    room.look((r) => r.revoke("dev", 1));
    expect(room.look((r) => r.presence.summary.present)).toBe(0);
    expect(owner.peer.closed).toBe(null);
  });

  it("[RV4] the room makes itself known once, and again after a failure", () => {
    const room = new TestRoom();
    room.registers = null;
    const owner = join(room);
    join(room);
    expect(room.registrations).toBe(1);
    room.pass(10);
    room.registers = 0;
    join(room);
    room.pass(10);
    expect(room.registrations).toBe(2);
    type(owner, "x");
    room.pass(2_000);
    room.kill();
    join(room);
    room.pass(10);
    expect(room.registrations).toBe(2);
    expect(room.look(() => readMeta(room.sql, "registered"))).toBe("1");
  });

  it("[RV4] a failed registration is tried again while somebody is connected, without a new connect", () => {
    const room = new TestRoom();
    room.registers = null;
    const owner = join(room);
    room.pass(130_000);
    expect(room.registrations).toBeGreaterThan(1);
    room.registers = 0;
    room.pass(61_000);
    const tried = room.registrations;
    room.pass(600_000);
    expect(room.registrations).toBe(tried);
    room.disconnect(owner);
  });

  it("[RV4] [JN2] a room with nothing stored stays so until the first edit", () => {
    const room = new TestRoom();
    room.registers = 0;
    const rows = room.sql.rowsWritten;
    join(room);
    room.pass(2_000);
    expect(room.sql.rowsWritten).toBe(rows);
  });

  it("[RV4] hears of a rotation of before when it registers", () => {
    const room = new TestRoom();
    room.registers = 2;
    const stale = join(room, vault("owner", 1));
    room.pass(10);
    expect(stale.peer.closed?.code).toBe(4403);
    expect(join(room, vault("owner", 2)).peer.closed).toBe(null);
  });
});

describe("erased vaults", () => {
  const erase = (room: TestRoom): number => {
    const atMs = room.look((r) => r.erase());
    room.replace();
    return atMs;
  };

  const tables = (room: TestRoom): string[] =>
    room
      .look(() => room.sql.exec<{ name: string }>(`SELECT name FROM sqlite_schema WHERE type = 'table'`))
      .map((row) => row.name)
      .filter((name) => !name.startsWith("sqlite_"));

  it("[ER1] a pass of compaction under way ends with the vault, by name", () => {
    const room = new TestRoom();
    const owner = join(room);
    for (let n = 0; n < 3; n++) {
      type(owner, "x".repeat(2_000));
      room.pass(1_200);
    }
    const steps = room.look((r) => r.compact());
    expect(room.look(() => steps.next().done)).toBe(false);
    erase(room);
    expect(() => room.look(() => withoutPauses(steps))).toThrow(/erased/);
  });

  it("[ER1] [ER2] nothing is left but the tombstone, sessions end, and nobody comes in", () => {
    const room = new TestRoom();
    room.registers = 0;
    room.keys.set("roomMeta", { schemaVersion: 2, updatedAt: "2026-01-01T00:00:00.000Z" });
    const [owner, device] = [join(room), join(room, sync("dev", 0))];
    room.look(() => room.sql.exec(`CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB)`));
    room.look(() => room.sql.exec(`CREATE TABLE "odd ""name" (id INTEGER)`));
    type(owner, "secret");
    room.pass(2_000);
    const atMs = erase(room);
    expect(atMs).toBe(room.clock.nowMs());
    expect([owner, device].map((client) => client.peer.closed)).toEqual([
      { code: 4404, reason: "vault erased", by: "server" },
      { code: 4404, reason: "vault erased", by: "server" },
    ]);
    expect(tables(room)).toEqual(["room_erased"]);
    expect(room.keys.size).toBe(0);
    for (const options of [undefined, vault("dev", 9), sync("dev", 9)]) {
      const back = join(room, options, owner.doc);
      room.pass(LIMITS.refusalHoldMs);
      expect(back.peer.closed).toMatchObject({ code: 4404, reason: "vault erased" });
      expect(back.texts.some((frame) => frame.includes('"error"'))).toBe(false);
      expect(options?.door === "sync" ? back.denials : back.texts).toEqual(
        options?.door === "sync" ? ["vault erased"] : ['__YPS:{"type":"yaos/degraded","reason":"vault erased"}'],
      );
    }
    room.kill();
    expect(room.look((r) => r.erasedAtMs)).toBe(atMs);
    room.clock.setMs(room.clock.nowMs() + 1_000);
    expect(erase(room)).toBe(atMs);
  });

  it("[ER1] a crash leaves the vault as it was, or nothing but the tombstone", () => {
    const outcomes = new Set<string>();
    for (let nth = 1; nth <= 20; nth++) {
      const room = new TestRoom();
      const owner = join(room);
      type(owner, "whole");
      room.pass(2_000);
      room.sql.faults = { crashAtStatement: room.sql.statements + nth };
      const isDone = room.turn((r) => void r.erase());
      if (isDone) room.replace();
      room.sql.faults = {};
      room.kill();
      const isErased = room.look((r) => r.erasedAtMs !== null);
      expect(isErased, `statement ${nth}`).toBe(isDone);
      if (isErased) expect(tables(room)).toEqual(["room_erased"]);
      else expect(text(join(room))).toBe("whole");
      outcomes.add(isErased ? "erased" : "whole");
    }
    expect(outcomes.size).toBe(2);
  });

  it("[ER3] what waited or was under way does not come back", () => {
    for (const size of [10, 3_000_000]) {
      const room = new TestRoom();
      const owner = join(room);
      type(owner, "first");
      room.pass(2_000);
      type(owner, "x".repeat(size));
      room.settle();
      room.timers.runDue();
      erase(room);
      room.pass(10_000);
      room.pass(60_000);
      expect(tables(room)).toEqual(["room_erased"]);
    }
  });

  it("[ER2] a socket that does not answer its close brings nothing back", () => {
    const room = new TestRoom();
    const owner = join(room);
    type(owner, "first");
    room.pass(2_000);
    erase(room);
    owner.peer.closed = null;
    type(owner, "again");
    room.pass(2_000);
    expect(room.look((r) => [r.store.isFresh, r.counters.framesIgnored])).toEqual([true, 1]);
  });

  it("[ER4] lifted, the vault is empty and open to everybody", () => {
    const room = new TestRoom();
    const owner = join(room);
    type(owner, "old");
    room.pass(2_000);
    erase(room);
    expect(room.look((r) => r.unerase())).toBe(true);
    room.replace();
    expect(room.look((r) => r.unerase())).toBe(false);
    const fresh = join(room);
    room.pass(2_000);
    expect([fresh.peer.closed, text(fresh)]).toEqual([null, ""]);
    type(fresh, "new");
    room.pass(2_000);
    room.kill();
    expect(text(join(room))).toBe("new");
  });
});

describe("pace of a session", () => {
  const small = Uint8Array.of(3);

  it("[LM3] two whole frames pass at once, a third does not", () => {
    const room = new TestRoom();
    const client = join(room);
    const frame = updateFrame(new Uint8Array(LIMITS.maxFrameBytes - 64));
    const update = Y.encodeStateAsUpdate(new Y.Doc());
    expect(update.byteLength).toBeLessThan(10);
    // An unknown kind of frame, so that nothing has to be parsed.
    frame[0] = 9;
    for (let i = 0; i < 2; i++) room.turn((r) => r.receive(client.peer, frame));
    expect(client.peer.closed).toBe(null);
    room.turn((r) => r.receive(client.peer, frame));
    expect(client.peer.closed).toEqual({ code: 4508, reason: "too fast", by: "server" });
    expect(room.look((r) => [r.counters.framesRefused, r.stats.refusals["too fast"]])).toEqual([1, 1]);
  });

  it("[LM3] the allowance comes back with time, and is one session's own", () => {
    const room = new TestRoom();
    const [client, other] = [join(room), join(room)];
    const frame = new Uint8Array(LIMITS.maxSessionBytesPerSecond).fill(9);
    for (let i = 0; i < 15; i++) room.turn((r) => r.receive(client.peer, frame));
    for (let second = 0; second < 40; second++) {
      room.clock.setMs(room.clock.nowMs() + 1_000);
      room.turn((r) => r.receive(client.peer, frame));
    }
    expect(client.peer.closed).toBe(null);
    for (let i = 0; i < 3; i++) room.turn((r) => r.receive(client.peer, frame));
    expect(client.peer.closed?.code).toBe(4508);
    expect(other.peer.closed).toBe(null);
  });

  it("[LM3] counts frames too, and a reconnect after weeks offline passes", () => {
    const room = new TestRoom();
    const client = join(room);
    for (let i = 0; i < LIMITS.maxSessionBurstFrames - 100; i++) room.look((r) => r.receive(client.peer, small));
    expect(client.peer.closed).toBe(null);
    for (let i = 0; i < 101; i++) room.look((r) => r.receive(client.peer, small));
    expect(client.peer.closed?.code).toBe(4508);
  });
});

it("[DB7] debug tells who is there", () => {
  const room = new TestRoom();
  join(room);
  join(room, READER);
  join(room, vault("dev", 1));
  const report = room.look((r) => debugReport(r, "room", room.sql, room.clock.nowMs()));
  expect(report).toMatchObject({ access: { owner: 1, devices: 2, readOnly: 1 }, schema: { version: null, known: true }, erasedAt: null });
  expect(JSON.stringify(report)).not.toContain("reader");
});
