/** Coming forward again after an old server was put back, the pre-chunk document, clean-up, and a room whose own tables cannot be read. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { type CleanUpReport, cleanUp } from "../../src/takeover/clean-up.ts";
import { acceptLoss } from "../../src/takeover/decisions.ts";
import { readDocument } from "../../src/takeover/kept-document.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { BlobStore } from "../../src/storage/blob-store.ts";
import { VaultStore } from "../../src/storage/vault-store.ts";
import { cleanUpAct } from "../../worker/takeover-acts.ts";
import { checksum } from "../kit/checksum.ts";
import { DocClient } from "../kit/doc-client.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeJournalEntry, writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

const snapshotOf = (doc: Y.Doc): string => Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("hex");

function vault(clientId: number, edit: (doc: Y.Doc) => void, from: Y.Doc | null = null): Y.Doc {
  const doc = new Y.Doc();
  if (from !== null) Y.applyUpdate(doc, Y.encodeStateAsUpdate(from));
  doc.clientID = clientId;
  edit(doc);
  return doc;
}

const first = vault(1, (doc) => {
  doc.getMap("meta").set("a", { path: "A.md" });
  doc.getText("t").insert(0, "hello old world");
});

function kvObject(values: Map<string, unknown>): TakeoverObject {
  return new TakeoverObject(new MemoryLegacy(values));
}

function clean(object: TakeoverObject, dryRun = false, trouble: string | null = null): CleanUpReport {
  return object.run(() => {
    const store = new VaultStore(object.host.sql, checksum);
    store.open();
    return cleanUp(object.host, store, trouble, dryRun);
  });
}

describe("forward again", () => {
  it("[TK12] unites what an old server wrote to its keys meanwhile, with what was written here", () => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: [Y.encodeStateAsUpdate(first)] });
    const object = kvObject(values);
    const here = object.joined(object.opened());
    const room = object.room(object.opened());
    room.connect(here);
    room.pass(2_000);
    here.doc.getText("t").insert(0, "ours: ");
    room.pass(5_000);
    // The old server goes on from its own state.
    const theirs = vault(9, (doc) => doc.getText("t").delete(0, 6), first);
    writeKvLayout(values, { journal: [Y.encodeStateAsUpdate(first), Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(first))] });
    const meta = values.get("document:journal:meta") as { updatedAt: string };
    values.set("document:journal:meta", { ...meta, updatedAt: "2026-11-21T00:00:00.000Z" });
    const opening = object.opened();
    expect(opening.as.movedNow).toBe(true);
    expect(object.joined(opening).doc.getText("t").toJSON()).toBe("ours: old world");
  });

  it("[TK12] unites rows of PR #51's tables that came after the move", () => {
    const object = new TakeoverObject();
    writeSqlLayout(object.legacy.sql, { snapshot: Y.encodeStateAsUpdate(first) });
    object.opened();
    const theirs = vault(9, (doc) => doc.getText("t").insert(0, "sql: "), first);
    writeSqlLayout(object.legacy.sql, { journal: [Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(first))] });
    expect(object.joined(object.opened()).doc.getText("t").toJSON()).toBe("sql: hello old world");
    expect(object.opened().as.movedNow).toBe(false);
  });

  it("[TK12] [TK16] a loss that an admin has accepted stays accepted when an old server has written again", () => {
    const values = new Map<string, unknown>();
    const theirs = vault(9, (doc) => doc.getText("t").insert(0, "later "), first);
    writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(first), journal: [Y.encodeStateAsUpdate(vault(5, (doc) => doc.getText("u").insert(0, "gone")))] });
    (values.get("document:journal:chunk:1:0") as Uint8Array)[6]! ^= 1;
    const object = kvObject(values);
    expect(object.opened().as.record).toMatchObject({ state: "incomplete", marker: { migration_completed: "false", lost_entries: "1" } });
    const decided = object.turn(() => acceptLoss(object.host.sql));
    const settled = [expect.stringContaining("document:journal:manifest:1")];
    expect(decided).toEqual({ status: "done", settled });
    expect(object.opened().as.record).toMatchObject({ state: "complete", settled, marker: { migration_completed: "true" } });
    writeJournalEntry(values, 2, Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(first)));
    const meta = values.get("document:journal:meta") as { entryCount: number; totalBytes: number };
    values.set("document:journal:meta", { ...meta, nextSeq: 3, entryCount: 2 });
    const opening = object.opened();
    expect(opening.as).toMatchObject({ movedNow: true, record: { state: "complete", missing: null } });
    expect(object.joined(opening).doc.getText("t").toJSON()).toBe("later hello old world");
  });
});

describe("a hole", () => {
  it("[TK10] is named by what waits for it, where nothing else tells what was lost", () => {
    const values = new Map<string, unknown>();
    const theirs = vault(9, (doc) => doc.getText("t").insert(15, "!"), first);
    writeKvLayout(values, { journal: [Y.encodeStateAsUpdate(first), Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(first))] });
    values.delete("document:journal:manifest:1");
    const object = kvObject(values);
    const opening = object.opened();
    expect(opening.view.missing).toMatchObject({ ranges: [{ client: 1, from: 0, to: Y.getState(first.store, 1) }], isUnnamed: false });
    expect(object.joined(opening).doc.getText("t").toJSON()).toBe("");
    // Whoever brings it brings back what waited, too.
    const room = object.room(opening);
    room.connect(new DocClient(vault(5, () => {}, first)));
    room.pass(10_000);
    expect(object.filled).toBe(1);
    expect(object.joined(object.opened()).doc.getText("t").toJSON()).toBe("hello old world!");
  });
});

describe("the pre-chunk document", () => {
  const old = vault(5, (doc) => {
    doc.getMap("pathToId").set("Old.md", "o");
    doc.getMap("idToText").set("o", new Y.Text("an old note"));
  });
  const opened = (values: Map<string, unknown>): { object: TakeoverObject; doc: Y.Doc } => {
    const object = kvObject(values);
    return { object, doc: object.joined(object.opened()).doc };
  };

  it("[TK3] joins a vault without files, by pathToId alone and by nested metadata", () => {
    const nested = vault(6, (doc) => doc.getMap("meta").set("n", new Y.Map([["path", "Nested.md"]])));
    for (const document of [old, nested]) {
      const values = new Map<string, unknown>([["document", Y.encodeStateAsUpdate(document)]]);
      writeKvLayout(values, { journal: [Y.encodeStateAsUpdate(vault(7, (doc) => doc.getMap("sys").set("initialized", true)))] });
      const { doc, object } = opened(values);
      expect(doc.getMap("sys").get("initialized")).toBe(true);
      expect(doc.getMap(document === old ? "pathToId" : "meta").size).toBe(1);
      expect(readRecord(object.legacy.sql)).toMatchObject({ document: "joined", marker: { source_format: "legacy+kv" } });
      // Decided once: it is not put to the question again by what it brought itself.
      values.set("document:journal:meta", { ...(values.get("document:journal:meta") as object), updatedAt: "later" });
      expect(object.opened().as).toMatchObject({ movedNow: true, record: { document: "joined" } });
    }
  });

  it("[TK3] stays out where files were deleted since, even all of them", () => {
    const emptied = vault(8, (doc) => {
      doc.getMap("meta").set("x", { path: "Old.md" });
      doc.getMap("meta").delete("x");
    });
    const values = new Map<string, unknown>([["document", Y.encodeStateAsUpdate(old)]]);
    writeKvLayout(values, { journal: [Y.encodeStateAsUpdate(emptied)] });
    const { doc, object } = opened(values);
    expect([doc.getMap("pathToId").size, doc.getMap("meta").size]).toEqual([0, 0]);
    expect(readRecord(object.legacy.sql)).toMatchObject({ document: "left", missing: null, sources: [{ outcome: "united" }, { name: "document", outcome: "left" }] });
    // Clean-up keeps its bytes, not its key: alone, an older server would take it for the vault.
    expect(clean(object)).toMatchObject({ status: "cleaned", kept: [{ name: "document" }] });
    expect([...values.keys()]).toEqual([]);
    expect(readDocument(object.legacy)).toEqual(Y.encodeStateAsUpdate(old));
    expect(object.opened().as.movedNow).toBe(false);
  });

  it("[TK3] decides the same when the move is broken off at any turn", () => {
    const make = (): TakeoverObject => kvObject(new Map<string, unknown>([["document", Y.encodeStateAsUpdate(old)]]));
    const whole = make();
    whole.opened();
    for (let stop = 1; stop < whole.turns; stop++) {
      const object = make();
      object.open({}, stop);
      const opening = object.opened();
      expect(object.joined(opening).doc.getMap("pathToId").size).toBe(1);
      expect(opening.as.record?.document).toBe("joined");
    }
  });
});

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
      object.turns = 0;
      const report = object.inTurns(
        () => {
          const store = new VaultStore(object.host.sql, checksum);
          store.open();
          return cleanUp(object.host, store, null, false);
        },
        (begun): begun is CleanUpReport => !("next" in begun),
        stop,
      );
      if (values.size < all && values.size > 0) {
        torn += 1;
        expect([values.has("document:checkpoint:current"), values.has("document:journal:meta")]).toEqual([false, false]);
      }
      if (report !== null) break;
    }
    expect(torn).toBeGreaterThan(1);
  });
});

describe("a room whose own tables cannot be read", () => {
  it("[TK11] gets the old storage from memory, and refuses when that does not verify either", () => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(first), journal: [] });
    const object = kvObject(values);
    object.opened();
    for (const table of ["room_index", "room_index_copy"]) object.legacy.sql.exec(`UPDATE ${table} SET data = x'00'`);
    const rows = object.legacy.sql.rowsWritten;
    const opening = object.opened();
    const client = object.joined(opening);
    expect(client.doc.getText("t").toJSON()).toBe("hello old world");
    expect(client.receipts).toEqual([]);
    expect(client.texts.join()).toContain("yaos/degraded");
    expect(object.legacy.sql.rowsWritten).toBe(rows);
    const chunk = values.get("document:checkpoint:chunk:1:0") as Uint8Array;
    chunk[5]! ^= 1;
    const refused = object.joined(object.opened());
    expect([refused.doc.getText("t").toJSON(), refused.answers]).toEqual(["", 0]);
  });

  it("[TK11] serves nothing of a vault that verifies only in part", () => {
    const values = new Map<string, unknown>();
    const theirs = vault(9, (doc) => doc.getText("t").insert(0, "more "), first);
    writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(first), journal: [Y.encodeStateAsUpdate(theirs, Y.encodeStateVector(first))] });
    const object = kvObject(values);
    object.opened();
    for (const table of ["room_index", "room_index_copy"]) object.legacy.sql.exec(`UPDATE ${table} SET data = x'00'`);
    expect(object.joined(object.opened()).doc.getText("t").toJSON()).toBe("more hello old world");
    (values.get("document:journal:chunk:1:0") as Uint8Array)[5]! ^= 1;
    const refused = object.joined(object.opened());
    expect([refused.doc.getText("t").toJSON(), refused.answers]).toEqual(["", 0]);
  });
});

describe("attachments of an older server", () => {
  it.each([
    ["it names attachments", (doc: Y.Doc) => doc.getMap("pathToBlob").set("Image.png", { hash: "a".repeat(64), size: 3 }), true],
    [
      "it named some once",
      (doc: Y.Doc) => {
        doc.getMap("pathToBlob").set("Image.png", { hash: "a".repeat(64), size: 3 });
        doc.getMap("pathToBlob").delete("Image.png");
      },
      false,
    ],
    ["it never had any", (doc: Y.Doc) => doc.getMap("meta").set("a", { path: "A.md" }), false],
  ] as const)("[TK20] a vault has used R2 when %s", (_when, edit, hasUsed) => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: [Y.encodeStateAsUpdate(vault(3, edit))] });
    const object = kvObject(values);
    object.opened();
    expect(new BlobStore(object.legacy.sql, checksum).r2UsedAtMs !== null).toBe(hasUsed);
  });
});
