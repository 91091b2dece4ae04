/** What is found of older servers' layouts, and what each of their validations becomes. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { findLegacy } from "../../src/takeover/find-legacy.ts";
import type { LegacyEntry, LegacyFindings } from "../../src/takeover/legacy.ts";
import { lostVectorOf } from "../../src/takeover/kv-vector.ts";
import { readMigrationMeta } from "../../src/takeover/sql-layout.ts";
import { type LegacyFixture, loadFixture, MemoryLegacy, openObjectFile, viewOf } from "../kit/legacy-storage.ts";
import { writeCheckpoint, writeJournalEntry, writeKvLayout } from "../kit/legacy-writer.ts";
import { CHUNK_BYTES, damageOf, EXAMPLE, exampleLegacy, EXPECTED, losses, names, notes, readWhole, snapshotOf } from "./layout-examples.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const POINTER = "document:checkpoint:current";
const META = "document:journal:meta";

/** Every document key is accounted for: it belongs to an entry, or to none. */
function expectKeysComplete(legacy: MemoryLegacy, found: LegacyFindings): void {
  const claimed = [...found.entries.flatMap((entry) => entry.keys), ...found.otherKeys];
  expect(new Set(claimed).size, "each key once").toBe(claimed.length);
  const there = [...legacy.values.keys()].filter((key) => key === "document" || /^document:(?:checkpoint|journal):/.test(key));
  expect(there.filter((key) => !claimed.includes(key))).toEqual([]);
  expect(claimed.filter((key) => key !== "document" && !/^document:(?:checkpoint|journal):/.test(key))).toEqual([]);
}

function fixture(file: string): { legacy: MemoryLegacy; expected: { outcome: string; reason: string | null; snapshot?: string; stateVector?: string; journalEntries?: number } } {
  const parsed = JSON.parse(readFileSync(join(FIXTURES, "legacy-kv", file), "utf8")) as LegacyFixture & { expected: never };
  return { legacy: new MemoryLegacy(loadFixture(parsed)), expected: parsed.expected };
}

