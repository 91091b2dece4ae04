/**
 * Random vaults in every layout of older servers, torn at random, against `Y.Doc` and against what the older servers would have loaded.
 * A failure names its seed; PROPERTY_SEED starts there, PROPERTY_RUNS says how many vaults each property plays.
 */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import type { Opening } from "../../src/takeover/opening.ts";
import { acceptLoss } from "../../src/takeover/decisions.ts";
import { difference, docVector, plainDoc } from "../kit/compare.ts";
import { DocClient } from "../kit/doc-client.ts";
import { forSeeds } from "../kit/histories.ts";
import type { MemoryLegacy } from "../kit/legacy-storage.ts";
import { bytesOfStored, CONTENT_TEARS, DERIVED_TEARS, isIntact, LITTER_TEARS, type Tear } from "../kit/legacy-tears.ts";
import { oldKvLoads, oldSqlLoads } from "../kit/old-loader.ts";
import { docOf, LAYOUTS, type Layout, randomVault, type RandomVault } from "../kit/random-legacy.ts";
import { Random } from "../kit/random.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 20);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const snapshotOf = (doc: Y.Doc): string => hex(Y.encodeSnapshot(Y.snapshot(doc)));

/** Everything of the old storage, to show that nobody touched it. */
function oldStorage(legacy: MemoryLegacy): string {
  const tables = ["snapshot_chunks", "journal", "_migration_meta", "sqlite_sequence"].filter((name) => legacy.sql.exec(`SELECT 1 FROM sqlite_schema WHERE name = ?`, name).length > 0);
  const plain = (value: unknown): unknown =>
    ArrayBuffer.isView(value) ? hex(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) : value instanceof ArrayBuffer ? hex(new Uint8Array(value)) : value;
  return JSON.stringify([
    [...legacy.values].map(([key, value]) => [key, plain(value)]),
    tables.map((name) => legacy.sql.exec(`SELECT * FROM ${name}`).map((row) => Object.values(row).map(plain))),
  ]);
}

/** A vault that was torn, what was done to it, and its object. */
interface Torn extends RandomVault {
  readonly tears: readonly string[];
  readonly object: TakeoverObject;
  readonly headsStand: boolean;
}

function torn(layout: Layout, seed: number, kinds: (random: Random) => readonly Tear[]): Torn {
  const random = new Random(seed);
  const vault = randomVault(layout, random);
  const heads = headsOf(vault.legacy);
  const tears = kinds(random)
    .map((tear) => tear(vault.legacy, random))
    .filter((text) => text !== null);
  return { ...vault, tears, object: new TakeoverObject(vault.legacy), headsStand: headsOf(vault.legacy) === heads };
}

const headsOf = ({ values }: MemoryLegacy): string => JSON.stringify([values.get("document:checkpoint:current"), values.get("document:journal:meta")]);

/** Opens it, and holds it to what is always so. */
function opened({ object }: Torn): { opening: Opening; client: DocClient } {
  const before = oldStorage(object.legacy);
  const opening = object.opened();
  expect(opening.view.refusal).toBeNull();
  const again = object.opened();
  expect([again.as.movedNow, object.turns], "opened again").toEqual([false, 1]);
  const client = joined(object, opening);
  expect(client.doc.store.pendingStructs, "served what is not closed").toBeNull();
  expect(oldStorage(object.legacy)).toBe(before);
  return { opening, client };
}

function joined(object: TakeoverObject, opening: Opening): DocClient {
  const client = new DocClient(plainDoc([], { clientId: 999_999 }));
  const room = object.room(opening);
  room.connect(client);
  room.pass(2_000);
  expect(client.answers).toBeGreaterThan(0);
  return client;
}

/** Whether an edit by a client that has nothing but what is served is kept. */
function isWritable(object: TakeoverObject, opening: Opening): boolean {
  object.visit(opening, plainDoc([], { clientId: 888_888 }), (doc) => doc.getMap("sys").set("proof", 1));
  return (docVector(joined(object, opening).doc).get(888_888) ?? 0) > 0;
}

