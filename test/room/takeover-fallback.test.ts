import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import type { ConnectOptions } from "../../src/room/room-host.ts";
import { type TakeoverView, NO_TAKEOVER } from "../../src/room/takeover-view.ts";
import { debugReport } from "../../src/report/debug.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { checksum } from "../kit/checksum.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

const STOCK: ConnectOptions = { door: "sync", text: false };
const vault = (by: string, accessEpoch: number, mode: "rw" | "ro" = "rw"): ConnectOptions => ({ door: "vault", text: true, access: { by, mode, accessEpoch } });
const NO_INDEX = "DELETE FROM room_index; DELETE FROM room_index_copy";
const INDEX_NOTICE = "fallback: Cannot read index: row-missing: edits are not kept";

const text = (client: DocClient): string => client.doc.getText("t").toString();
const type = (client: DocClient, words: string): void => client.doc.getText("t").insert(client.doc.getText("t").length, words);

function join(room: TestRoom, options?: ConnectOptions, doc?: Y.Doc): DocClient {
  const client = new DocClient(doc);
  room.connect(client, options);
  room.settle();
  return client;
}

function view(updates: readonly Uint8Array[] | null, more: Partial<TakeoverView> = {}): TakeoverView {
  return { ...NO_TAKEOVER, fallback: () => updates, ...more };
}

/** The older server's vault: "older" and something deleted, in several updates. */
function olderUpdates(): Uint8Array[] {
  const doc = new Y.Doc();
  doc.clientID = 7;
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  doc.getText("t").insert(0, "older");
  doc.getText("t").insert(5, " secret");
  doc.getText("t").delete(5, 7);
  return updates;
}

/** A room that has "newer" besides, of which `damage` made the tables unreadable. The client that wrote it has gone. */
function unreadable(damage: string, updates: readonly Uint8Array[] | null = olderUpdates()): { room: TestRoom; owner: DocClient } {
  const room = new TestRoom();
  const doc = new Y.Doc();
  const owner = join(room, undefined, doc);
  for (const update of olderUpdates()) Y.applyUpdate(doc, update);
  type(owner, " newer");
  room.pass(2_000);
  room.look((r) => withoutPauses(r.compact()));
  room.disconnect(owner);
  room.pass(2_000);
  room.sql.inner.database.exec(damage);
  room.kill();
  room.takeover = view(updates);
  return { room, owner };
}

/** What a human sees of the database, and of the older keys. */
function dump(room: TestRoom): string {
  const { database } = room.sql.inner;
  const names = database.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).all() as { name: string }[];
  return JSON.stringify([names.map(({ name }) => [name, database.prepare(`SELECT * FROM "${name}"`).all()]), [...room.keys]]);
}

