/** One readable case per kind of damage in an older server's storage: what is served, what is said, how it is healed, what an admin can do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { acceptLoss } from "../../src/takeover/decisions.ts";
import type { Opening } from "../../src/takeover/opening.ts";
import { type LegacyFixture, loadFixture, MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import { TakeoverObject } from "../kit/takeover-object.ts";

/** Paragraphs that devices wrote one after the other, each device twice: saved as what is newer plus all deletions. */
const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const saves: Uint8Array[] = [];
const states: Uint8Array[] = [];
const whole = new Y.Doc();
for (const [at, day] of DAYS.entries()) {
  const before = Y.encodeStateVector(whole);
  const device = new Y.Doc();
  Y.applyUpdate(device, Y.encodeStateAsUpdate(whole));
  device.clientID = 1_000 + (at % 3);
  // A paragraph of its own, and an entry that follows on from nothing.
  device.getArray("days").push([day]);
  device.getMap("seen").set(day, true);
  Y.applyUpdate(whole, Y.encodeStateAsUpdate(device));
  saves.push(Y.encodeStateAsUpdate(whole, before));
  states.push(Y.encodeStateAsUpdate(whole));
}

interface Served {
  readonly days: readonly unknown[];
  readonly opening: Opening;
  readonly texts: string;
}

function serve(object: TakeoverObject): Served {
  const opening = object.opened();
  const client = object.joined(opening);
  expect(client.doc.store.pendingStructs).toBeNull();
  return { days: client.doc.getArray("days").toArray(), opening, texts: client.texts.join() };
}

function copyOf(update: Uint8Array): Y.Doc {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, update);
  return doc;
}

function kv(options: Parameters<typeof writeKvLayout>[1]): { object: TakeoverObject; values: Map<string, unknown> } {
  const values = new Map<string, unknown>();
  writeKvLayout(values, options);
  return { object: new TakeoverObject(new MemoryLegacy(values)), values };
}

function flip(values: Map<string, unknown>, key: string, find = "day"): void {
  const bytes = (values.get(key) as Uint8Array).slice();
  const at = Buffer.from(bytes).indexOf(find);
  bytes[at]! ^= 1;
  values.set(key, bytes);
}

/** Whether something new by a device that has what is served stays. */
function isWritable(object: TakeoverObject): boolean {
  object.visit(object.opened(), new Y.Doc(), (doc) => doc.getMap("proof").set("new", true));
  return object.joined(object.opened()).doc.getMap("proof").size > 0;
}

function losses(opening: Opening): string[] {
  return opening.as.record!.problems.filter(({ isLoss }) => isLoss).map(({ key, reason }) => `${key}: ${reason}`);
}

/** Everybody has all of it, and may write. */
function expectWhole(object: TakeoverObject): void {
  const { days, opening } = serve(object);
  expect([days, opening.view.missing]).toEqual([DAYS, null]);
  expect(isWritable(object)).toBe(true);
}

describe("a lost entry in the middle of the journal", () => {
  const torn = (): ReturnType<typeof kv> => {
    const made = kv({ journal: saves });
    flip(made.values, "document:journal:chunk:4:0");
    return made;
  };

  it("[TK9] what comes before it is served, to an empty client too, and everybody is told", () => {
    const { object } = torn();
    const { days, opening, texts } = serve(object);
    // Monday's device wrote Thursday too, so nothing of it that is later follows on.
    expect(days).toEqual(DAYS.slice(0, 3));
    expect(losses(opening)).toEqual(["document:journal:manifest:4: journal entry 4 load failed: sha256 mismatch"]);
    expect(texts).toContain("vault incomplete: journal entry 4 load failed: sha256 mismatch");
    expect(opening.view.missing).toMatchObject({ isUnnamed: false, ranges: [{ client: 1_000 }] });
    expect(isWritable(object)).toBe(false);
  });

  it("[TK10] a device that has it heals the vault, and what waited behind it comes back from the old storage", () => {
    const { object } = torn();
    const { opening } = serve(object);
    object.visit(opening, copyOf(states[3]!));
    expect(object.filled).toBe(1);
    expectWhole(object);
  });

  it("[TK16] an admin goes on without it, and it may still come back later", () => {
    const { object } = torn();
    serve(object);
    object.turn(() => acceptLoss(object.host.sql));
    const { days, opening } = serve(object);
    expect([days, opening.view.missing, losses(opening)]).toEqual([DAYS.slice(0, 3), null, []]);
    expect(isWritable(object)).toBe(true);
    object.visit(object.opened(), copyOf(states[3]!));
    expect(serve(object).days).toEqual(DAYS);
  });
});

