import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { checksum } from "../kit/checksum.ts";
import { DocClient, holds } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";
import { withoutPauses } from "../../src/update/pacer.ts";

/** A room with two chunks or more, a journal, deletions, and a client that has it all. */
function filledRoom(): { room: TestRoom; writer: DocClient } {
  const room = new TestRoom();
  const writer = new DocClient();
  room.connect(writer);
  room.settle();
  for (let i = 0; i < 1_500; i++) {
    const text = writer.doc.getText(`note ${i % 40}`);
    text.insert(Math.floor(text.length / 2), `line ${i} ${String(i).repeat(150)}\n`);
    if (i % 5 === 0) text.delete(0, 20);
    if (i % 20 === 0) room.pass(1_100);
  }
  room.pass(2_000);
  expect(room.look((r) => r.store.index.chunks.length)).toBeGreaterThan(1);
  expect(room.look((r) => r.store.journal.length)).toBeGreaterThan(1);
  return { room, writer };
}

function corrupt(room: TestRoom, sql: string): void {
  room.sql.inner.database.exec(sql);
}

/** Flips one byte in the middle of a stored BLOB. */
const FLIP = "CAST(substr(data, 1, length(data) / 2) || x'ff' || substr(data, length(data) / 2 + 2) AS BLOB)";

/** The contract of every kind of damage: an empty client waits or is closed with a retryable code, the owner heals the room by ordinary sync, then everybody is served. */
function healsFrom(damage: string): void {
  const { room, writer } = filledRoom();
  room.disconnect(writer);
  room.pass(2_000);
  corrupt(room, damage);
  room.kill();

  const empty = new DocClient();
  room.connect(empty, { door: "sync", text: false });
  room.settle();
  expect(empty.answers).toBe(0);
  expect(empty.denials.length).toBeGreaterThan(0);
  room.pass(10_000);
  expect(empty.peer.closed?.code).toBe(4510);
  expect(room.look((r) => r.store.lost.length + (r.store.lostUnknown ? 1 : 0))).toBeGreaterThan(0);

  const waiting = new DocClient(writer.doc);
  room.connect(waiting);
  room.pass(2_000);
  expect(waiting.peer.closed).toBe(null);
  expect(waiting.answers).toBe(1);
  expect(room.look((r) => [r.store.lost, r.store.lostUnknown, r.stats.healed])).toEqual([[], false, 1]);
  expect(waiting.receipts.at(-1)?.durableFrames).toBe(waiting.sent.length);

  const fresh = new DocClient();
  room.connect(fresh);
  room.settle();
  expect(fresh.answers).toBe(1);
  expect(holds(fresh.doc, Y.encodeStateAsUpdate(writer.doc))).toBe(true);
  expect(Y.equalSnapshots(Y.snapshot(fresh.doc), Y.snapshot(writer.doc))).toBe(true);

  room.look((r) => withoutPauses(r.compact()));
  room.kill();
  const later = new DocClient();
  room.connect(later);
  room.settle();
  expect(Y.equalSnapshots(Y.snapshot(later.doc), Y.snapshot(writer.doc))).toBe(true);
}