describe("fixtures", () => {
  const files = readdirSync(join(FIXTURES, "legacy-kv")).filter((file) => file.endsWith(".json"));
  test.each(files)("[TK1] %s: live entries add up to what the old server loads", (file) => {
    const { legacy, expected } = fixture(file);
    const found = findLegacy(legacy);
    expectKeysComplete(legacy, found);
    const live = found.entries.filter((entry) => entry.isLive);
    if (expected.outcome === "loads") {
      expect(losses(found)).toEqual([]);
      if (expected.snapshot !== undefined) expect(snapshotOf(live)).toBe(expected.snapshot);
      else expect(Buffer.from(stateVectorOf(live)).toString("base64")).toBe(expected.stateVector);
      if (expected.journalEntries !== undefined) expect(live.filter((entry) => entry.kind === "journal").length).toBe(expected.journalEntries);
    } else {
      const reasons = [...found.problems.filter((problem) => problem.isLoss).map(({ reason }) => reason), ...live.map(damageOf).flatMap((damage) => damage?.reason ?? [])];
      expect(reasons).toContain(expected.reason);
    }
  });

  test("[TK1] e01: a pointer to a missing manifest keeps the journal, and the vector that outlived it says what is gone", () => {
    const { legacy } = fixture("e01-pointer-to-missing-manifest.json");
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual(["document:checkpoint:manifest:1: checkpoint manifest missing or invalid for version 1"]);
    expect(found.entries.length).toBe(30);
    expect(found.lostVectors.map((vector) => vector.size)).toEqual([1]);
    expect(found.otherKeys).toEqual([POINTER, "document:checkpoint:chunk:1:0", "document:checkpoint:state-vector:1", META]);
  });

  test("[TK1] e02: chunks of unpublished versions are named and not used", () => {
    const { legacy } = fixture("e02-orphan-chunks-of-newer-version.json");
    const found = findLegacy(legacy);
    expect(notes(found)).toEqual(["document:checkpoint:manifest:2: 2 checkpoints with chunks and no manifest: never published, or replaced"]);
    expect(found.otherKeys).toContain("document:checkpoint:chunk:2:2");
    expect(found.otherKeys).toContain("document:checkpoint:chunk:3:0");
  });

  test.each([
    ["main-journal-only", ["journal"]],
    ["sqlbranch-journal-only", ["sql-journal"]],
    ["sqlbranch-migrated-from-main", ["journal", "sql-snapshot"]],
  ])("[TK1] realdo/%s: every layout of a real object's file is found, none hides another", (folder, kinds) => {
    const path = join(FIXTURES, "legacy-kv/realdo", folder);
    const legacy = openObjectFile(join(path, readdirSync(path).find((file) => file.endsWith(".sqlite"))!));
    const expected = JSON.parse(readFileSync(join(path, "expected.json"), "utf8")) as { snapshot: string; upstreamAfterReload: { storage: { migrationMeta: unknown } | null } };
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect([...new Set(found.entries.map((entry) => entry.kind))]).toEqual(kinds);
    for (const kind of kinds) expect(snapshotOf(found.entries.filter((entry) => entry.kind === kind)), kind).toBe(expected.snapshot);
    expect(readMigrationMeta(legacy.sql)).toEqual(expected.upstreamAfterReload.storage?.migrationMeta ?? null);
  });

  test("[TK1] the dump of a real object, with the views the runtime gave back, is the same vault as its file", () => {
    const path = join(FIXTURES, "legacy-kv/realdo/main-journal-only");
    const legacy = new MemoryLegacy(loadFixture(JSON.parse(readFileSync(join(path, "kv.json"), "utf8")) as LegacyFixture));
    const { snapshot } = JSON.parse(readFileSync(join(path, "expected.json"), "utf8")) as { snapshot: string };
    expect(snapshotOf(findLegacy(legacy).entries)).toBe(snapshot);
  });

  test.each(["kv", "sql"])("[TK1] in-place/%s: the file of a real object holds what its client held", (folder) => {
    const legacy = openObjectFile(join(FIXTURES, "in-place", folder, "room-small.sqlite"));
    const doc = new Y.Doc();
    Y.applyUpdate(doc, readFileSync(join(FIXTURES, "in-place", folder, "room-small.update")));
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect(snapshotOf(found.entries)).toBe(Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("base64"));
  });
});

function stateVectorOf(entries: readonly LegacyEntry[]): Uint8Array {
  const doc = new Y.Doc();
  for (const entry of entries) Y.applyUpdate(doc, readWhole(entry));
  return Y.encodeStateVector(doc);
}