describe("our tables cannot be read, the older vault can", () => {
  for (const [name, damage, reason] of [
    ["an index that fails its checksum twice", `UPDATE room_index SET data = x'00'; UPDATE room_index_copy SET data = x'00'`, "Cannot read index: checksum-mismatch"],
    ["an index of an unknown format", `UPDATE room_index SET data = x'7f', sum = ${checksum(Uint8Array.of(0x7f))}; DELETE FROM room_index_copy`, "Cannot read index: row-unreadable"],
    ["a missing index", NO_INDEX, "Cannot read index: row-missing"],
    ["a missing table", `DROP TABLE room_journal`, "Cannot open room: table room_journal is missing"],
    ["no schema version", `DELETE FROM room_meta WHERE key = 'schema_version'`, "Cannot open room: schema_version is unreadable"],
    ["a column too few", `ALTER TABLE room_journal DROP COLUMN summary`, "storage cannot be read"],
    ["held rows that cannot be read", `ALTER TABLE room_held DROP COLUMN parts`, "storage cannot be read"],
  ] as const) {
    it(`[TK11] ${name}: served from memory, loudly, without receipts, and nothing is written`, () => {
      const { room } = unreadable(damage);
      const before = dump(room);
      const [plugin, stock] = [join(room), join(room, STOCK)];
      for (const client of [plugin, stock]) expect([text(client), client.answers]).toEqual(["older", 1]);
      expect(plugin.texts).toEqual([`__YPS:{"type":"yaos/degraded","reason":"fallback: ${reason}: edits are not kept"}`]);
      expect(stock.denials).toEqual([`fallback: ${reason}: edits are not kept`]);
      type(plugin, " edit");
      plugin.doc.getText("t").delete(0, 2);
      room.pass(60_000);
      expect([text(stock), text(join(room))]).toEqual(["der edit", "der edit"]);
      expect([plugin.receipts, plugin.peer.closed, stock.peer.closed]).toEqual([[], null, null]);
      expect([room.sql.rowsWritten, dump(room) === before, room.noteStands]).toEqual([0, true, false]);
      expect(room.look((r) => [r.health.kind, r.stats.commits.count])).toEqual(["fallback", 0]);
      // Another instance begins with the older vault again, and has what its clients bring.
      room.kill();
      expect([text(join(room)), text(join(room, STOCK, stock.doc)), text(join(room))]).toEqual(["older", "der edit", "der edit"]);
    });
  }

  it("[TK11] a statement that fails while the room is opened", () => {
    const { room } = unreadable("");
    let fellBack = 0;
    for (let statement = 1; statement < 8; statement++) {
      room.kill();
      room.sql.faults = { failStatements: new Set([statement]) };
      const isFallback = room.look((r) => r.health.kind) === "fallback";
      room.sql.faults = {};
      const client = join(room);
      if (isFallback) expect([text(client), client.receipts.length, room.sql.rowsWritten]).toEqual(["older", 0, 0]);
      else expect(text(client)).toBe("older newer");
      fellBack += Number(isFallback);
    }
    expect(fellBack).toBeGreaterThan(2);
  });

  it("[TK11] clients that have what our tables had bring it back for the others", () => {
    const { room, owner } = unreadable(NO_INDEX);
    const empty = join(room);
    const again = join(room, undefined, owner.doc);
    room.pass(2_000);
    expect([text(empty), again.receipts.length, again.sent.length]).toEqual(["older newer", 0, 1]);
  });

  it("[TK11] nothing is written either by many edits, gaps, alarms, registration, revocation, errors or an admin", () => {
    const { room, owner } = unreadable(NO_INDEX);
    const before = dump(room);
    room.registers = 3;
    const author = join(room, vault("device", 0));
    const reader = join(room, vault("reader", 0, "ro"));
    for (let edit = 0; edit <= LIMITS.checkpointJournalRows; edit++) type(author, `edit ${edit} `);
    room.pass(5_000);
    type(reader, "no");
    room.pass(1_100);
    // Behind a gap: the structs before them are not there.
    const ahead = new Y.Doc();
    ahead.getText("u").insert(0, "ab");
    const vector = Y.encodeStateVector(ahead);
    ahead.getText("u").insert(2, "cd");
    const gap = Y.encodeStateAsUpdate(ahead, vector);
    author.outbox.push(Uint8Array.of(0, 2, gap.byteLength, ...gap));
    author.outbox.push(Uint8Array.of(0, 2, 3, 9, 9, 9));
    room.pass(5_000);
    room.look((r) => {
      r.onAlarm();
      r.commitNow();
      r.revoke("device", 4);
      r.stats.error(room.clock.nowMs(), "some.error", "detail");
    });
    expect(() => room.look((r) => withoutPauses(r.compact()))).toThrow("Cannot compact: Cannot read index: row-missing");
    room.pass(60_000);
    const third = join(room, vault("other", 0), owner.doc);
    expect(text(third)).toContain("edit 512 ");
    expect(text(third)).not.toContain("no");
    expect([author.peer.closed?.code, reader.receipts.length, author.receipts.length]).toEqual([4422, 0, 0]);
    expect(room.look((r) => [r.ingest.heldBytes > 0, r.isRegistered, r.unsaved.byteLength > 0])).toEqual([true, true, true]);
    expect([room.sql.rowsWritten, dump(room) === before, room.alarm.atMs ?? null, room.noteStands]).toEqual([0, true, null, false]);
  });

  it("[TK11] edits above maxUnprovenBytes over the base are turned away, and what was taken stays", () => {
    const { room } = unreadable(NO_INDEX);
    const [author, other] = [join(room), join(room)];
    type(author, "a".repeat(LIMITS.maxUnprovenBytes - 1_000));
    room.pass(5_000);
    type(author, "b".repeat(2_000));
    room.pass(5_000);
    expect(author.peer.closed).toMatchObject({ code: 4507 });
    room.disconnect(author);
    type(other, "c");
    room.pass(5_000);
    expect([text(join(room)).length, other.peer.closed]).toEqual(["older".length + LIMITS.maxUnprovenBytes - 1_000 + 1, null]);
  });

  it("[TK11] [SV1] the largest base and the edits on it are one frame that may be sent", () => {
    const base = new Y.Doc();
    const updates: Uint8Array[] = [];
    base.on("update", (update: Uint8Array) => updates.push(update));
    for (let at = 0; at < 23; at++) base.getMap("m").set(`k${at}`, new Uint8Array(1024 * 1024));
    const { room } = unreadable(NO_INDEX, updates);
    const author = join(room);
    for (let at = 0; at < 9 && author.peer.closed === null; at++) {
      author.doc.getMap("n").set(`k${at}`, new Uint8Array(1024 * 1024));
      room.pass(5_000);
    }
    expect(author.peer.closed?.code).toBe(4507);
    const joiner = join(room, STOCK);
    room.pass(5_000);
    expect([joiner.answers, joiner.relayed, joiner.doc.getMap("m").size, joiner.doc.getMap("n").size]).toEqual([1, 0, 23, 7]);
    expect(joiner.syncBytes).toBeLessThan(LIMITS.maxServeFrameBytes);
  });

  it("[TK11] who has everything is not sent it again", () => {
    const { room } = unreadable(NO_INDEX);
    const first = join(room);
    const again = join(room, undefined, first.doc);
    expect([again.answers, again.syncBytes < 40]).toEqual([1, true]);
  });

  it("[TK11] the document's schema version is that of the older vault, and nothing is noted of it", () => {
    const doc = new Y.Doc();
    doc.getMap("sys").set("schemaVersion", 3);
    const { room } = unreadable(NO_INDEX, [Y.encodeStateAsUpdate(doc)]);
    const keys = JSON.stringify([...room.keys]);
    const old = join(room, { door: "vault", text: true, schema: 2 });
    expect([old.peer.closed?.code, old.texts[0]]).toEqual([1008, expect.stringContaining("update_required")]);
    expect(join(room, { door: "vault", text: true, schema: 3 }).peer.closed).toBe(null);
    room.pass(5_000);
    expect([room.look((r) => r.schema.summary.version), JSON.stringify([...room.keys])]).toEqual([3, keys]);
  });

  it("[TK11] [DB3] debug says how the room stands and counts the files", () => {
    const doc = new Y.Doc();
    doc.getMap("meta").set("id", { path: "a.md" });
    const { room } = unreadable(NO_INDEX, [Y.encodeStateAsUpdate(doc)]);
    const report = room.look((r) => debugReport(r, "v", room.sql, room.clock.nowMs()));
    expect(report).toMatchObject({
      documentLoaded: true,
      documentSummary: { activePathCount: 1 },
      health: { kind: "fallback", reason: "Cannot read index: row-missing" },
      persistence: { status: "degraded", pendingPersistence: true },
    });
  });

  describe("revoked access", () => {
    /** As `unreadable`, after the room was told of a revocation. */
    function revoked(damage: string): TestRoom {
      const room = new TestRoom();
      const owner = join(room);
      type(owner, "ours");
      room.pass(2_000);
      room.look((r) => r.revoke("phone", 5));
      room.sql.inner.database.exec(damage);
      room.kill();
      room.takeover = view(olderUpdates());
      return room;
    }

    it("[TK11] [RV2] is remembered, and in memory what is revoked since", () => {
      const room = revoked(NO_INDEX);
      const before = dump(room);
      expect(join(room, vault("phone", 4)).peer.closed?.code).toBe(1008);
      const phone = join(room, vault("phone", 5));
      const tablet = join(room, vault("tablet", 0));
      expect([text(phone), room.look((r) => r.revoke("tablet", 1)), tablet.peer.closed?.code]).toEqual(["older", 1, 4403]);
      expect([join(room, vault("tablet", 0)).peer.closed?.code, dump(room) === before]).toEqual([1008, true]);
    });

    it("[TK11] [AC27] a rotation that the room had not heard of counts in memory", () => {
      const room = revoked(NO_INDEX);
      room.registers = 7;
      const owner = join(room, vault("owner", 6));
      room.pass(1_000);
      expect([owner.peer.closed?.code, room.sql.rowsWritten]).toEqual([4403, 0]);
    });

    for (const [name, damage] of [
      ["missing", `DROP TABLE room_meta`],
      ["empty", `DELETE FROM room_meta`],
      ["of another form", `ALTER TABLE room_meta RENAME COLUMN value TO other`],
    ] as const) {
      it(`[TK11] nobody is let in where the table that remembers it is ${name}`, () => {
        const room = revoked(damage);
        const phone = join(room, vault("phone", 5));
        room.pass(LIMITS.refusalHoldMs);
        expect([phone.answers, phone.peer.closed?.code, room.sql.rowsWritten]).toEqual([0, 4507, 0]);
        expect(phone.texts[0]).toContain("no fallback: ");
        expect(room.look((r) => r.health.kind)).toBe("unreadable");
      });
    }

    it("[TK11] a credential whose epoch cannot be read does not count at all", () => {
      const room = revoked(`${NO_INDEX}; UPDATE room_meta SET value = 'x' WHERE key = 'access:phone'`);
      expect(join(room, vault("phone", 9_999)).peer.closed?.code).toBe(1008);
      expect(text(join(room, vault("tablet", 0)))).toBe("older");
    });
  });

  describe("sockets that slept along", () => {
    it("[TK11] [HB1] are told, asked, and bring what they have", () => {
      const { room, owner } = unreadable("");
      const [again, stock] = [join(room, undefined, owner.doc), join(room, STOCK)];
      room.pass(20_000);
      const baseline = again.receipts.length;
      room.sql.inner.database.exec(NO_INDEX);
      room.hibernate();
      room.pass(1_000);
      const fresh = join(room);
      expect(again.texts.at(-1)).toContain(INDEX_NOTICE);
      expect(stock.denials).toEqual([INDEX_NOTICE]);
      type(again, "!");
      room.pass(2_000);
      for (const client of [fresh, stock]) expect(text(client)).toBe("older newer!");
      expect([again.receipts.length, room.sql.rowsWritten]).toEqual([baseline, 0]);
      // Once more: what was only in memory comes back from them.
      room.hibernate();
      room.pass(1_000);
      expect(text(join(room))).toBe("older newer!");
    });

    it("[TK11] [RC4] come anew to an instance that can read again, and no receipt calls durable what was not kept", () => {
      const { room } = unreadable("");
      const author = join(room);
      const stock = join(room, STOCK);
      room.pass(20_000);
      room.hibernate();
      room.sql.faults = { failStatements: new Set([1]) };
      type(author, " unkept");
      room.pass(20_000);
      expect([text(stock), room.look((r) => r.health.kind)]).toEqual(["older newer unkept", "fallback"]);
      const late = join(room);
      room.pass(20_000);
      room.hibernate();
      const { length } = author.receipts;
      room.pass(1_000);
      expect(room.look((r) => r.health.kind)).toBe("healthy");
      for (const client of [author, stock, late]) expect(client.peer.closed?.code).toBe(4511);
      author.read();
      expect(author.receipts.length).toBe(length);
      const fresh = join(room);
      expect(text(fresh)).toBe("older newer");
      room.disconnect(author);
      const again = join(room, undefined, author.doc);
      room.pass(2_000);
      expect([text(fresh), again.durableFrames]).toEqual(["older newer unkept", again.sent.length]);
    });
  });
});