describe("a lost last entry of the journal", () => {
  it("[TK9] [TK10] without a trace but the metadata: a device that has all the rest may bring what has no name", () => {
    const { object, values } = kv({ journal: saves });
    values.delete("document:journal:manifest:6");
    values.delete("document:journal:chunk:6:0");
    const { days, opening } = serve(object);
    expect(days).toEqual(DAYS.slice(0, 5));
    expect(losses(opening)).toEqual(["document:journal:manifest:6: journal load failed: expected 6 manifests, found 5"]);
    expect(opening.view.missing).toMatchObject({ isUnnamed: true, ranges: [] });
    expect(isWritable(object)).toBe(false);
    object.visit(opening, copyOf(states[5]!));
    // Taken and served, and read-only all the same: nobody can tell whether it was everything.
    expect(serve(object).days).toEqual(DAYS);
    object.turn(() => acceptLoss(object.host.sql));
    expectWhole(object);
  });

  it("[TK10] beside another loss that has a name, it is not taken for healed with that one", () => {
    const { object, values } = kv({ journal: saves });
    // The last two: nothing waits for them.
    flip(values, "document:journal:chunk:5:0");
    values.delete("document:journal:manifest:6");
    values.delete("document:journal:chunk:6:0");
    const { opening } = serve(object);
    expect(losses(opening)).toHaveLength(2);
    expect(opening.view.missing).toMatchObject({ isUnnamed: true });
    object.visit(opening, copyOf(states[4]!));
    const { days, opening: again } = serve(object);
    expect(days).toEqual(DAYS.slice(0, 5));
    expect(again.view.missing).not.toBeNull();
    expect(isWritable(object)).toBe(false);
  });
});

it("[TK10] two lost entries, of which something waits for the first alone: bringing that one does not pass for bringing both", () => {
  const { object, values } = kv({ journal: saves });
  for (const seq of [2, 6]) values.delete(`document:journal:manifest:${seq}`);
  const { days, opening } = serve(object);
  expect(days).toEqual(DAYS.slice(0, 1));
  expect(losses(opening)).toHaveLength(2);
  object.visit(opening, copyOf(states[1]!));
  const { opening: again } = serve(object);
  expect(losses(again).length).toBeGreaterThan(0);
  object.visit(again, copyOf(states[5]!));
  object.turn(() => acceptLoss(object.host.sql));
  expectWhole(object);
});

describe("a lost checkpoint", () => {
  const torn = (edit: (values: Map<string, unknown>) => void): ReturnType<typeof kv> => {
    const made = kv({ checkpoint: states[3]!, version: 7, journal: saves.slice(4), chunkSizeBytes: 40 });
    for (const key of made.values.keys()) if (key.startsWith("document:checkpoint:chunk:")) made.values.delete(key);
    edit(made.values);
    return made;
  };

  it("[TK9] [TK10] its state vector outlived it and names what is missing", () => {
    const { object } = torn(() => {});
    const { days, opening } = serve(object);
    expect(days).toEqual([]);
    expect(losses(opening)[0]).toMatch(/^document:checkpoint:chunk:7:0: checkpoint load failed: expected \d+ chunks, found 0$/);
    expect(new Set(opening.view.missing!.ranges.map(({ client }) => client))).toEqual(new Set([1_000, 1_001, 1_002]));
    expect(isWritable(object)).toBe(false);
    object.visit(opening, copyOf(states[3]!));
    expectWhole(object);
  });

  it("[TK9] [TK10] without the vector, what waits for it names it", () => {
    const { object } = torn((values) => values.delete("document:checkpoint:state-vector:7"));
    const { days, opening } = serve(object);
    expect([days, opening.view.missing!.isUnnamed]).toEqual([[], false]);
    object.visit(opening, copyOf(states[3]!));
    expectWhole(object);
  });

  it("[TK16] the journal behind it is kept, whatever an admin accepts", () => {
    const { object } = torn((values) => values.delete("document:checkpoint:state-vector:7"));
    serve(object);
    object.turn(() => acceptLoss(object.host.sql));
    expect(serve(object).days).toEqual([]);
    expect(isWritable(object)).toBe(true);
    object.visit(object.opened(), copyOf(states[3]!));
    expect(serve(object).days).toEqual(DAYS);
  });
});

it("[TK9] [TK10] a chunk missing in a large checkpoint", () => {
  const large = new Y.Doc();
  large.clientID = 5;
  for (let at = 0; at < 40; at += 1) large.getMap("notes").set(`note ${at}`, "words ".repeat(2_000));
  const { object, values } = kv({ checkpoint: Y.encodeStateAsUpdate(large), chunkSizeBytes: 64 * 1024 });
  values.delete("document:checkpoint:chunk:1:3");
  const { opening, texts } = serve(object);
  expect(losses(opening)).toEqual(["document:checkpoint:chunk:1:3: checkpoint load failed: expected 8 chunks, found 7"]);
  expect(texts).toContain("vault incomplete");
  expect(opening.view.missing!.ranges).toEqual([{ client: 5, from: 0, to: 40 }]);
  expect(isWritable(object)).toBe(false);
  object.visit(opening, copyOf(Y.encodeStateAsUpdate(large)));
  expect(object.filled).toBe(1);
  expect(object.joined(object.opened()).doc.getMap("notes").size).toBe(40);
  expect(isWritable(object)).toBe(true);
});