describe("the key-value layout", () => {
  test("[TK1] an empty object has nothing", () => {
    expect(findLegacy(new MemoryLegacy())).toEqual({ entries: [], problems: [], lostVectors: [], otherKeys: [] });
  });

  test.each(["view", "copy", "ArrayBuffer", "DataView"] as const)("[TK1] chunks stored as %s: checkpoint first, then the journal in the order of numbers", (shape) => {
    const legacy = exampleLegacy(shape);
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect(names(found.entries)).toEqual(["document:checkpoint:manifest:3", ...Array.from({ length: 12 }, (_, index) => `document:journal:manifest:${index + 1}`)]);
    expect(found.entries[0]!.partSizes.length).toBe(4);
    expect(snapshotOf(found.entries)).toBe(EXPECTED);
    expectKeysComplete(legacy, found);
    expect(found.entries[0]!.keys.length).toBe(6);
    // Entries may be spread, as one that is to be read without its hash is.
    expect(readWhole({ ...found.entries[0]!, sha256: null })).toEqual(EXAMPLE.checkpoint);
    expect(found.otherKeys).toEqual([POINTER, META]);
  });

  test("[TK1] the pre-chunk document comes first, whatever container it is in", () => {
    for (const value of [EXAMPLE.checkpoint, EXAMPLE.checkpoint.slice().buffer, viewOf(EXAMPLE.checkpoint, 100)]) {
      const legacy = exampleLegacy();
      legacy.values.set("document", value);
      const [document] = findLegacy(legacy).entries;
      expect(document).toMatchObject({ kind: "document", name: "document", keys: ["document"], sha256: null });
      expect(readWhole(document!)).toEqual(EXAMPLE.checkpoint);
    }
    const legacy = new MemoryLegacy(new Map([["document", "text"]]));
    expect(damageOf(findLegacy(legacy).entries[0]!)).toEqual({ key: "document", reason: "invalid binary payload for document" });
  });

  test("[TK1] thousands of chunks, few of them in memory at once", () => {
    const legacy = new MemoryLegacy();
    const bytes = new Uint8Array(40_000).map((_, index) => index * 31);
    writeKvLayout(legacy.values, { checkpoint: Y.encodeStateAsUpdate(new Y.Doc()), shape: "view" });
    writeJournalEntry(legacy.values, 1, bytes, { chunkSizeBytes: 10, shape: "view" });
    legacy.values.set(META, { format: "yaos-doc-journal-v1", nextSeq: 2, entryCount: 1, totalBytes: 40_000, updatedAt: "x" });
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect(found.entries[1]!.partSizes.length).toBe(4_000);
    expect(readWhole(found.entries[1]!)).toEqual(bytes);
    expect(legacy.largestReadBytes).toBeLessThanOrEqual(4 * 40_000);
  });

  test("[TK1] a whole entry of no bytes has no parts", () => {
    const legacy = new MemoryLegacy();
    writeJournalEntry(legacy.values, 1, new Uint8Array(0));
    legacy.values.set(META, { format: "yaos-doc-journal-v1", nextSeq: 2, entryCount: 1, totalBytes: 0, updatedAt: "x" });
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect(found.entries[0]).toMatchObject({ byteLength: 0, partSizes: [], isLive: true });
  });

  test("[TK1] keys of other things are left alone, unknown ones of the document are named", () => {
    const legacy = exampleLegacy();
    for (const key of ["roomMeta", "trace:1779267600000:3451bd1b13c4", "__ps_name", "documents", "debugTraceRing"]) legacy.values.set(key, "x");
    for (const key of ["document:journal:chunk:01:0", "document:journal:chunk:1", "document:checkpoint:manifest:99999999999999999999"]) legacy.values.set(key, new Uint8Array(3));
    const found = findLegacy(legacy);
    expectKeysComplete(legacy, found);
    expect(snapshotOf(found.entries)).toBe(EXPECTED);
    expect(notes(found).length).toBe(2);
    expect(losses(found)).toEqual([]);
  });
});