describe("when there is no fallback", () => {
  for (const [name, updates] of [
    ["nothing is left by an older server", null],
    ["what is left is no update", [Uint8Array.of(9, 9, 9)]],
    ["it is too large", Array.from({ length: 13 }, (_, at) => big(at + 1))],
    ["it is too large to be sent once its deletions have cut it up", [big(4_000_000_000, 12), evenDeleted(4_000_000_000, 1_000_000)]],
  ] as const) {
    it(`[TK11] [DG4] ${name}: everybody is refused, with the reason, and nothing is touched`, () => {
      const { room } = unreadable(NO_INDEX, updates);
      const before = dump(room);
      const client = join(room);
      room.pass(LIMITS.refusalHoldMs);
      expect([client.answers, client.peer.closed?.code, room.look((r) => r.health.kind)]).toEqual([0, 4507, "unreadable"]);
      expect(client.texts[0]).toContain("Cannot read index: row-missing");
      expect([room.sql.rowsWritten, dump(room) === before]).toEqual([0, true]);
      expect(room.look((r) => [r.window.byteLength, r.ingest.known.vector.size])).toEqual([0, 0]);
    });
  }

  it("[TK11] [DG4] reading it fails", () => {
    const { room } = unreadable(NO_INDEX);
    room.takeover = {
      ...NO_TAKEOVER,
      fallback: () => {
        throw new Error("no disk");
      },
    };
    const client = join(room);
    expect([client.answers, client.texts[0]]).toEqual([0, expect.stringContaining("no fallback: no disk")]);
  });

  it("[TK11] [DG5] the tables are of a newer server: nothing older is served in their place", () => {
    const { room } = unreadable(`UPDATE room_meta SET value = '99' WHERE key = 'min_safe_version'`);
    const client = join(room);
    room.pass(LIMITS.refusalHoldMs);
    expect([client.answers, client.peer.closed?.code, client.texts[0]]).toEqual([0, 4507, expect.stringContaining("schema version 99")]);
  });

  it("[TK11] a move that was refused stays so", () => {
    const { room } = unreadable(NO_INDEX);
    room.takeover = view(olderUpdates(), { refusal: "the move failed" });
    expect(join(room).texts[0]).toContain('"the move failed"');
  });
});