/** `part` shows nothing that `whole` lacks, clocks and deletions. */
function expectContained(part: Y.Doc, whole: Y.Doc, what: string): void {
  const both = plainDoc([Y.encodeStateAsUpdate(whole), Y.encodeStateAsUpdate(plainDoc([closedOf(part)]))]);
  expect(snapshotOf(both), what).toBe(snapshotOf(whole));
}

/** A document without what it has pending. */
function closedOf(doc: Y.Doc): Uint8Array {
  const { pendingStructs, pendingDs } = doc.store;
  [doc.store.pendingStructs, doc.store.pendingDs] = [null, null];
  const update = Y.encodeStateAsUpdate(doc);
  [doc.store.pendingStructs, doc.store.pendingDs] = [pendingStructs, pendingDs];
  return update;
}

/** Bytes that nothing proves were changed and can still be read: nobody can tell. */
function mayLie({ legacy, stored }: Torn): boolean {
  return stored.some((each) => {
    if (each.name.includes(":manifest:") || isIntact(legacy, each)) return false;
    const bytes = bytesOfStored(legacy, each.name, "");
    if (bytes === null) return false;
    try {
      Y.decodeUpdate(new Uint8Array(bytes));
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Whether what is lost has left a trace: the pointer and the metadata stand, and of PR #51's tables not the whole snapshot is gone, nor all rows or the first of
 * them beside a snapshot, for those went with every snapshot.
 */
function canBeSeen({ legacy, stored, headsStand }: Torn): boolean {
  if (!headsStand) return false;
  const rows = stored.filter(({ name }) => name.startsWith("journal row")).map(({ name }) => Number(name.slice(12)));
  if (rows.length === 0 && !stored.some(({ name }) => name === "snapshot_chunks")) return true;
  const left = legacy.sql.exec<{ id: number }>(`SELECT id FROM journal ORDER BY id`);
  const hadSnapshot = stored.some(({ name }) => name === "snapshot_chunks");
  const hasSnapshot = legacy.sql.exec(`SELECT 1 FROM snapshot_chunks`).length > 0;
  return hadSnapshot === hasSnapshot && (rows.length === 0 || (hadSnapshot ? left[0]?.id === rows[0] : left.length > 0));
}

function expectOldLoadsContained(vault: Torn, served: Y.Doc): void {
  const kv = oldKvLoads(vault.legacy.values);
  if (kv instanceof Y.Doc) expectContained(kv, served, "less than the key-value server");
  const sql = oldSqlLoads(vault.legacy.sql);
  if (sql instanceof Y.Doc) expectContained(sql, served, "less than PR #51");
}

/** Plays one property over seeds, and names seed and tears of a failure. */
function play(layout: Layout, kinds: (random: Random) => readonly Tear[], check: (vault: Torn) => void): void {
  forSeeds(RUNS, (seed) => {
    const vault = torn(layout, seed, kinds);
    try {
      check(vault);
    } catch (error) {
      throw new Error(`${layout}, ${vault.tears.join("; ")}: ${(error as Error).message}`, { cause: error });
    }
  });
}

const some = (random: Random, tears: readonly Tear[], least: number, most: number): Tear[] => Array.from({ length: random.int(least, most) }, () => random.pick(tears));
const contentTears = (random: Random): Tear[] => [...some(random, CONTENT_TEARS, 1, 3), ...some(random, LITTER_TEARS, 0, 1)];

describe.each(LAYOUTS)("%s", (layout) => {
  it("[TK19] loads whole whatever derived record is lost or wrong, and whatever litter lies around", () => {
    const kinds = (random: Random): Tear[] => random.shuffle([random.pick(DERIVED_TEARS), ...some(random, LITTER_TEARS, 0, 2)]);
    play(layout, kinds, (vault) => {
      const { opening, client } = opened(vault);
      expect(difference(client.doc, vault.truth)).toBeNull();
      expect(opening.as.record?.problems.filter(({ isLoss }) => isLoss)).toEqual([]);
      expect(opening.view.missing).toBeNull();
      expectOldLoadsContained(vault, client.doc);
      expect(isWritable(vault.object, opening)).toBe(true);
    });
  });

  it("[TK9] serves what verifies and follows on, and is read-only when content is lost", () => {
    play(layout, contentTears, (vault) => {
      const { opening, client } = opened(vault);
      // Nothing at all is left of it, not even in the records: a fresh room.
      if (mayLie(vault) || opening.as.record === null) return;
      // Beside a loss nobody knows whether the pre-chunk document may join: it is left, for export.
      const isLeft = opening.as.record.document === "left";
      const intact = vault.stored.filter((each) => isIntact(vault.legacy, each) && !(isLeft && each.name === "document"));
      const closed = docOf(intact.map(({ update }) => update));
      const isWhole = difference(closed, vault.truth) === null;
      expectContained(client.doc, vault.truth, "more than there was");
      expectContained(closed, client.doc, "less than verifies");
      expectOldLoadsContained(vault, client.doc);
      const losses = opening.as.record.problems.filter(({ isLoss }) => isLoss);
      expect(opening.view.missing === null, "read-only for losses alone").toBe(losses.length === 0);
      for (const { key } of losses) expect(key).not.toBe("verification");
      if (intact.length === vault.stored.length && vault.headsStand) expect(losses).toEqual([]);
      if (!isWhole && canBeSeen(vault)) expect(losses.length, "content is lost and nobody is told").toBeGreaterThan(0);
      expect(isWritable(vault.object, opening), "writable").toBe(losses.length === 0);
    });
  });

  it("[TK10] a client that has everything heals it", () => {
    play(layout, contentTears, (vault) => {
      const { object, truth } = vault;
      let { opening } = opened(vault);
      if (mayLie(vault)) return;
      let filled = 0;
      for (let round = 0; round < 4 && opening.view.missing !== null; round += 1) {
        const { isUnnamed, isUnsure = false } = opening.view.missing;
        object.visit(opening, plainDoc([Y.encodeStateAsUpdate(truth)], { clientId: 777 }));
        if (object.filled > filled) filled = object.filled;
        else {
          expect(isUnnamed || isUnsure, "named holes are filled by a client that has all").toBe(true);
          object.turn(() => acceptLoss(object.host.sql));
        }
        opening = object.opened();
      }
      expect(opening.view.missing).toBeNull();
      object.visit(opening, plainDoc([Y.encodeStateAsUpdate(truth)], { clientId: 777 }));
      expect(difference(joined(object, opening).doc, truth)).toBeNull();
      expect(isWritable(object, opening)).toBe(true);
    });
  });

  it("[TK16] goes on without what is lost, and takes what comes back later together with what waited for it", () => {
    play(layout, contentTears, (vault) => {
      const { object, truth, legacy, stored } = vault;
      const first = opened(vault);
      if (mayLie(vault)) return;
      if (first.opening.view.missing !== null) object.turn(() => acceptLoss(object.host.sql));
      const opening = object.opened();
      expect([opening.view.missing, opening.as.record?.state ?? "complete"]).toEqual([null, "complete"]);
      const served = joined(object, opening).doc;
      expectContained(first.client.doc, served, "less than before");
      expect(isWritable(object, object.opened())).toBe(true);
      expect(object.opened().as.movedNow).toBe(false);
      const isLeft = opening.as.record?.document === "left";
      const lost = stored.filter((each) => !isIntact(legacy, each) || (isLeft && each.name === "document")).map(({ update }) => update);
      object.visit(opening, plainDoc([Y.encodeStateAsUpdate(served), ...lost], { clientId: 777 }));
      const after = joined(object, opening).doc;
      expectContained(truth, after, "what waited did not come");
    });
  });
});