describe("what a lost pointer or metadata no longer names", () => {
  test("[TK1] without a pointer the checkpoint is live all the same", () => {
    const legacy = exampleLegacy();
    legacy.values.delete(POINTER);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([]);
    expect(notes(found)).toEqual([`${POINTER}: checkpoint pointer missing although 1 checkpoint manifests exist`]);
    expect(found.entries.every((entry) => entry.isLive)).toBe(true);
    expect(snapshotOf(found.entries)).toBe(EXPECTED);
  });

  test("[TK1] without metadata the entries are live all the same", () => {
    const legacy = exampleLegacy();
    legacy.values.delete(META);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([]);
    expect(notes(found)).toEqual([`${META}: journal metadata missing although 12 journal manifests exist`]);
    expect(snapshotOf(found.entries.filter((entry) => entry.isLive))).toBe(EXPECTED);
  });

  test("[TK1] without metadata a number that is missing is a loss", () => {
    const legacy = exampleLegacy();
    legacy.values.delete(META);
    legacy.values.delete("document:journal:manifest:5");
    legacy.values.delete("document:journal:manifest:12");
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([5, 12].map((seq) => `document:journal:manifest:${seq}: journal load failed: expected 12 manifests, found 10`));
    expectKeysComplete(legacy, found);
  });

  test("[TK1] entries and checkpoints outside of what is named are found, and not live", () => {
    const legacy = exampleLegacy();
    const doc = new Y.Doc();
    doc.clientID = 77;
    doc.getText("t").insert(0, "orphan");
    writeCheckpoint(legacy.values, 2, Y.encodeStateAsUpdate(doc), { chunkSizeBytes: 5 });
    writeCheckpoint(legacy.values, 10, Y.encodeStateAsUpdate(doc), { shape: "copy" });
    writeJournalEntry(legacy.values, 40, Y.encodeStateAsUpdate(doc), { shape: "copy" });
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect(names(found.entries.filter((entry) => !entry.isLive))).toEqual([
      "document:checkpoint:manifest:2",
      "document:checkpoint:manifest:10",
      "document:journal:manifest:40",
    ]);
    expect(names(found.entries).slice(0, 3)).toEqual(["document:checkpoint:manifest:2", "document:checkpoint:manifest:3", "document:checkpoint:manifest:10"]);
    for (const entry of found.entries) expect(damageOf(entry)).toBe(null);
  });

  test("[TK1] damage of what is not named is no loss", () => {
    const legacy = exampleLegacy();
    writeCheckpoint(legacy.values, 2, EXAMPLE.checkpoint, { chunkSizeBytes: 50 });
    legacy.values.delete("document:checkpoint:chunk:2:1");
    const entry = findLegacy(legacy).entries.find(({ name }) => name === "document:checkpoint:manifest:2")!;
    expect(entry.isLive).toBe(false);
    expect(damageOf(entry)?.key).toBe("document:checkpoint:chunk:2:1");
    expect(entry.keys).toContain("document:checkpoint:state-vector:2");
    // Nor is it without a pointer, when a newer one is whole.
    legacy.values.delete(POINTER);
    expect(findLegacy(legacy).entries.filter((each) => each.kind === "checkpoint").map((each) => each.isLive)).toEqual([false, true]);
  });

  test("[TK1] chunks that nothing names and nothing proves are a loss without a pointer, and litter beside one", () => {
    const legacy = exampleLegacy();
    legacy.values.set("document:checkpoint:chunk:9:0", new Uint8Array(9));
    legacy.values.set("document:journal:chunk:20:1", new Uint8Array(9));
    let found = findLegacy(legacy);
    expect(losses(found)).toEqual([]);
    expect(found.otherKeys).toEqual([POINTER, "document:checkpoint:chunk:9:0", META, "document:journal:chunk:20:1"]);
    const bare = new MemoryLegacy(new Map([...legacy.values].filter(([key]) => !/current|meta|manifest/.test(key))));
    found = findLegacy(bare);
    expect(found.entries).toEqual([]);
    expectKeysComplete(bare, found);
    expect(losses(found).slice(0, 2)).toEqual([
      "document:checkpoint:manifest:3: checkpoint pointer and manifest missing although version 3 has left keys",
      "document:checkpoint:manifest:9: checkpoint pointer and manifest missing although version 9 has left keys",
    ]);
    // Each journal entry, and the chunk of another one.
    expect(losses(found).length).toBe(2 + 12 + 1);
    expect(found.lostVectors).toEqual([new Map([[100, Y.decodeStateVector(Y.encodeStateVectorFromUpdate(EXAMPLE.checkpoint)).get(100)]])]);
  });

  test("[TK1] chunks of a first checkpoint that was never published are litter beside a journal that has it all", () => {
    const legacy = new MemoryLegacy();
    writeKvLayout(legacy.values, { journal: [EXAMPLE.checkpoint, ...EXAMPLE.journal] });
    legacy.values.set("document:checkpoint:chunk:1:0", EXAMPLE.checkpoint);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([]);
    expect(snapshotOf(found.entries)).toBe(EXPECTED);
    // A state vector is only written with a manifest and a pointer.
    legacy.values.set("document:checkpoint:state-vector:1", Y.encodeStateVectorFromUpdate(EXAMPLE.checkpoint));
    expect(losses(findLegacy(legacy)).length).toBe(1);
  });

  test("[TK1] what an accepted loss left behind a clean-up is no new loss", () => {
    const legacy = new MemoryLegacy(new Map([...exampleLegacy().values].filter(([key]) => /journal:(?:manifest|chunk):7\b/.test(key))));
    expect(losses(findLegacy(legacy))).toEqual([]);
  });
});

/** Changes a record in place. */
function change(legacy: MemoryLegacy, key: string, fields: object): void {
  legacy.values.set(key, { ...(legacy.values.get(key) as object), ...fields });
}