describe("a refused move", () => {
  it("[DG6] [HB1] is told to sockets that slept along too, and nothing is touched, damage neither", () => {
    const { room } = unreadable("");
    const [plugin, stock] = [join(room), join(room, STOCK)];
    type(plugin, "!");
    room.pass(20_000);
    room.sql.inner.database.exec(`UPDATE room_journal SET summary = x'00'`);
    room.takeover = view(null, { refusal: "checkpoint chunk 3 is missing" });
    room.hibernate();
    const before = dump(room);
    type(plugin, "lost?");
    room.pass(20_000);
    for (const client of [plugin, stock]) {
      client.read();
      expect(client.peer.closed).toEqual({ code: 4507, reason: "storage degraded", by: "server" });
    }
    expect(plugin.texts.at(-1)).toBe('__YPS:{"type":"yaos/degraded","reason":"checkpoint chunk 3 is missing"}');
    expect(stock.denials).toEqual(["checkpoint chunk 3 is missing"]);
    const late = join(room);
    room.pass(LIMITS.refusalHoldMs);
    expect([late.texts[0], late.answers, late.receipts.length, late.peer.closed?.code]).toEqual([plugin.texts.at(-1), 0, 0, 4507]);
    expect([room.sql.rowsWritten, dump(room) === before]).toEqual([0, true]);
  });
});

/** Text of one client, 2 MiB unless told. */
function big(client: number, mebibytes = 2): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = client;
  doc.getText("t").insert(0, "x".repeat(mebibytes * 1024 * 1024));
  return Y.encodeStateAsUpdate(doc);
}

/** An update that deletes every second clock of a client, so many of them. */
function evenDeleted(client: number, count: number): Uint8Array {
  const out = new ByteWriter();
  for (const value of [0, 1, client, count]) out.varUint(value);
  for (let at = 0; at < count; at++) {
    out.varUint(2 * at);
    out.varUint(1);
  }
  return out.finish();
}