describe("both layouts", () => {
  it("[TK1] [TK9] PR #51's snapshot is cut while the keys are intact: all that they have is served", () => {
    const { object } = kv({ checkpoint: states[2]!, journal: saves.slice(3) });
    writeSqlLayout(object.legacy.sql, { snapshot: states[5]!.slice(0, -20) });
    const { days, opening } = serve(object);
    expect(days).toEqual(DAYS);
    // Whether the snapshot had more nobody can tell.
    expect(losses(opening)[0]).toMatch(/^snapshot_chunks: no update that can be read/);
    expect(opening.view.missing).toMatchObject({ isUnnamed: true });
    object.turn(() => acceptLoss(object.host.sql));
    expectWhole(object);
  });

  it("[TK1] a damaged journal entry whose content the tables hold is no loss", () => {
    const { object, values } = kv({ journal: saves });
    flip(values, "document:journal:chunk:3:0");
    writeSqlLayout(object.legacy.sql, { snapshot: states[3]!, journal: [saves[4]!] });
    const { opening } = serve(object);
    expect(losses(opening)).toEqual([]);
    expect(opening.as.record!.problems.map(({ reason }) => reason)).toEqual(["journal entry 3 load failed: sha256 mismatch (what it held is stored)"]);
    expectWhole(object);
  });

  it("[TK9] damaged bytes whose clocks are torn as well prove nothing", () => {
    // Its section now begins where clocks are stored already: without the order of the saves it would pass for stored.
    const { object, values } = kv({ journal: saves });
    const bytes = (values.get("document:journal:chunk:6:0") as Uint8Array).slice();
    const [head] = Y.decodeUpdate(bytes).structs;
    expect(bytes[4]).toBe(head!.id.clock);
    bytes[4] = 0;
    values.set("document:journal:chunk:6:0", bytes);
    const { days, opening } = serve(object);
    expect(days).toEqual(DAYS.slice(0, 5));
    expect(losses(opening)).toEqual(["document:journal:manifest:6: journal entry 6 load failed: sha256 mismatch"]);
    expect(opening.view.missing).toMatchObject({ isUnnamed: true });
    object.visit(opening, copyOf(states[5]!));
    expect(serve(object).days).toEqual(DAYS);
  });

  it("[TK9] a row of PR #51's journal that was cut to nothing is a loss", () => {
    const object = new TakeoverObject();
    writeSqlLayout(object.legacy.sql, { journal: saves });
    object.legacy.sql.exec(`UPDATE journal SET data = x'' WHERE id = 6`);
    const { days, opening } = serve(object);
    expect(days).toEqual(DAYS.slice(0, 5));
    expect(losses(opening)).toEqual([expect.stringMatching(/^journal row 6: no update that can be read/)]);
  });

  it("[TK1] a damaged entry that a later one repeats is no loss", () => {
    // As 1.6.1 wrote them once its vault had grown too large for a checkpoint.
    const base = Y.encodeStateVectorFromUpdate(states[1]!);
    const repeating = states.slice(2).map((state) => Y.diffUpdate(state, base));
    const { object, values } = kv({ checkpoint: states[1]!, journal: repeating });
    for (const seq of [2, 3]) flip(values, `document:journal:chunk:${seq}:0`);
    expect(losses(serve(object).opening)).toEqual([]);
    expectWhole(object);
  });

  it("[TK9] a row missing in PR #51's journal is a loss, with or without something that waits", () => {
    for (const row of [2, 6]) {
      const object = new TakeoverObject();
      writeSqlLayout(object.legacy.sql, { journal: saves });
      object.legacy.sql.exec(`DELETE FROM journal WHERE id = ?`, row);
      const { days, opening } = serve(object);
      expect(days).toEqual(DAYS.slice(0, row - 1));
      expect(losses(opening)).toEqual([`journal row ${row}: rows ${row} to ${row} are missing`]);
      expect(isWritable(object)).toBe(false);
      object.visit(opening, copyOf(states[5]!));
      expect(serve(object).days).toEqual(DAYS);
    }
  });
});

it("[TK9] e01: a pointer to a checkpoint that is not there", () => {
  const path = join(import.meta.dirname, "../fixtures/legacy-kv/e01-pointer-to-missing-manifest.json");
  const values = loadFixture(JSON.parse(readFileSync(path, "utf8")) as LegacyFixture);
  const object = new TakeoverObject(new MemoryLegacy(values));
  const { opening, texts } = serve(object);
  expect(losses(opening)).toEqual([expect.stringMatching(/^document:checkpoint:manifest:\d+: checkpoint manifest missing or invalid for version \d+$/)]);
  expect(texts).toContain("vault incomplete");
  expect(isWritable(object)).toBe(false);
  object.turn(() => acceptLoss(object.host.sql));
  expect(object.opened().view.missing).toBeNull();
  expect(isWritable(object)).toBe(true);
});
