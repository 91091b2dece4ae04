import { expect, test } from "vitest";
import * as Y from "yjs";
import { type DocumentSummary, DocumentSummaryCounter } from "../../src/report/document-summary.ts";
import { DeleteSetBuilder } from "../../src/update/delete-set.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { Random } from "../kit/random.ts";
import { vaultHistory } from "./vault-histories.ts";

const HISTORIES = 400;

function countBytes(updates: readonly Uint8Array[], deletesOf: readonly Uint8Array[] = updates): DocumentSummary {
  const deletes = new DeleteSetBuilder();
  for (const update of deletesOf) readUpdate(update, { deleteRange: (client, clock, length) => deletes.add(client, clock, length) });
  const counter = new DocumentSummaryCounter(deletes.build());
  for (const update of updates) readUpdate(update, counter.visitor(update));
  return counter.finish();
}

/** The same counts from a document, by the words of the compat sheet. */
function countDocument(doc: Y.Doc): DocumentSummary {
  const meta = doc.getMap<unknown>("meta");
  const pathToId = doc.getMap<unknown>("pathToId");
  const idToText = doc.getMap<unknown>("idToText");
  const files = [...meta.values()].map((value) => (value instanceof Y.Map ? value.toJSON() : value)) as unknown[];
  const readable = files.filter(
    (value): value is { path: string; deleted?: unknown; deletedAt?: unknown } =>
      typeof value === "object" && value !== null && typeof (value as { path?: unknown }).path === "string",
  );
  const isDeleted = (file: (typeof readable)[number]): boolean => file.deleted === true || Number.isFinite(file.deletedAt);
  const active = readable.filter((file) => !isDeleted(file));
  const named = active.filter((file) => Boolean(pathToId.get(file.path)));
  const withText = named.filter((file) => idToText.has(pathToId.get(file.path) as string));
  const paths = new Set(active.map((file) => file.path));
  return {
    activePathCount: active.length,
    tombstonedPathCount: readable.length - active.length,
    metaCount: meta.size,
    pathToIdCount: pathToId.size,
    idToTextCount: idToText.size,
    activePathsWithText: withText.length,
    activePathsMissingFromPathToId: active.length - named.length,
    activePathsMissingText: named.length - withText.length,
    pathToIdWithoutActiveMeta: [...pathToId.keys()].filter((path) => !paths.has(path)).length,
    schemaVersion: (doc.getMap("sys").get("schemaVersion") ?? null) as DocumentSummary["schemaVersion"],
  };
}

test("[DB3] counts from bytes equal counts from a document, whatever the form of the bytes", () => {
  let active = 0;
  let nested = 0;
  for (let seed = 1; seed <= HISTORIES; seed++) {
    const random = new Random(seed);
    const log = vaultHistory(random, random.int(5, 60));
    const doc = new Y.Doc();
    doc.transact(() => {
      for (const update of log) Y.applyUpdate(doc, update);
    });
    const kept = new Y.Doc({ gc: false });
    for (const update of log) Y.applyUpdate(kept, update);
    const wanted = countDocument(doc);
    active += wanted.activePathCount;
    for (const value of doc.getMap("meta").values()) if (value instanceof Y.Map) nested++;

    expect(countBytes(log), `seed ${seed}: as sent`).toEqual(wanted);
    expect(countBytes(random.shuffle(log)), `seed ${seed}: in any order`).toEqual(wanted);
    expect(countBytes([...random.shuffle(log), ...log]), `seed ${seed}: twice`).toEqual(wanted);
    const whole = Y.encodeStateAsUpdate(doc);
    expect(countBytes([whole]), `seed ${seed}: squashed and stripped`).toEqual(wanted);
    expect(countBytes([Y.encodeStateAsUpdate(kept)]), `seed ${seed}: squashed, not stripped`).toEqual(wanted);
    expect(countBytes([whole, ...log]), `seed ${seed}: stripped and whole`).toEqual(wanted);
    const middle = random.int(0, log.length);
    const half = log.length === 0 ? [] : [Y.mergeUpdates(log.slice(0, middle + 1)), Y.mergeUpdates(log.slice(middle))];
    expect(countBytes(half), `seed ${seed}: merged`).toEqual(wanted);
    const vector = new Map([...Y.decodeStateVector(Y.encodeStateVector(doc))].map(([client, clock]) => [client, random.int(0, clock)]));
    const cut = Y.diffUpdate(whole, Y.encodeStateVector(vector));
    const before = Y.mergeUpdates([Y.encodeStateAsUpdate(kept), cut]);
    expect(countBytes([cut, before]), `seed ${seed}: cut`).toEqual(wanted);
  }
  // The histories must be about something.
  expect(active).toBeGreaterThan(HISTORIES);
  expect(nested).toBeGreaterThan(HISTORIES / 4);
});

test("[DB3] concurrent sets of one key whose losing value nobody deleted count once", () => {
  const sets = [5, 9, 7].map((client) => {
    const doc = new Y.Doc();
    doc.clientID = client;
    doc.getMap("meta").set("id", { path: `${client}.md` });
    doc.getMap("sys").set("schemaVersion", client);
    return Y.encodeStateAsUpdate(doc);
  });
  const summary = countBytes(sets);
  expect(summary.metaCount).toBe(1);
  expect(summary.activePathCount).toBe(1);
  expect(summary.schemaVersion).toBe(9);
});

test("[DB3] text leaves nothing behind in the counter", () => {
  const doc = new Y.Doc();
  const text = new Y.Text();
  doc.getMap("idToText").set("a", text);
  // Typed at the end, as a map value is: no right origin. Then cut into many runs.
  text.insert(0, "word ".repeat(6_000));
  for (let at = 0; at < text.length - 3; at += 5) text.delete(at, 3);
  for (let round = 0; round < 3_000; round++) text.insert((round * 7) % text.length, "more ");
  const update = Y.encodeStateAsUpdate(doc);
  const deletes = new DeleteSetBuilder();
  readUpdate(update, { deleteRange: (client, clock, length) => deletes.add(client, clock, length) });
  const counter = new DocumentSummaryCounter(deletes.build());
  readUpdate(update, counter.visitor(update));
  expect(counter.estimateBytes).toBeLessThan(1_000);
  expect(counter.finish().idToTextCount).toBe(1);
});

test("[DB3] a set that follows a hole finds its predecessor in another update", () => {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (const version of [1, 2, 3]) doc.getMap("sys").set("schemaVersion", version);
  const holed = Y.mergeUpdates([updates[0]!, updates[2]!]);
  expect(countBytes([holed, updates[1]!]).schemaVersion).toBe(3);
  expect(countBytes([holed]).schemaVersion).toBe(1);
});

test("[DB3] of a squashed item the last value counts (T4)", () => {
  const name = (text: string): number[] => [text.length, ...Buffer.from(text)];
  // One client, one struct: ContentAny with a map key under root "sys", two values: {path: [true, "x"]} and 7.
  const squashed = [118, 1, ...name("path"), 117, 2, 120, 119, ...name("x"), 125, 7];
  const update = Uint8Array.from([1, 1, 1, 0, 0x28, 1, ...name("sys"), ...name("schemaVersion"), 2, ...squashed, 0]);
  expect(countBytes([update]).schemaVersion).toBe(7);
});

test("[DB3] an empty vault counts nothing", () => {
  expect(countBytes([])).toEqual(countDocument(new Y.Doc()));
});