describe("damage", () => {
  it("[DG3] heals from a chunk that fails its checksum", () => healsFrom(`UPDATE room_chunk SET data = ${FLIP} WHERE row = (SELECT min(row) FROM room_chunk)`));
  it("[DG3] heals from the last chunk failing its checksum", () => healsFrom(`UPDATE room_chunk SET data = ${FLIP} WHERE row = (SELECT max(row) FROM room_chunk)`));
  it("[DG3] heals from a chunk whose row is missing", () => healsFrom(`DELETE FROM room_chunk WHERE row = (SELECT min(row) FROM room_chunk)`));
  it("[DG3] heals from a journal row whose updates fail their checksum", () => healsFrom(`UPDATE room_journal SET data = ${FLIP} WHERE slot = 1`));
  it("[DG3] heals from a journal row whose summary fails its checksum", () => healsFrom(`UPDATE room_journal SET summary = x'0102030405060708' WHERE slot = 1`));
  it("[DG3] heals from a gap in the journal's sequence", () => healsFrom(`DELETE FROM room_journal WHERE slot = 1`));
  it("[DG3] heals from a lost delete row", () => healsFrom(`UPDATE room_deletes SET data = ${FLIP} WHERE row = 1`));

  it("[DG4] refuses everybody over an index that cannot be read, and touches nothing", () => {
    const { room, writer } = filledRoom();
    room.disconnect(writer);
    corrupt(room, `UPDATE room_index SET data = ${FLIP}; DELETE FROM room_index_copy`);
    room.kill();
    const rows = room.sql.rowsWritten;
    const client = new DocClient();
    room.connect(client);
    room.settle();
    room.pass(10_000);
    expect(client.peer.closed?.code).toBe(4507);
    expect(client.answers).toBe(0);
    expect(room.sql.rowsWritten).toBe(rows);
    expect(room.look((r) => r.health.kind)).toBe("unreadable");
  });

  for (const [name, damage] of [
    ["fails its checksum", `UPDATE room_index SET data = ${FLIP}`],
    ["is missing", `DELETE FROM room_index`],
    ["is of an unknown format", `UPDATE room_index SET data = x'7f', sum = ${checksum(Uint8Array.of(0x7f))}`],
  ] as const) {
    it(`[DG4] reads the second copy of the index when the first ${name}, names it and writes both again`, () => {
      const { room, writer } = filledRoom();
      room.disconnect(writer);
      corrupt(room, damage);
      room.kill();
      const client = new DocClient();
      room.connect(client);
      room.settle();
      expect(client.answers).toBe(1);
      expect(Y.equalSnapshots(Y.snapshot(client.doc), Y.snapshot(writer.doc))).toBe(true);
      expect(room.look((r) => [r.health.kind, r.store.lost, r.store.lostUnknown])).toEqual(["healthy", [], false]);
      expect(room.look((r) => r.stats.errors.map((entry) => entry.detail).join())).toContain("index copy 1");
      expect(room.look((r) => r.store.damagedRows().map((row) => row.origin))).toEqual(name === "is missing" ? [] : ["index copy 1"]);
      // The first is sound again: the second may go.
      corrupt(room, `DELETE FROM room_index_copy`);
      room.kill();
      const later = new DocClient();
      room.connect(later);
      room.settle();
      expect(Y.equalSnapshots(Y.snapshot(later.doc), Y.snapshot(writer.doc))).toBe(true);
    });
  }

  it("[DG4] goes on without the second copy of the index, and the next checkpoint writes it again", () => {
    const { room, writer } = filledRoom();
    corrupt(room, `UPDATE room_index_copy SET data = ${FLIP}`);
    room.look((r) => withoutPauses(r.compact()));
    expect(room.look((r) => r.health.kind)).toBe("healthy");
    room.disconnect(writer);
    corrupt(room, `UPDATE room_index SET data = ${FLIP}`);
    room.kill();
    const client = new DocClient();
    room.connect(client);
    room.settle();
    expect(Y.equalSnapshots(Y.snapshot(client.doc), Y.snapshot(writer.doc))).toBe(true);
  });

  it("[SV5] [DG7] lets those who have everything go on while a chunk is missing", () => {
    const { room, writer } = filledRoom();
    const second = new DocClient();
    room.connect(second);
    room.settle();
    corrupt(room, `UPDATE room_chunk SET data = ${FLIP} WHERE row = (SELECT min(row) FROM room_chunk)`);
    const empty = new DocClient();
    room.connect(empty);
    room.settle();
    // The two that have it are asked at once, and answer: the joiner is served after all.
    expect(empty.answers).toBe(1);
    expect(empty.peer.closed).toBe(null);
    writer.doc.getText("note 0").insert(0, "still here ");
    room.pass(2_000);
    expect(second.doc.getText("note 0").toString()).toContain("still here");
    expect(empty.doc.getText("note 0").toString()).toContain("still here");
  });

  for (const [name, damage] of [
    ["the open chunk", `UPDATE room_chunk SET data = ${FLIP} WHERE row = (SELECT max(row) FROM room_chunk)`],
    ["a journal row", `UPDATE room_journal SET data = ${FLIP} WHERE slot = 1`],
    ["a delete row", `UPDATE room_deletes SET data = ${FLIP} WHERE row = 1`],
  ] as const) {
    it(`[DG3] [JN7] an edit too large for a row goes on when it meets ${name} that is damaged`, () => {
      const room = new TestRoom();
      const writer = new DocClient();
      room.connect(writer);
      room.settle();
      for (const word of ["in the open chunk ", "in the journal "]) {
        writer.doc.getText("t").insert(0, word);
        writer.doc.getText("t").delete(1, 1);
        room.pass(2_000);
        if (word.includes("chunk")) room.look((r) => withoutPauses(r.compact()));
      }
      corrupt(room, damage);
      writer.doc.getText("t").insert(0, "y".repeat(2 * LIMITS.maxJournalRowBytes));
      room.pass(5_000);
      room.pass(5_000);
      expect(room.look((r) => [r.health.kind, r.stats.commits.failed, r.stats.oversized > 0, r.store.lost, r.store.lostUnknown])).toEqual(["healthy", 0, true, [], false]);
      expect(room.look((r) => r.store.damagedRows().length)).toBe(1);
      expect([writer.peer.closed, writer.durableFrames]).toEqual([null, writer.sent.length]);
      room.kill();
      const fresh = new DocClient();
      room.connect(fresh);
      room.pass(5_000);
      expect(Y.equalSnapshots(Y.snapshot(fresh.doc), Y.snapshot(writer.doc))).toBe(true);
    });
  }

  for (const [name, damage] of [
    ["is missing", `DELETE FROM room_journal WHERE slot = 2`],
    ["has an unreadable summary", `UPDATE room_journal SET summary = x'00' WHERE slot = 2`],
  ] as const) {
    it(`[DG3] [HB1] sockets that slept are asked when the wake finds that a row ${name}`, () => {
      const room = new TestRoom();
      const owner = new DocClient();
      room.connect(owner);
      room.settle();
      for (let i = 0; i < 3; i++) {
        owner.doc.getText("t").insert(0, `edit ${i} `);
        room.pass(2_000);
      }
      room.pass(20_000);
      corrupt(room, damage);
      room.hibernate();
      const fresh = new DocClient();
      room.connect(fresh);
      room.pass(2_000);
      expect([fresh.answers, fresh.doc.getText("t").toString()]).toEqual([1, "edit 2 edit 1 edit 0 "]);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([false, 1]);
    });
  }

  for (const [name, damage] of [
    ["that does not say its schema version", `DELETE FROM room_meta WHERE key = 'schema_version'`],
    ["without one of its tables", `DROP TABLE room_journal`],
  ] as const) {
    it(`[DG4] refuses everybody over a room ${name}, and touches nothing`, () => {
      const room = new TestRoom();
      const writer = new DocClient();
      room.connect(writer);
      room.settle();
      writer.doc.getText("t").insert(0, "precious");
      room.pass(2_000);
      corrupt(room, damage);
      room.kill();
      const client = new DocClient(writer.doc);
      room.connect(client);
      room.pass(10_000);
      expect(room.look((r) => r.health.kind)).toBe("unreadable");
      expect([client.answers, client.receipts.length, client.peer.closed?.code, room.sql.rowsWritten]).toEqual([0, 0, 4507, 0]);
    });
  }

  it("[DG6] refuses an empty document over the storage of an older server", () => {
    const room = new TestRoom();
    room.takeover = { ...room.takeover, refusal: "storage of an older server: key-value document:checkpoint" };
    const client = new DocClient();
    room.connect(client);
    room.settle();
    room.pass(10_000);
    expect(client.peer.closed?.code).toBe(4507);
    expect(client.texts.join()).toContain("yaos/degraded");
  });

  describe("a lost delete row", () => {
    /** A vault of which somebody was away while a secret was deleted, and whose deletions are damaged since. */
    function forgotten(): { room: TestRoom; owner: DocClient; stale: DocClient } {
      const room = new TestRoom();
      const [owner, stale] = [new DocClient(), new DocClient()];
      for (const client of [owner, stale]) room.connect(client);
      room.settle();
      // Sealed, so that the deletion does not take the text out of its chunk.
      owner.doc.getText("pad").insert(0, "p".repeat(LIMITS.tailChunkBytes + 1));
      owner.doc.getText("t").insert(0, "public SECRET public");
      room.pass(2_000);
      room.look((r) => withoutPauses(r.compact()));
      room.disconnect(stale);
      owner.doc.getText("t").delete(7, 7);
      room.pass(2_000);
      room.look((r) => withoutPauses(r.compact()));
      expect(owner.durableFrames).toBe(owner.sent.length);
      room.disconnect(owner);
      room.pass(2_000);
      corrupt(room, `UPDATE room_deletes SET data = ${FLIP}`);
      room.kill();
      return { room, owner, stale };
    }

    it("[DG3] is not healed by a client that was away when the deletions were made: deleted text stays deleted", () => {
      const { room, owner, stale } = forgotten();
      room.connect(stale);
      room.pass(2_000);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([true, 0]);
      const early = new DocClient();
      room.connect(early);
      room.pass(10_000);
      expect([early.answers, early.peer.closed?.code]).toEqual([0, 4510]);
      room.connect(owner);
      room.pass(2_000);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([false, 1]);
      const fresh = new DocClient();
      room.connect(fresh);
      room.pass(2_000);
      for (const client of [owner, stale, fresh]) expect(client.doc.getText("t").toString()).toBe("public public");
    });

    it("[DG3] is not healed by as many deletions that are newer", () => {
      const { room, stale } = forgotten();
      room.connect(stale);
      room.pass(2_000);
      stale.doc.getText("t").delete(0, 7);
      room.pass(2_000);
      room.disconnect(stale);
      room.connect(stale);
      room.pass(2_000);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([true, 0]);
    });

    it("[DG3] is owed over a restart and a checkpoint, and healed by a client that deleted more since", () => {
      const { room, owner, stale } = forgotten();
      room.connect(stale);
      room.pass(2_000);
      stale.doc.getText("t").insert(0, "x");
      room.pass(2_000);
      room.look((r) => withoutPauses(r.compact()));
      room.kill();
      room.connect(stale);
      room.pass(2_000);
      expect(room.look((r) => r.store.lostUnknown)).toBe(true);
      owner.doc.getText("t").delete(0, 7);
      room.connect(owner);
      room.pass(2_000);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([false, 1]);
      expect([owner, stale].map((client) => client.doc.getText("t").toString())).toEqual(["xpublic", "xpublic"]);
    });
  });

  describe("a journal row that cannot say what was in it", () => {
    /** Three rows by one client, the summary of one destroyed. */
    function threeRows(slot: number): { room: TestRoom; owner: DocClient } {
      const room = new TestRoom();
      const owner = new DocClient();
      room.connect(owner);
      room.pass(2_000);
      for (let i = 0; i < 3; i++) {
        owner.doc.getText("t").insert(0, `edit ${i}`);
        room.pass(1_100);
      }
      room.disconnect(owner);
      room.pass(2_000);
      corrupt(room, `UPDATE room_journal SET summary = x'0102030405060708' WHERE slot = ${slot}`);
      room.kill();
      return { room, owner };
    }

    it.each([1, 2, 3])("[DG3] row %i: an empty client is not served around it and heals nothing", (slot) => {
      const { room, owner } = threeRows(slot);
      const empty = new DocClient();
      room.connect(empty);
      room.pass(2_000);
      expect(empty.answers).toBe(0);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([true, 0]);
      room.connect(owner);
      room.pass(2_000);
      expect(room.look((r) => [r.store.lostUnknown, r.stats.healed])).toEqual([false, 1]);
      const fresh = new DocClient();
      room.connect(fresh);
      room.pass(2_000);
      expect(fresh.doc.getText("t").toString()).toBe("edit 2edit 1edit 0");
    });

    it("[DG3] a newcomer's edits stored meanwhile shut the owner out of nothing, also over a restart", () => {
      for (const restarts of [false, true]) {
        const { room, owner } = threeRows(2);
        const stranger = new DocClient();
        stranger.doc.getMap("m").set("mine", 1);
        room.connect(stranger);
        room.pass(12_000);
        room.pass(10_000);
        expect(stranger.peer.closed?.code).toBe(4510);
        if (restarts) room.kill();
        room.connect(owner);
        room.pass(2_000);
        expect(owner.peer.closed).toBe(null);
        expect(room.look((r) => [r.store.lost, r.store.lostUnknown])).toEqual([[], false]);
        expect(owner.doc.getMap("m").get("mine")).toBe(1);
        if (stranger.online) room.disconnect(stranger);
        room.connect(stranger);
        room.pass(2_000);
        expect(stranger.doc.getText("t").toString()).toBe("edit 2edit 1edit 0");
      }
    });
  });
});
