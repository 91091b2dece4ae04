/** The whole takeover over every fixture and over vaults written by our own writers, in turns that may be the last of an instance. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { retryMove } from "../../src/takeover/decisions.ts";
import { readRecord } from "../../src/takeover/record.ts";
import { type LegacyFixture, loadFixture, MemoryLegacy, openObjectFile } from "../kit/legacy-storage.ts";
import { writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const LEGACY = join(FIXTURES, "legacy-kv");
const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const snapshotOf = (doc: Y.Doc): string => hex(Y.encodeSnapshot(Y.snapshot(doc)));

/** A vault as an older server comes to it: one session of a client after another, each saved as what is newer plus all deletions. */
function sessions(count: number): { doc: Y.Doc; deltas: Uint8Array[] } {
  const doc = new Y.Doc();
  const deltas: Uint8Array[] = [];
  let vector = Y.encodeStateVector(doc);
  for (let at = 0; at < count; at++) {
    const client = new Y.Doc();
    Y.applyUpdate(client, Y.encodeStateAsUpdate(doc));
    client.clientID = 100 + (at % 3);
    const text = new Y.Text(`note ${at} with some words, and a café 漢字 🧭 at its end`);
    client.getMap("idToText").set(`id${at}`, text);
    client.getMap("meta").set(`id${at}`, { path: `Folder/Note ${at}.md` });
    client.getMap<Y.Text>("idToText").get("id0")!.insert(3, `edit ${at} `);
    if (at > 1) client.getMap<Y.Text>("idToText").get(`id${at - 1}`)!.delete(2, 9);
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(client));
    deltas.push(Y.encodeStateAsUpdate(doc, vector));
    vector = Y.encodeStateVector(doc);
  }
  return { doc, deltas };
}

function kvObject(options: Parameters<typeof writeKvLayout>[1]): TakeoverObject {
  const values = new Map<string, unknown>();
  writeKvLayout(values, options);
  return new TakeoverObject(new MemoryLegacy(values));
}

/** Everything of the old storage, to show that nobody touched it. */
function oldStorage(object: TakeoverObject): string {
  const tables = ["snapshot_chunks", "journal", "_migration_meta", "sqlite_sequence"].filter(
    (name) => object.legacy.sql.exec(`SELECT 1 FROM sqlite_schema WHERE name = ?`, name).length > 0,
  );
  const plain = (value: unknown): unknown => (ArrayBuffer.isView(value) ? hex(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) : value instanceof ArrayBuffer ? hex(new Uint8Array(value)) : value);
  return JSON.stringify([[...object.legacy.values].filter(([key]) => key !== "roomMeta").map(([key, value]) => [key, plain(value)]), tables.map((name) => object.legacy.sql.exec(`SELECT * FROM ${name}`).map((row) => Object.values(row).map(plain)))]);
}

