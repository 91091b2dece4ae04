/** Clean-ups that are broken off, and what an older server may do in between; losses that were settled and new ones under their keys. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { type CleanUpReport, cleanUp } from "../../src/takeover/clean-up.ts";
import { acceptLoss } from "../../src/takeover/decisions.ts";
import { isTakenOver } from "../../src/takeover/opening.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { VaultStore } from "../../src/storage/vault-store.ts";
import { checksum } from "../kit/checksum.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeJournalEntry, writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { oldKvLoads, oldSqlLoads } from "../kit/old-loader.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

const snapshotOf = (doc: Y.Doc): string => Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("hex");

/** A vault in sessions: what is newer at each, with all deletions. */
function sessions(count: number, word = "w"): { doc: Y.Doc; deltas: Uint8Array[] } {
  const doc = new Y.Doc();
  doc.clientID = 77;
  const deltas: Uint8Array[] = [];
  let vector = Y.encodeStateVector(doc);
  for (let at = 0; at < count; at++) {
    doc.getText("t").insert(0, `${word}${at} `);
    if (at > 1) doc.getText("t").delete(3, 1);
    deltas.push(Y.encodeStateAsUpdate(doc, vector));
    vector = Y.encodeStateVector(doc);
  }
  return { doc, deltas };
}

const { doc, deltas } = sessions(300);

function both(): TakeoverObject {
  const values = new Map<string, unknown>();
  writeKvLayout(values, { checkpoint: Y.mergeUpdates(deltas.slice(0, 100)), journal: deltas.slice(100), chunkSizeBytes: 100 });
  const object = new TakeoverObject(new MemoryLegacy(values));
  writeSqlLayout(object.legacy.sql, { snapshot: Y.mergeUpdates(deltas.slice(0, 200)), journal: deltas.slice(200), chunkBytes: 200 });
  return object;
}

/** Begins a clean-up and has the instance evicted after so many turns. Whether it came to its end. */
function cleanFor(object: TakeoverObject, stop: number): boolean {
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
  return report !== null;
}

describe("a clean-up that is broken off", () => {
  it("[TK13] leaves nothing to be mistaken at any turn: the next opening unites what is left, loses nothing, and deletes nothing by itself", () => {
    let broken = 0;
    for (let stop = 2; ; stop++) {
      const object = both();
      object.opened();
      const isOver = cleanFor(object, stop);
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
      expect(cleanFor(object, Infinity)).toBe(true);
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
        if (cleanFor(object, stop)) break;
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
    cleanFor(object, Infinity);
    expect(object.legacy.sql.exec(`SELECT mine FROM journal`)).toEqual([{ mine: "b" }]);
    expect(values.size).toBe(0);
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

describe("attachments", () => {
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