const CHECKPOINT = "document:checkpoint:manifest:3";
const ENTRY = "document:journal:manifest:7";
const chunk = (index: number): string => `document:checkpoint:chunk:3:${index}`;
const resized = (legacy: MemoryLegacy, key: string, by: number): void => {
  const bytes = legacy.values.get(key) as Uint8Array;
  const other = new Uint8Array(bytes.length + by);
  other.set(bytes.subarray(0, other.length));
  legacy.values.set(key, other);
};

describe("validations of content", () => {
  const lastSize = EXAMPLE.checkpoint.length - 3 * CHUNK_BYTES;
  const total = EXAMPLE.checkpoint.length;
  const row = (title: string, tamper: (legacy: MemoryLegacy) => void, key: string, reason: string) => ({ title, tamper, key, reason });
  const damages = [
    row("manifest without a hash", (l) => change(l, CHECKPOINT, { sha256: "nonsense" }), CHECKPOINT, "checkpoint manifest missing or invalid for version 3"),
    row("manifest no object", (l) => l.values.set(CHECKPOINT, 5), CHECKPOINT, "checkpoint manifest missing or invalid for version 3"),
    row("a chunk missing", (l) => l.values.delete(chunk(1)), chunk(1), "checkpoint load failed: expected 4 chunks, found 3"),
    row("all chunks missing", (l) => [0, 1, 2, 3].forEach((i) => l.values.delete(chunk(i))), chunk(0), "checkpoint load failed: expected 4 chunks, found 0"),
    row("a chunk too short", (l) => resized(l, chunk(1), -1), chunk(1), `checkpoint load failed: chunk 1 has invalid length ${CHUNK_BYTES - 1}`),
    row("the final chunk too large", (l) => resized(l, chunk(3), CHUNK_BYTES), chunk(3), `checkpoint load failed: final chunk is too large (${lastSize + CHUNK_BYTES})`),
    row("more bytes than the manifest says", (l) => resized(l, chunk(3), 1), chunk(3), "checkpoint load failed: chunk bytes exceed manifest size"),
    row("fewer bytes than the manifest says", (l) => resized(l, chunk(3), -1), CHECKPOINT, `checkpoint load failed: expected ${total} bytes, reconstructed ${total - 1}`),
    row("a chunk no bytes", (l) => l.values.set(chunk(2), "text"), chunk(2), `invalid binary payload for ${chunk(2)}`),
    row("a journal entry's chunk missing", (l) => l.values.delete("document:journal:chunk:7:0"), "document:journal:chunk:7:0", "journal entry 7 load failed: expected 1 chunks, found 0"),
    row("a journal entry's manifest malformed", (l) => l.values.set(ENTRY, { format: "x" }), ENTRY, "journal load failed: invalid manifest for seq 7"),
  ];
  test.each(damages)("[TK2] $title", ({ tamper, key, reason }) => {
    const legacy = exampleLegacy("copy");
    tamper(legacy);
    const found = findLegacy(legacy);
    expectKeysComplete(legacy, found);
    const failing = found.entries.map((entry) => ({ entry, damage: damageOf(entry) })).filter(({ damage }) => damage !== null);
    expect(failing.map(({ damage }) => damage)).toEqual([{ key, reason }]);
    expect(failing[0]!.entry.isLive).toBe(true);
    expect(failing[0]!.entry.keys).toContain(key);
    // The others are all there.
    expect(found.entries.length).toBe(13);
    if (failing[0]!.entry.kind !== "checkpoint") return;
    const vector = lostVectorOf(legacy, failing[0]!.entry);
    expect(vector).toEqual(Y.decodeStateVector(Y.encodeStateVectorFromUpdate(EXAMPLE.checkpoint)));
  });

  test("[TK2] a hash that differs is left to who reads the bytes", () => {
    const legacy = exampleLegacy("copy");
    (legacy.values.get(chunk(2)) as Uint8Array)[3]! ^= 1;
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    const bytes = found.entries[0]!.partSizes.map((_, part) => found.entries[0]!.readPart(part));
    expect(createHash("sha256").update(Buffer.concat(bytes)).digest("hex")).not.toBe(found.entries[0]!.sha256);
  });

  test("[TK2] a part that changes after it was found is refused", () => {
    const legacy = exampleLegacy("copy");
    const [checkpoint, entry] = findLegacy(legacy).entries;
    resized(legacy, chunk(1), -1);
    legacy.values.set(chunk(2), { no: "bytes" });
    legacy.values.delete("document:journal:chunk:1:0");
    expect(() => checkpoint!.readPart(1)).toThrow(`checkpoint load failed: chunk 1 has invalid length ${CHUNK_BYTES - 1}`);
    expect(() => checkpoint!.readPart(2)).toThrow(`invalid binary payload for ${chunk(2)}`);
    expect(() => entry!.readPart(0)).toThrow("journal entry 1 load failed: missing chunk 0");
  });

  test("[TK2] a pointer that names what is not there", () => {
    const legacy = exampleLegacy();
    legacy.values.delete(CHECKPOINT);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([`${CHECKPOINT}: checkpoint manifest missing or invalid for version 3`]);
    expect(found.lostVectors).toEqual([Y.decodeStateVector(Y.encodeStateVectorFromUpdate(EXAMPLE.checkpoint))]);
    expectKeysComplete(legacy, found);
  });

  test("[TK2] a state vector that is no vector tells nothing of a lost checkpoint", () => {
    const legacy = exampleLegacy();
    legacy.values.delete(CHECKPOINT);
    legacy.values.set("document:checkpoint:state-vector:3", new Uint8Array([9, 9]));
    expect(findLegacy(legacy).lostVectors).toEqual([]);
    const other = exampleLegacy();
    other.values.set("document:checkpoint:state-vector:3", new Uint8Array([0]));
    expect(lostVectorOf(other, 3)).toBe(null);
    expect(lostVectorOf(other, findLegacy(other).entries[1]!)).toBe(null);
  });

  test("[TK2] metadata names entries that are not there", () => {
    const legacy = exampleLegacy();
    change(legacy, META, { nextSeq: 15, entryCount: 14, totalBytes: 1_000_000 });
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([13, 14].map((seq) => `document:journal:manifest:${seq}: journal load failed: expected 14 manifests, found 12`));
    expect(found.entries.length).toBe(13);
  });

  test("[TK2] a manifest in the middle is missing", () => {
    const legacy = exampleLegacy();
    legacy.values.delete(ENTRY);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([`${ENTRY}: journal load failed: expected 12 manifests, found 11`]);
    expect(found.otherKeys).toContain("document:journal:chunk:7:0");
  });

  test("[TK2] metadata with hostile numbers costs little", () => {
    const legacy = exampleLegacy();
    change(legacy, META, { nextSeq: 2 ** 53 - 1, entryCount: 2 ** 53 - 2 });
    change(legacy, ENTRY, { chunkCount: 2 ** 52, byteLength: 2 ** 53 - 1, chunkSizeBytes: 1 });
    const found = findLegacy(legacy);
    expect(losses(found).length).toBe(1_001);
    // The manifest's hash proves the entry all the same.
    expect(found.entries.length).toBe(13);
    expect(snapshotOf(found.entries)).toBe(EXPECTED);
  });

  test("[TK2] metadata that is unreadable with nothing beside it may have named anything", () => {
    const legacy = new MemoryLegacy(new Map([[META, "torn"]]));
    expect(losses(findLegacy(legacy))).toEqual([`${META}: journal metadata is invalid`]);
    const pointer = new MemoryLegacy(new Map([[POINTER, { version: 0 }]]));
    expect(losses(findLegacy(pointer))).toEqual([`${POINTER}: checkpoint pointer is invalid`]);
    const empty = new MemoryLegacy(new Map([[META, { format: "yaos-doc-journal-v1", nextSeq: 1, entryCount: 0, totalBytes: 5, updatedAt: "x" }]]));
    expect(losses(findLegacy(empty))).toEqual([]);
  });
});