describe("takeover of the fixtures", () => {
  for (const file of readdirSync(LEGACY).filter((name) => name.endsWith(".json"))) {
    const fixture = JSON.parse(readFileSync(join(LEGACY, file), "utf8")) as LegacyFixture & { expected: { outcome: string; snapshot?: string; reason: string | null } };
    it(`[TK1] ${file}`, () => {
      const object = new TakeoverObject(new MemoryLegacy(loadFixture(fixture)));
      const before = oldStorage(object);
      const opening = object.opened();
      const client = object.joined(opening);
      expect(oldStorage(object)).toBe(before);
      if (fixture.expected.outcome === "loads") {
        expect(hex(Y.encodeSnapshot(Y.snapshot(client.doc)))).toBe(hex(bytesOf(fixture.expected.snapshot!)));
        expect(opening.view.missing).toBeNull();
        expect(client.texts.join()).not.toContain("incomplete");
      } else {
        expect(opening.view.missing).not.toBeNull();
        expect(opening.as.record?.problems.find((problem) => problem.isLoss)?.reason).toBe(fixture.expected.reason);
        expect(client.texts.join()).toContain("incomplete");
      }
      // Opened once more, nothing is done again.
      const again = object.opened();
      expect([again.as.movedNow, object.turns]).toEqual([false, 1]);
    });
  }

  for (const [name, file] of [
    ["in-place/kv", "in-place/kv/room-small.sqlite"],
    ["in-place/sql", "in-place/sql/room-small.sqlite"],
  ] as const) {
    it(`[TK1] the object file ${name}`, () => {
      const object = new TakeoverObject(openObjectFile(join(FIXTURES, file)));
      const before = oldStorage(object);
      const client = object.joined(object.opened());
      const expected = new Y.Doc();
      Y.applyUpdate(expected, new Uint8Array(readFileSync(join(FIXTURES, file.replace(".sqlite", ".update")))));
      expect(snapshotOf(client.doc)).toBe(snapshotOf(expected));
      expect(client.doc.getMap("idToText").toJSON()).toEqual(expected.getMap("idToText").toJSON());
      expect(oldStorage(object)).toBe(before);
    });
  }

  for (const name of readdirSync(join(LEGACY, "realdo"))) {
    it(`[TK1] the real object ${name}`, () => {
      const dir = join(LEGACY, "realdo", name);
      const object = new TakeoverObject(openObjectFile(join(dir, readdirSync(dir).find((file) => file.endsWith(".sqlite"))!)));
      const expected = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8")) as { snapshot: string };
      const opening = object.opened();
      expect(hex(Y.encodeSnapshot(Y.snapshot(object.joined(opening).doc)))).toBe(hex(bytesOf(expected.snapshot)));
      expect(opening.as.record?.marker).toMatchObject({ migration_completed: "true", active_path_count: "19" });
    });
  }
});

