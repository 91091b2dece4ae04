/** What the older servers themselves could read must be read here, however odd; and what many problems at once do to an admin's decision. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { acceptLoss } from "../../src/takeover/decisions.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { oldSqlLoads } from "../kit/old-loader.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";
import { clean, kvObject, sessions, snapshotOf, vault } from "./small-vaults.ts";

const { doc, deltas } = sessions(300);
const whole = Y.encodeStateAsUpdate(doc);

describe("PR #51's rows as its server read them", () => {
  const cases: [string, (object: TakeoverObject) => void][] = [
    [
      "a row behind the snapshot",
      ({ legacy: { sql } }) => {
        writeSqlLayout(sql, { snapshot: whole, chunkBytes: 400 });
        sql.exec(`INSERT INTO snapshot_chunks SELECT max(chunk_index) + 1, zeroblob(100) FROM snapshot_chunks`);
      },
    ],
    [
      "chunks numbered with gaps",
      ({ legacy: { sql } }) => {
        writeSqlLayout(sql, { snapshot: whole, chunkBytes: 400 });
        sql.exec(`UPDATE snapshot_chunks SET chunk_index = -(chunk_index * 2 + 1)`);
        sql.exec(`UPDATE snapshot_chunks SET chunk_index = -chunk_index`);
      },
    ],
    ["bytes behind a row's update", ({ legacy: { sql } }) => writeSqlLayout(sql, { journal: [Uint8Array.from([...whole, 9, 9, 9])] })],
  ];
  it.each(cases)("[TK2] [TK19] %s: whole, named, no loss", (_what, write) => {
    const object = new TakeoverObject();
    write(object);
    const old = oldSqlLoads(object.legacy.sql);
    expect(old instanceof Y.Doc && snapshotOf(old)).toBe(snapshotOf(doc));
    const opening = object.opened();
    expect(opening.view.missing).toBeNull();
    expect(opening.as.record?.problems).toHaveLength(1);
    expect(snapshotOf(object.joined(opening).doc)).toBe(snapshotOf(doc));
  });

  it("[TK2] a snapshot with a row gone from its middle is a loss all the same", () => {
    const object = new TakeoverObject();
    writeSqlLayout(object.legacy.sql, { snapshot: whole, chunkBytes: 400 });
    object.legacy.sql.exec(`DELETE FROM snapshot_chunks WHERE chunk_index = 3`);
    expect(object.opened().view.missing).toMatchObject({ isUnnamed: true });
  });
});

describe("the pre-chunk document", () => {
  const old = vault(1, (made) => made.getMap("meta").set("id1", { path: "Deleted.md" }));
  const beside = (damaged: Y.Doc): TakeoverObject => {
    const values = new Map<string, unknown>([["document", Y.encodeStateAsUpdate(old)]]);
    writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(damaged), journal: [Y.encodeStateAsUpdate(vault(3, (made) => made.getMap("sys").set("initialized", true)))], shape: "copy" });
    const chunk = values.get("document:checkpoint:chunk:1:0") as Uint8Array;
    chunk[Buffer.from(chunk).indexOf("xxxx")]! ^= 1;
    return kvObject(values);
  };

  it("[TK3] stays out beside a loss that may have deleted its files", () => {
    const object = beside(
      vault(2, (made) => {
        made.getMap("meta").set("id2", { path: "Deleted.md", deletedAt: 5 });
        made.getText("t").insert(0, "xxxxxxxx");
      }),
    );
    const opening = object.opened();
    expect(opening.as.record).toMatchObject({ state: "incomplete", document: "left" });
    expect(object.joined(opening).doc.getMap("meta").size).toBe(0);
  });

  it("[TK3] stays out beside any loss: bytes that nothing proves do not say what was in them", () => {
    const object = beside(vault(2, (made) => made.getMap("sys").set("migratedBy", "xxxxxxxx")));
    expect(object.opened().as.record).toMatchObject({ state: "incomplete", document: "left" });
    const rows = new TakeoverObject(new MemoryLegacy(new Map([["document", Y.encodeStateAsUpdate(old)]])));
    writeSqlLayout(rows.legacy.sql, { journal: [Y.encodeStateAsUpdate(old), Y.encodeStateAsUpdate(vault(4, (made) => made.getText("t").insert(0, "text")))] });
    rows.legacy.sql.exec(`DELETE FROM journal WHERE id = 1`);
    expect(rows.opened().as.record).toMatchObject({ state: "incomplete", document: "left" });
  });
});

describe("very many problems", () => {
  const damaged = (odd: number, lost: readonly number[]): TakeoverObject => {
    const values = new Map<string, unknown>();
    writeKvLayout(values, { journal: deltas, shape: "copy" });
    for (let seq = 1; seq <= odd; seq++) (values.get(`document:journal:manifest:${seq}`) as { chunkSizeBytes: number }).chunkSizeBytes = 3;
    for (const seq of lost) (values.get(`document:journal:chunk:${seq}:0`) as Uint8Array)[9]! ^= 1;
    return new TakeoverObject(new MemoryLegacy(values));
  };

  it("[TK16] [TK17] do not hide the loss among them", () => {
    const object = damaged(250, [255]);
    object.opened();
    expect(readRecord(object.legacy.sql)?.problems[0]).toMatchObject({ key: "document:journal:manifest:255", isLoss: true });
    expect(object.turn(() => acceptLoss(object.host.sql))).toMatchObject({ status: "done", settled: [expect.stringContaining("manifest:255")] });
    expect(object.opened()).toMatchObject({ view: { missing: null }, as: { record: { state: "complete" } } });
  });

  it("[TK16] are settled at once when they are losses, for this state of the old storage", () => {
    const object = damaged(0, Array.from({ length: 250 }, (_, at) => at + 11));
    expect(object.opened().view.missing).not.toBeNull();
    object.turn(() => acceptLoss(object.host.sql));
    expect(object.opened().view.missing).toBeNull();
    expect(readRecord(object.legacy.sql)?.losses).toEqual([]);
    object.legacy.values.set("document:journal:meta", { ...(object.legacy.values.get("document:journal:meta") as object), updatedAt: "later" });
    expect(object.opened()).toMatchObject({ as: { movedNow: true }, view: { missing: null } });
  });
});

describe("bytes that only look like an update", () => {
  it.each([
    ["the first chunk of a snapshot", ({ sql }: MemoryLegacy) => writeSqlLayout(sql, { snapshot: whole, chunkBytes: 400 }), `UPDATE snapshot_chunks SET data = zeroblob(length(data)) WHERE chunk_index = 0`],
    ["a row in the middle", ({ sql }: MemoryLegacy) => writeSqlLayout(sql, { journal: deltas.slice(0, 6) }), `UPDATE journal SET data = zeroblob(length(data)) WHERE id = 3`],
    ["the last row", ({ sql }: MemoryLegacy) => writeSqlLayout(sql, { journal: deltas.slice(0, 6) }), `UPDATE journal SET data = zeroblob(length(data)) WHERE id = 6`],
  ])("[TK2] zeroed: %s is a loss, and no clean-up takes it", (_what, write, tear) => {
    const object = new TakeoverObject();
    write(object.legacy);
    object.legacy.sql.exec(tear);
    expect(object.opened().view.missing).not.toBeNull();
    expect(clean(object)).toMatchObject({ status: "aborted", rowsDeleted: 0 });
  });

  it("[TK2] a document of zeroes is no document", () => {
    const object = kvObject(new Map([["document", new Uint8Array(200)]]));
    expect(object.opened().view.missing).not.toBeNull();
  });
});

describe("a loss whose clocks are elsewhere", () => {
  it("[TK10] is none when its deletions are there too, and one when they are not", () => {
    const before = vault(1, (made) => made.getText("t").insert(0, "hello old world"));
    for (const hasDeletions of [true, false]) {
      const after = vault(2, (made) => made.getText("t").delete(0, 6), before);
      const values = new Map<string, unknown>();
      writeKvLayout(values, { checkpoint: Y.encodeStateAsUpdate(after), shape: "copy" });
      const chunk = values.get("document:checkpoint:chunk:1:0") as Uint8Array;
      chunk[Buffer.from(chunk).indexOf("old")]! ^= 1;
      values.delete("document:checkpoint:state-vector:1");
      const object = kvObject(values);
      writeSqlLayout(object.legacy.sql, { snapshot: Y.encodeStateAsUpdate(hasDeletions ? after : before) });
      expect(object.opened().view.missing === null).toBe(hasDeletions);
    }
  });
});
