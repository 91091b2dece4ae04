/** Clean-up of the old storage: what goes, what stays, what stops it, and what an older server may do when it is broken off. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { cleanUp } from "../../src/takeover/clean-up.ts";
import { acceptLoss, retryMove } from "../../src/takeover/decisions.ts";
import { readDocument } from "../../src/takeover/kept-document.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { VaultStore } from "../../src/storage/vault-store.ts";
import { cleanUpAct } from "../../worker/takeover-acts.ts";
import { checksum } from "../kit/checksum.ts";
import { DocClient } from "../kit/doc-client.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeJournalEntry, writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { oldKvLoads, oldSqlLoads } from "../kit/old-loader.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";
import { clean, cleanFor, first, kvObject, sessions, snapshotOf, vault } from "./small-vaults.ts";

describe("clean-up", () => {
  const filled = (): { object: TakeoverObject; values: Map<string, unknown> } => {
    const values = new Map<string, unknown>([["roomMeta", { schemaVersion: 2, updatedAt: "x" }], ["trace:1:a", {}]]);
    const theirs = vault(9, (doc) => doc.getText("t").insert(5, " new"), first);
    writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(first), journal: [Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(first))], chunkSizeBytes: 20 });
    const object = kvObject(values);
    writeSqlLayout(object.legacy.sql, { snapshot: Y.encodeStateAsUpdate(first), journal: Array.from({ length: 70 }, () => Y.encodeStateAsUpdate(theirs)) });
    return { object, values };
  };

  it("[TK13] deletes what ours hold, and nothing else", () => {
    const { object, values } = filled();
    const expected = snapshotOf(object.joined(object.opened()).doc);
    const dry = clean(object, true);
    const keys = [...values.keys()].filter((key) => key.startsWith("document")).length;
    expect(dry).toEqual({ status: "noop", keysDeleted: 0, rowsDeleted: 0, dryRun: true, keysToDelete: keys, rowsToDelete: 71, kept: [] });
    expect([...values.keys()].filter((key) => key.startsWith("document"))).toHaveLength(keys);
    expect(clean(object)).toEqual({ status: "cleaned", keysDeleted: keys, rowsDeleted: 71, kept: [] });
    expect([...values.keys()].filter((key) => key.startsWith("document"))).toEqual([]);
    expect(values.has("trace:1:a")).toBe(true);
    const opening = object.opened();
    expect(opening.as).toMatchObject({ movedNow: false, hasLegacy: false });
    expect(snapshotOf(object.joined(opening).doc)).toBe(expected);
    expect(clean(object)).toMatchObject({ status: "noop", keysDeleted: 0 });
  });

  it("[TK13] aborts while anything in the old storage is not in ours", () => {
    const { object, values } = filled();
    object.opened();
    const more = vault(11, (doc) => doc.getText("t").insert(0, "unseen "), first);
    writeJournalEntry(values, 2, Y.encodeStateAsUpdate(more));
    expect(clean(object)).toMatchObject({ status: "aborted", keysDeleted: 0, error: "document:journal:manifest:2 holds edits that SQL storage does not: refusing to delete KV data (would cause data loss)" });
    // Deletions alone count too.
    const gone = vault(12, (doc) => doc.getText("t").delete(0, 3), first);
    writeJournalEntry(values, 2, Y.encodeStateAsUpdate(gone, Y.encodeStateVector(gone)));
    expect(clean(object)).toMatchObject({ status: "aborted", error: expect.stringContaining("delete ranges") });
    expect(clean(object, false, "part of SQL storage is damaged")).toMatchObject({ status: "aborted" });
    expect(values.has("document:checkpoint:current")).toBe(true);
  });

  it("[TK13] aborts where the old storage holds something else under the same clocks", () => {
    const object = new TakeoverObject();
    writeSqlLayout(object.legacy.sql, { journal: [Y.encodeStateAsUpdate(vault(4, (doc) => doc.getText("t").insert(0, "one")))] });
    object.opened();
    object.legacy.sql.exec(`UPDATE journal SET data = ?`, Y.encodeStateAsUpdate(vault(4, (doc) => doc.getText("t").insert(0, "two"))));
    expect(clean(object)).toMatchObject({ status: "aborted", rowsDeleted: 0, error: "digest of client 4 differs: refusing to delete KV data (would cause data loss)" });
  });

  it("[TK13] [TK16] keeps what does not verify, and goes on without it", () => {
    const { object, values } = filled();
    const gone = Y.encodeStateAsUpdate(vault(12, (doc) => doc.getText("u").insert(0, "who knows")));
    writeJournalEntry(values, 2, gone);
    values.set("document:journal:meta", { ...(values.get("document:journal:meta") as object), nextSeq: 3, entryCount: 2 });
    (values.get("document:journal:chunk:2:0") as Uint8Array)[6]! ^= 1;
    object.legacy.sql.exec(`UPDATE journal SET data = x'ff' WHERE id = 70`);
    expect(object.opened().as.record?.state).toBe("incomplete");
    expect(clean(object)).toMatchObject({ status: "aborted", error: expect.stringContaining("nobody has accepted the loss") });
    object.turn(() => acceptLoss(object.host.sql));
    const opening = object.opened();
    expect(opening.view.missing).toBeNull();
    const names = ["document:journal:manifest:2", "journal row 70"];
    expect(clean(object)).toMatchObject({ status: "cleaned", rowsDeleted: 70, kept: names.map((name) => ({ name, reason: "it does not verify" })) });
    expect([...values.keys()].filter((key) => key.startsWith("document")).sort()).toEqual(["document:journal:chunk:2:0", "document:journal:manifest:2"]);
    expect([object.legacy.sql.exec(`SELECT id FROM journal`), object.legacy.sql.exec(`SELECT * FROM snapshot_chunks`)]).toEqual([[{ id: 70 }], []]);
    const again = object.opened();
    expect([again.as.movedNow, again.view.missing]).toEqual([false, null]);
    expect(snapshotOf(object.joined(again).doc)).toBe(snapshotOf(object.joined(opening).doc));
  });

  it("[TK13] is refused as it is asked for over damaged tables of ours, whatever could still be compared", async () => {
    const { object, values } = filled();
    const room = object.room(object.opened());
    object.legacy.sql.exec(`UPDATE room_chunk SET data = zeroblob(length(data))`);
    const client = new DocClient();
    room.connect(client);
    room.pass(2_000);
    expect(room.look((r) => r.store.lost.length)).toBeGreaterThan(0);
    const answer = await cleanUpAct(new Request("https://internal/__yaos/cleanup-kv", { method: "POST", body: "{}" }), () => Promise.resolve(room.room), object.host, () => false);
    expect(await answer.json()).toMatchObject({ status: "aborted", keysDeleted: 0, error: "part of SQL storage is damaged: refusing to delete KV data (would cause data loss)" });
    expect(values.has("document:checkpoint:current")).toBe(true);
  });

  it("[TK13] aborts over an object that was never moved", () => {
    const { object } = filled();
    const store = new VaultStore(object.legacy.sql, checksum);
    const report = object.run(() => cleanUp(object.host, store, null, false));
    expect(report).toMatchObject({ status: "aborted", error: "SQL storage is empty: refusing to delete KV data (would cause data loss)" });
  });

  it("[TK13] [TK14] deletes first what an older server begins with: one that is put back in between finds nothing, not a torn vault", () => {
    let torn = 0;
    for (let stop = 2; ; stop += 1) {
      const values = new Map<string, unknown>();
      const theirs = vault(9, (doc) => doc.getText("t").insert(5, " new"), first);
      writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(vault(3, (doc) => doc.getText("t").insert(0, "words ".repeat(50)), first)), journal: [Y.encodeStateAsUpdate(theirs)], chunkSizeBytes: 1 });
      const object = kvObject(values);
      object.opened();
      const all = values.size;
      const report = cleanFor(object, stop);
      if (values.size < all && values.size > 0) {
        torn += 1;
        expect([values.has("document:checkpoint:current"), values.has("document:journal:meta")]).toEqual([false, false]);
      }
      if (report !== null) break;
    }
    expect(torn).toBeGreaterThan(1);
  });
});

const { doc, deltas } = sessions(300);

function both(): TakeoverObject {
  const values = new Map<string, unknown>();
  writeKvLayout(values, { checkpoint: Y.mergeUpdates(deltas.slice(0, 100)), journal: deltas.slice(100), chunkSizeBytes: 100 });
  const object = new TakeoverObject(new MemoryLegacy(values));
  writeSqlLayout(object.legacy.sql, { snapshot: Y.mergeUpdates(deltas.slice(0, 200)), journal: deltas.slice(200), chunkBytes: 200 });
  return object;
}

describe("a clean-up that is broken off", () => {
  it("[TK13] leaves nothing to be mistaken at any turn: the next opening unites what is left, loses nothing, and deletes nothing by itself", () => {
    let broken = 0;
    for (let stop = 2; ; stop++) {
      const object = both();
      object.opened();
      const isOver = cleanFor(object, stop) !== null;
      if (readRecord(object.legacy.sql)?.state === "cleaning") {
        broken += 1;
        const kv = oldKvLoads(object.legacy.values);
        if (kv instanceof Error) throw kv;
        expect(Y.encodeStateAsUpdate(kv).length).toBe(2);
        const sql = oldSqlLoads(object.legacy.sql);
        // An earlier state of the vault, or none.
        if (sql instanceof Error) throw sql;
        if (sql !== null) expect(sql.store.pendingStructs).toBeNull();
      }
      const [keys, rows] = [object.legacy.values.size, object.legacy.sql.exec(`SELECT id FROM journal`).length];
      const opening = object.opened();
      expect(opening.view).toMatchObject({ refusal: null, missing: null });
      expect(snapshotOf(object.joined(opening).doc)).toBe(snapshotOf(doc));
      expect([object.legacy.values.size, object.legacy.sql.exec(`SELECT id FROM journal`).length]).toEqual([keys, rows]);
      expect(object.opened().as.movedNow).toBe(false);
      if (isOver) break;
      // Asked for once more, it comes to its end.
      clean(object);
      expect([[...object.legacy.values.keys()].filter((key) => key.startsWith("document")), object.legacy.sql.exec(`SELECT id FROM journal`)]).toEqual([[], []]);
      expect(object.opened().as).toMatchObject({ movedNow: false, hasLegacy: false });
    }
    expect(broken).toBeGreaterThan(5);
  });

  it("[TK12] [TK13] unites what an older server has written in between, in either layout", () => {
    const theirs = new Y.Doc();
    Y.applyUpdate(theirs, Y.encodeStateAsUpdate(doc));
    theirs.getText("new").insert(0, "written in between");
    const delta = Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(doc));
    for (const layout of ["kv", "sql"] as const) {
      for (let stop = 2; ; stop++) {
        const object = both();
        object.opened();
        if (cleanFor(object, stop) !== null) break;
        if (readRecord(object.legacy.sql)?.state !== "cleaning") continue;
        if (layout === "kv") {
          writeJournalEntry(object.legacy.values, 1, delta);
          object.legacy.values.set("document:journal:meta", { format: "yaos-doc-journal-v1", nextSeq: 2, entryCount: 1, totalBytes: delta.byteLength, updatedAt: "later" });
        } else object.legacy.sql.exec(`INSERT INTO journal (data, byte_length) VALUES (?, ?)`, delta, delta.byteLength);
        const opening = object.opened();
        expect([opening.view.missing, object.joined(opening).doc.getText("new").toJSON()], `${layout} ${stop}`).toEqual([null, "written in between"]);
      }
    }
  });

  it("[TK11] [TK13] deletes nothing more when our own tables are broken meanwhile", () => {
    const object = both();
    object.opened();
    cleanFor(object, 8);
    expect(readRecord(object.legacy.sql)?.state).toBe("cleaning");
    for (const table of ["room_index", "room_index_copy"]) object.legacy.sql.exec(`DELETE FROM ${table}`);
    const keys = object.legacy.values.size;
    object.joined(object.opened());
    expect(object.legacy.values.size).toBe(keys);
  });

  it("[TK13] leaves a table of another make alone", () => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: deltas.slice(0, 2) });
    const object = new TakeoverObject(new MemoryLegacy(values));
    object.legacy.sql.exec(`CREATE TABLE journal (id INTEGER PRIMARY KEY, data TEXT, mine TEXT)`);
    object.legacy.sql.exec(`INSERT INTO journal (data, mine) VALUES ('a', 'b')`);
    object.opened();
    clean(object);
    expect(object.legacy.sql.exec(`SELECT mine FROM journal`)).toEqual([{ mine: "b" }]);
    expect(values.size).toBe(0);
  });
});

describe("after a clean-up", () => {
  const meta = (nextSeq: number, updates: readonly Uint8Array[]): object => ({ format: "yaos-doc-journal-v1", nextSeq, entryCount: updates.length, totalBytes: updates.reduce((sum, update) => sum + update.byteLength, 0), updatedAt: `at ${nextSeq}` });
  const brokenOff = (): TakeoverObject => {
    const object = both();
    object.opened();
    cleanFor(object, 5);
    object.opened();
    expect(readRecord(object.legacy.sql)?.isCleaning).toBe(true);
    return object;
  };
  const theirs = sessions(4, "theirs", 88).deltas;

  it.each([
    ["that was broken off", brokenOff],
    [
      "that came to its end",
      () => {
        const object = both();
        object.opened();
        clean(object);
        return object;
      },
    ],
  ])("[TK1] [TK13] %s, what an older server has written since is missed like anything else", (_which, make) => {
    const kv = make();
    for (const [at, update] of theirs.entries()) writeJournalEntry(kv.legacy.values, at + 1, update);
    kv.legacy.values.set("document:journal:meta", meta(5, theirs));
    kv.legacy.values.delete("document:journal:manifest:2");
    expect(kv.opened().view.missing).not.toBeNull();
    const sql = make();
    for (const update of theirs) sql.legacy.sql.exec(`INSERT INTO journal (data, byte_length) VALUES (?, ?)`, update, update.byteLength);
    sql.legacy.sql.exec(`DELETE FROM journal WHERE id = (SELECT max(id) FROM journal)`);
    expect(sql.opened().view.missing).not.toBeNull();
  });

  it("[TK13] one that was broken off is over when asked for again, with nothing left to do too", () => {
    const object = brokenOff();
    clean(object);
    expect(readRecord(object.legacy.sql)).toMatchObject({ isCleaning: false, state: "complete" });
    expect(clean(object)).toMatchObject({ status: "noop" });
  });

  it("[TK13] what it has kept is kept by the next one", () => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: deltas.slice(0, 3), chunkSizeBytes: 20 });
    values.delete("document:journal:manifest:2");
    const object = kvObject(values);
    object.opened();
    object.turn(() => acceptLoss(object.host.sql));
    object.opened();
    clean(object);
    const kept = [...values.keys()];
    expect(kept.some((key) => key.startsWith("document:journal:chunk:2:"))).toBe(true);
    writeJournalEntry(values, 1, theirs[0]!);
    values.set("document:journal:meta", meta(2, theirs.slice(0, 1)));
    expect(object.opened().view.missing).toBeNull();
    clean(object);
    expect([...values.keys()]).toEqual(kept);
  });

  it("[TK18] a document that was kept before is not written over by another", () => {
    const files = (path: string): Uint8Array => Y.encodeStateAsUpdate(vault(path.length, (made) => made.getMap("meta").set(path, { path })));
    const values = new Map<string, unknown>([["document", files("A.md")]]);
    writeKvLayout(values, { journal: deltas.slice(0, 1) });
    const object = kvObject(values);
    writeSqlLayout(object.legacy.sql, { journal: [files("Other.md")] });
    object.opened();
    clean(object);
    values.set("document", files("Longer.md"));
    object.opened();
    clean(object);
    expect(readDocument(object.legacy)).toEqual(files("Longer.md"));
    expect(object.legacy.sql.exec(`SELECT count(DISTINCT number) AS n FROM room_old_document`)).toEqual([{ n: 2 }]);
  });

  it("[TK13] [TK16] old storage that decays after its move keeps a clean-up from deleting, until that is decided about", () => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: deltas.slice(0, 4), shape: "copy" });
    const object = kvObject(values);
    object.opened();
    (values.get("document:journal:chunk:2:0") as Uint8Array)[9]! ^= 1;
    expect(clean(object)).toMatchObject({ status: "aborted" });
    expect(object.turn(() => retryMove(object.host.sql))).toMatchObject({ status: "done" });
    const opening = object.opened();
    if (opening.view.missing !== null) object.turn(() => acceptLoss(object.host.sql));
    expect(object.opened().view.missing).toBeNull();
    expect(clean(object)).toMatchObject({ status: "cleaned" });
  });
});