describe("a move that is broken off", () => {
  const { doc, deltas } = sessions(12);
  const layouts = {
    kv: () => kvObject({ checkpoint: Y.mergeUpdates(deltas.slice(0, 5)), journal: deltas.slice(5), chunkSizeBytes: 300 }),
    sql: () => {
      const object = new TakeoverObject();
      writeSqlLayout(object.legacy.sql, { snapshot: Y.mergeUpdates(deltas.slice(0, 7)), journal: deltas.slice(7), chunkBytes: 500 });
      return object;
    },
    both: () => {
      // The server was put back once: each layout has something the other lacks.
      const object = kvObject({ journal: [...deltas.slice(0, 8)] });
      writeSqlLayout(object.legacy.sql, { snapshot: Y.mergeUpdates(deltas.slice(0, 4)), journal: deltas.slice(4) });
      return object;
    },
  };
  for (const [name, make] of Object.entries(layouts)) {
    it(`[TK4] ${name}: evicted after each of its turns, it goes on and ends the same`, () => {
      const whole = make();
      whole.opened();
      const { turns } = whole;
      expect(turns).toBeGreaterThan(3);
      for (let stop = 1; stop < turns; stop++) {
        const object = make();
        const before = oldStorage(object);
        expect(object.open({}, stop)).toBeNull();
        const opening = object.opened();
        expect(snapshotOf(object.joined(opening).doc)).toBe(snapshotOf(doc));
        expect(opening.as.record?.state).toBe("complete");
        expect(oldStorage(object)).toBe(before);
      }
    });

    it(`[TK4] ${name}: killed at any statement and any commit`, () => {
      const whole = make();
      whole.opened();
      const { statements, commits } = whole.host.sql as unknown as { statements: number; commits: number };
      const faults = [
        ...Array.from({ length: statements }, (_, at) => ({ crashAtStatement: at + 1 })),
        ...Array.from({ length: commits }, (_, at) => ({ failCommit: at + 1 })),
        ...Array.from({ length: commits }, (_, at) => ({ crashAfterCommit: at + 1 })),
      ];
      for (const fault of faults) {
        const object = make();
        expect(object.open(fault)).toBeNull();
        const opening = object.opened();
        expect(snapshotOf(object.joined(opening).doc), JSON.stringify(fault)).toBe(snapshotOf(doc));
      }
    });
  }

  it("[TK4] is given up after some attempts that brought nothing, and tried again when an admin says so", () => {
    const object = layouts.kv();
    for (let attempt = 0; attempt < LIMITS.maxTakeoverAttempts; attempt++) expect(object.open({}, 2)).toBeNull();
    const stuck = object.opened();
    expect(stuck.view.refusal).toContain("broken off 5 times");
    expect(object.opened().view.refusal).not.toBeNull();
    const client = object.joined(stuck);
    expect([client.answers, client.texts.join()]).toEqual([0, expect.stringContaining("broken off")]);
    object.turn(() => retryMove(object.host.sql));
    expect(snapshotOf(object.joined(object.opened()).doc)).toBe(snapshotOf(doc));
  });

  it("[TK4] is not given up while it gets on", () => {
    const object = layouts.kv();
    for (let attempt = 1; attempt < LIMITS.maxTakeoverAttempts; attempt++) expect(object.open({}, 2)).toBeNull();
    const whole = layouts.kv();
    whole.opened();
    // In the last of its turns but one everything is stored.
    expect(object.open({}, whole.turns - 1)).toBeNull();
    expect(readRecord(object.legacy.sql)).toMatchObject({ attempts: LIMITS.maxTakeoverAttempts, progress: 0 });
    const opening = object.opened();
    expect(opening.view.refusal).toBeNull();
    expect(snapshotOf(object.joined(opening).doc)).toBe(snapshotOf(doc));
  });

  it("[TK4] goes on over rows of ours that are damaged: what was in them comes from the old storage again", () => {
    const object = layouts.kv();
    object.opened();
    object.legacy.sql.exec(`UPDATE room_chunk SET data = zeroblob(length(data))`);
    const meta = object.legacy.values.get("document:journal:meta") as object;
    object.legacy.values.set("document:journal:meta", { ...meta, updatedAt: "an older server wrote" });
    const opening = object.opened();
    expect([opening.view, opening.as.record?.state]).toMatchObject([{ refusal: null, missing: null }, "complete"]);
    expect(snapshotOf(object.joined(opening).doc)).toBe(snapshotOf(doc));
  });

  it("[TK8] leaves one marker, in the turn that ends the move", () => {
    let object = layouts.both();
    for (let stop = 1; object.open({}, stop) === null; stop++) {
      const record = readRecord(object.legacy.sql);
      if (record !== null) expect([record.state, record.marker]).toEqual(["moving", {}]);
      object = layouts.both();
    }
    expect(readRecord(object.legacy.sql)).toMatchObject({
      state: "complete",
      marker: { migration_completed: "true", source_format: "kv+sql", source_entries: "17", active_path_count: "12", lost_entries: "0" },
    });
    expect(object.legacy.sql.exec(`SELECT * FROM _migration_meta`)).toEqual([]);
  });

  it("[TK7] [TK8] says so when what was stored is not what the sources have", () => {
    const key = "document:journal:chunk:1:0";
    /** An entry whose bytes are others from its `from`-th reading on, as a row that rots while it is moved. */
    const rotting = (from: number): { object: TakeoverObject; reads: () => number } => {
      const object = kvObject({ journal: deltas.slice(0, 3) });
      const { legacy } = object;
      const get = legacy.get.bind(legacy);
      let reads = 0;
      legacy.get = (asked) => {
        const value = get(asked);
        if (asked !== key || ++reads < from) return value;
        const bytes = value as Uint8Array;
        bytes[Buffer.from(bytes).indexOf("edit 0")]! ^= 1;
        return bytes;
      };
      return { object, reads: () => reads };
    };
    const sound = rotting(Infinity);
    expect(sound.object.opened().as.record).toMatchObject({ state: "complete", problems: [], marker: { migration_completed: "true" } });
    const { object } = rotting(sound.reads());
    const opening = object.opened();
    expect(opening.as.record).toMatchObject({
      state: "incomplete",
      problems: [{ key: "verification", reason: expect.stringMatching(/^digest of client \d+ differs$/), isLoss: true }],
      marker: { migration_completed: "false" },
    });
    expect(object.joined(opening).texts.join()).toContain("vault incomplete: digest of client");
  });
});
