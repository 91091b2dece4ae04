/** Coming forward again after an old server was put back, what was settled, the pre-chunk document, attachments, and a room whose own tables cannot be read. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { acceptLoss } from "../../src/takeover/decisions.ts";
import { readDocument } from "../../src/takeover/kept-document.ts";
import { isTakenOver } from "../../src/takeover/opening.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { BlobStore } from "../../src/storage/blob-store.ts";
import { checksum } from "../kit/checksum.ts";
import { DocClient } from "../kit/doc-client.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeJournalEntry, writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";
import { clean, first, kvObject, sessions, vault } from "./small-vaults.ts";

const { deltas } = sessions(3);

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

describe("what was settled", () => {
  const damaged = (word: string): Map<string, unknown> => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: sessions(3, word).deltas });
    (values.get("document:journal:chunk:3:0") as Uint8Array)[12]! ^= 1;
    return values;
  };

  it("[TK16] settles this loss, not another one under the same key", () => {
    const object = new TakeoverObject(new MemoryLegacy(damaged("a")));
    expect(object.opened().view.missing).not.toBeNull();
    expect(object.turn(() => acceptLoss(object.host.sql))).toMatchObject({ status: "done" });
    expect(object.opened().view.missing).toBeNull();
    // The same again is no news, whatever else an older server has written.
    object.legacy.values.set("document:journal:meta", { ...(object.legacy.values.get("document:journal:meta") as object), updatedAt: "later" });
    expect(object.opened()).toMatchObject({ as: { movedNow: true }, view: { missing: null } });
    for (const [key, value] of damaged("b")) object.legacy.values.set(key, value);
    object.legacy.values.set("document:journal:meta", { ...(object.legacy.values.get("document:journal:meta") as object), updatedAt: "later still" });
    expect(object.opened().view.missing).not.toBeNull();
  });

  it("[TK11] [TK16] holds for the fallback too", () => {
    const object = new TakeoverObject(new MemoryLegacy(damaged("a")));
    object.opened();
    object.turn(() => acceptLoss(object.host.sql));
    object.opened();
    for (const table of ["room_index", "room_index_copy"]) object.legacy.sql.exec(`DELETE FROM ${table}`);
    expect(object.joined(object.opened()).doc.getText("t").toJSON()).toBe("a1 a0 ");
  });
});

describe("attachments of a vault that moved before", () => {
  it("[TK20] of a vault an older server has written since are not thought known", () => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: deltas.slice(0, 2) });
    const object = new TakeoverObject(new MemoryLegacy(values));
    const ask = (): boolean => object.turn(() => isTakenOver(object.host));
    expect(ask()).toBe(false);
    object.opened();
    expect(ask()).toBe(true);
    values.set("document:journal:meta", { ...(values.get("document:journal:meta") as object), updatedAt: "later" });
    expect(ask()).toBe(false);
  });
});