describe("derived records that are wrong while the content verifies", () => {
  const VECTOR = "document:checkpoint:state-vector:3";
  const sum = EXAMPLE.journal.reduce((total, update) => total + update.length, 0);
  const total = EXAMPLE.checkpoint.length;
  const row = (title: string, tamper: (legacy: MemoryLegacy) => void, key: string, reason: string) => ({ title, tamper, key, reason });
  test.each([
    row("pointer malformed", (l) => l.values.set(POINTER, { version: "3" }), POINTER, "checkpoint pointer is invalid"),
    row("manifest of another version", (l) => change(l, CHECKPOINT, { version: 4 }), CHECKPOINT, "checkpoint version mismatch (pointer=3, manifest=4)"),
    row("manifest without a date", (l) => change(l, CHECKPOINT, { updatedAt: "" }), CHECKPOINT, "checkpoint manifest missing or invalid for version 3"),
    row("manifest without a chunk size", (l) => change(l, CHECKPOINT, { chunkSizeBytes: 0 }), CHECKPOINT, "checkpoint manifest missing or invalid for version 3"),
    row("too many chunks said", (l) => change(l, CHECKPOINT, { chunkCount: 6 }), chunk(4), "checkpoint load failed: expected 6 chunks, found 4"),
    row("too few chunks said", (l) => change(l, CHECKPOINT, { chunkCount: 2 }), CHECKPOINT, `checkpoint load failed: expected ${total} bytes, reconstructed ${2 * CHUNK_BYTES}`),
    row("another chunk size said", (l) => change(l, CHECKPOINT, { chunkSizeBytes: CHUNK_BYTES + 1 }), chunk(0), `checkpoint load failed: chunk 0 has invalid length ${CHUNK_BYTES}`),
    row("too few bytes said", (l) => change(l, CHECKPOINT, { byteLength: total - 1 }), chunk(3), "checkpoint load failed: chunk bytes exceed manifest size"),
    row("too many bytes said", (l) => change(l, CHECKPOINT, { byteLength: total + 1 }), CHECKPOINT, `checkpoint load failed: expected ${total + 1} bytes, reconstructed ${total}`),
    row("vector missing", (l) => l.values.delete(VECTOR), VECTOR, "checkpoint state vector missing for version 3"),
    row("vector of another length", (l) => l.values.set(VECTOR, new Uint8Array(1)), VECTOR, "checkpoint state vector length mismatch (expected 4, got 1)"),
    row("vector with another hash", (l) => l.values.set(VECTOR, new Uint8Array(4)), VECTOR, "checkpoint state vector sha256 mismatch"),
    row("vector no bytes", (l) => l.values.set(VECTOR, 4), VECTOR, `invalid binary payload for ${VECTOR}`),
    row("metadata malformed", (l) => change(l, META, { format: "x" }), META, "journal metadata is invalid"),
    row("no entries but bytes", (l) => change(l, META, { entryCount: 0 }), META, "journal metadata is inconsistent (entryCount=0 but totalBytes>0)"),
    row("more entries than numbers", (l) => change(l, META, { entryCount: 20 }), META, "journal metadata is inconsistent (nextSeq=13, entryCount=20)"),
    row("another total", (l) => change(l, META, { totalBytes: sum + 1 }), META, `journal load failed: metadata totalBytes mismatch (expected ${sum + 1}, got ${sum})`),
    row("too many entries counted", (l) => change(l, META, { nextSeq: 15, entryCount: 14 }), META, "journal load failed: expected 14 manifests, found 12"),
    row(
      "too few entries counted",
      (l) => change(l, META, { entryCount: 11 }),
      META,
      `journal load failed: metadata totalBytes mismatch (expected ${sum}, got ${sum - EXAMPLE.journal[0]!.length})`,
    ),
    row("entry with another number", (l) => change(l, ENTRY, { seq: 8 }), ENTRY, "journal load failed: invalid manifest for seq 7"),
    row("a chunk too many", (l) => l.values.set(chunk(4), new Uint8Array(3)), chunk(4), "1 chunks more than the checkpoint has"),
  ])("[TK2] $title: named, and nothing is lost", ({ tamper, key, reason }) => {
    const legacy = exampleLegacy();
    tamper(legacy);
    const found = findLegacy(legacy);
    expectKeysComplete(legacy, found);
    expect(losses(found)).toEqual([]);
    expect(notes(found)).toContain(`${key}: ${reason}`);
    expect(found.entries.map(damageOf).filter((damage) => damage !== null)).toEqual([]);
    expect(snapshotOf(found.entries.filter((entry) => entry.isLive))).toBe(EXPECTED);
  });
});
