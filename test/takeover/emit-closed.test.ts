import * as Y from "yjs";
import { describe, expect, test } from "vitest";
import { ClockIndex } from "../../src/storage/clock-index.ts";
import { type Blocked, type ClosedBatch, blockedUpdates, emitClosed } from "../../src/takeover/emit-closed.ts";
import type { Source } from "../../src/takeover/source.ts";
import { cutStructRange, withDeletes } from "../../src/update/news.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { SKIP_REF } from "../../src/update/visitor.ts";
import { difference, docVector, plainDoc, retryPending, showVector } from "../kit/compare.ts";
import { forSeeds, playHistory } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";
import { memoryEntry, randomParts, sourceOf } from "./memory-entry.ts";

const OPTIONS = { batchBytes: 1 << 20, windowBytes: 8 << 20 };

function randomOptions(random: Random): { batchBytes: number; windowBytes: number } {
  return { batchBytes: random.pick([1, 60, 300, 2_000, 1 << 20]), windowBytes: random.pick([64, 5_000, 20_000, 8 << 20]) };
}

function randomSource(random: Random, update: Uint8Array): Source {
  return sourceOf(memoryEntry(update, randomParts(random, update.length, random.pick([20, 300, update.length])), { views: random.chance(0.5) }));
}

/** Structs and clocks of an update, and that it is what a batch must be: no Skips, no deletions, ranges as said. */
function checkBatch(batch: ClosedBatch, batchBytes: number): void {
  const ranges: { client: number; from: number; to: number }[] = [];
  const stats = readUpdate(batch.update, {
    section: (client, clock) => void ranges.push({ client, from: clock, to: clock }),
    struct: (view) => {
      expect(view.ref).not.toBe(SKIP_REF);
      ranges.at(-1)!.to = view.clock + view.length;
    },
  });
  expect(stats.deleteRanges).toBe(0);
  expect(batch.ranges).toEqual(ranges);
  expect(stats.structs).toBeGreaterThan(0);
  if (stats.structs > 1) expect(batch.update.length).toBeLessThanOrEqual(batchBytes);
}

/** A store that is a document and a clock index, as a takeover fills it. */
class Target {
  readonly doc = plainDoc();
  readonly clocks = new ClockIndex();
  batches = 0;

  /** Emits what `source` has; gives up after `most` batches and then returns null. */
  take(source: Source, options: { batchBytes: number; windowBytes: number } = OPTIONS, most = Infinity): Blocked[] | null {
    const steps = emitClosed(source, this.clocks, options);
    for (let taken = 0; ; ) {
      if (taken >= most) return null;
      const step = steps.next();
      if (step.done === true) return step.value;
      if (step.value === null) continue;
      taken++;
      this.batches++;
      checkBatch(step.value, options.batchBytes);
      for (const { client, from, to } of step.value.ranges) {
        // Follows on and repeats nothing.
        expect(from).toBe(this.clocks.end(client));
        this.clocks.add(client, from, to);
      }
      Y.applyUpdate(this.doc, step.value.update);
      expect(this.doc.store.pendingStructs).toBe(null);
      expect(showVector(docVector(this.doc))).toBe(showVector(this.clocks.vector));
    }
  }

  /** All sources again and again until nothing new goes out. */
  takeAll(sources: readonly Source[], options = OPTIONS): (Blocked & { source: Source })[] {
    for (;;) {
      const before = this.batches;
      const blocked = sources.flatMap((source) => this.take(source, options)!.map((each) => ({ ...each, source })));
      if (this.batches === before) return blocked;
    }
  }

  delete(sources: readonly Source[]): void {
    for (const source of sources) Y.applyUpdate(this.doc, withDeletes(null, source.deletes));
  }
}

/** A document fed whole updates, which is everything that can be loaded of them. */
function fed(updates: readonly Uint8Array[]): Y.Doc {
  const doc = plainDoc(updates);
  retryPending(doc);
  return doc;
}

/** The first clocks of an update that is one struct. */
function firstClocks(update: Uint8Array, count: number): Uint8Array {
  const writer = new ByteWriter();
  readUpdate(update, {
    section: (client, clock) => {
      for (const value of [1, 1, client, clock]) writer.varUint(value);
    },
    struct: (view) => cutStructRange(view, update, 0, count, writer),
  });
  writer.byte(0);
  return writer.finish();
}

function expectSame(actual: Y.Doc, expected: Y.Doc): void {
  expect(difference(actual, expected)).toBe(null);
}

describe("[TK6] what goes out is causally closed", () => {
  test("a whole vault: no batch leaves anything pending, and the last one completes it", () => {
    forSeeds(40, (seed) => {
      const random = new Random(seed);
      const { authors, deliveries } = playHistory(seed, { steps: 50 });
      const update = random.chance(0.5) ? Y.encodeStateAsUpdate(random.pick(authors)) : Y.mergeUpdates(deliveries.map((each) => each.update));
      const source = randomSource(random, update);
      const target = new Target();
      expect(target.take(source, randomOptions(random))).toEqual([]);
      target.delete([source]);
      expectSame(target.doc, fed([update]));
    });
  });

  test("given up at any batch and done anew, it ends the same", () => {
    forSeeds(25, (seed) => {
      const random = new Random(seed);
      const { authors } = playHistory(seed, { steps: 40 });
      const update = Y.encodeStateAsUpdate(random.pick(authors));
      const source = randomSource(random, update);
      const target = new Target();
      for (let round = 0; ; round++) {
        const batchBytes = random.pick([40, 200, 900]);
        const ended = target.take(source, { ...randomOptions(random), batchBytes }, random.int(1, 4));
        if (ended !== null) {
          expect(ended).toEqual([]);
          break;
        }
        expect(round).toBeLessThan(2_000);
      }
      const before = target.batches;
      expect(target.take(source)).toEqual([]);
      expect(target.batches).toBe(before);
      target.delete([source]);
      expectSame(target.doc, fed([update]));
    });
  });

  test("over a store that ends within a struct, that struct is cut", () => {
    let cuts = 0;
    forSeeds(40, (seed) => {
      const random = new Random(seed);
      const { authors } = playHistory(seed, { steps: 40 });
      const update = Y.encodeStateAsUpdate(random.pick(authors));
      const source = randomSource(random, update);
      const target = new Target();
      // Struct by struct up to a random one, and of that only its first clocks.
      const batches = [...emitClosed(source, new ClockIndex(), { batchBytes: 1, windowBytes: 64 })].filter((step) => step !== null);
      const last = random.int(0, batches.length - 1);
      for (const { update: whole, ranges } of batches.slice(0, last + 1)) {
        const { client, from, to } = ranges[0]!;
        const isCut = whole === batches[last]!.update && to - from > 1;
        const end = isCut ? random.int(from + 1, to - 1) : to;
        if (isCut) cuts++;
        Y.applyUpdate(target.doc, firstClocks(whole, end - from));
        target.clocks.add(client, from, end);
      }
      expect(target.doc.store.pendingStructs).toBe(null);
      expect(target.take(source, randomOptions(random))).toEqual([]);
      target.delete([source]);
      expectSame(target.doc, fed([update]));
    });
    expect(cuts).toBeGreaterThan(5);
  });

  test("with entries lost, what goes out is closed, and is all that a document can load", () => {
    let blockedSeen = 0;
    forSeeds(60, (seed) => {
      const random = new Random(seed);
      const { deliveries } = playHistory(seed, { steps: 60, loss: random.chance(0.3), settle: false });
      const kept = deliveries.map((each) => each.update).filter(() => random.chance(0.8));
      if (kept.length === 0) return;
      // Entries as a journal has them, and some of them joined.
      const updates: Uint8Array[] = [];
      while (kept.length > 0) updates.push(Y.mergeUpdates(kept.splice(0, random.int(1, 4))));
      const sources = updates.map((update) => randomSource(random, update));
      const target = new Target();
      const blocked = target.takeAll(sources, randomOptions(random));
      blockedSeen += blocked.length;
      const expected = fed(updates);
      expect(showVector(docVector(target.doc))).toBe(showVector(docVector(expected)));
      target.delete(sources);
      expectSame(target.doc, expected);
      for (const each of blocked) {
        const section = each.source.sections.find(({ client }) => client === each.client)!;
        expect(each.to).toBe(section.end);
        expect(each.from).toBeGreaterThanOrEqual(target.clocks.end(each.client));
        // What it waits for is not there, and is all that keeps the first of it away.
        expect(each.waitsFor.clock).toBeGreaterThanOrEqual(target.clocks.end(each.waitsFor.client));
        if (each.waitsFor.client === each.client) expect(each.from).toBeGreaterThan(each.waitsFor.clock);
        else expect(each.from).toBe(target.clocks.end(each.client));
      }
      // Every clock of a source is stored, or blocked.
      for (const source of sources) {
        for (const { client, end } of source.sections) {
          const isBlocked = blocked.some((each) => each.source === source && each.client === client);
          expect(isBlocked).toBe(end > target.clocks.end(client));
        }
      }
    });
    expect(blockedSeen).toBeGreaterThan(100);
  });

  test("what was blocked is complete: kept as updates, it goes out once the rest comes", () => {
    forSeeds(30, (seed) => {
      const random = new Random(seed);
      const { deliveries, authors } = playHistory(seed, { steps: 60 });
      const updates = deliveries.map((each) => each.update);
      const kept = updates.filter(() => random.chance(0.7));
      const sources = kept.map((update) => randomSource(random, update));
      const target = new Target();
      const blocked = target.takeAll(sources);
      const held: Uint8Array[] = [];
      const maxBytes = random.pick([1, 80, 400, 1 << 20]);
      for (const each of blocked) {
        for (const update of blockedUpdates(each.source, [each], maxBytes)) {
          const stats = readUpdate(update, {});
          expect(stats.clients).toBe(1);
          if (stats.structs > 1) expect(update.length).toBeLessThanOrEqual(maxBytes);
          held.push(update.slice());
        }
      }
      const lost = updates.filter((update) => !kept.includes(update));
      expect(target.takeAll([...held, ...lost].map((update) => sourceOf(update)))).toEqual([]);
      target.delete(updates.map((update) => sourceOf(update)));
      expectSame(target.doc, fed([...updates, ...authors.map((doc) => Y.encodeStateAsUpdate(doc))]));
    });
  });
});

test("[TK5] no more than two parts are in memory while a vault goes out", () => {
  forSeeds(5, (seed) => {
    const random = new Random(seed);
    const update = Y.encodeStateAsUpdate(playHistory(seed, { steps: 60 }).authors[0]!);
    const entry = memoryEntry(update, randomParts(random, update.length, 100));
    const source = sourceOf(entry);
    let most = 0;
    for (const step of emitClosed(source, new ClockIndex(), { batchBytes: 200, windowBytes: 64 })) {
      if (step !== null) readUpdate(step.update, {});
      most = Math.max(most, entry.handedOut.filter((buffer) => !buffer.detached).length);
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(2);
  });
});

describe("[TK6] hostile sources end", () => {
  /** One struct of one character after `origin`: [client, clock]. */
  const after = (client: number, origin: readonly [number, number]): number[] => [1, client, 0, 0x84, ...origin, 1, 0x61];
  /** The same after a right origin. */
  const before = (client: number, right: readonly [number, number]): number[] => [1, client, 0, 0x44, ...right, 1, 0x61];
  const root = (client: number): number[] => [1, client, 0, 4, 1, 1, 0x74, 1, 0x61];

  test("clients that wait for each other are blocked, and those that wait for them", () => {
    const update = Uint8Array.from([5, ...after(9, [1, 0]), ...root(4), ...after(3, [1, 0]), ...before(2, [3, 0]), ...after(1, [2, 0]), 0]);
    for (const windowBytes of [1, 1 << 20]) {
      const target = new Target();
      const blocked = target.take(sourceOf(update), { batchBytes: 1, windowBytes })!;
      expect(blocked.map(({ client }) => client).sort()).toEqual([1, 2, 3, 9]);
      expect(showVector(target.clocks.vector)).toBe("4:1");
      expect(showVector(docVector(fed([update])))).toBe("4:1");
    }
  });

  test("a gap before a client's first struct, and one inside", () => {
    // Client 5 from clock 3 on; client 6: one, Skip of 2, one more.
    const update = Uint8Array.from([2, 2, 6, 0, 4, 1, 1, 0x74, 1, 0x61, 10, 2, 1, 5, 3, 0x84, 5, 2, 1, 0x61, 0]);
    const withTail = Uint8Array.from([2, 3, 6, 0, 4, 1, 1, 0x74, 1, 0x61, 10, 2, 0x84, 6, 2, 1, 0x62, 1, 5, 3, 0x84, 5, 2, 1, 0x61, 0]);
    const target = new Target();
    expect(target.take(sourceOf(update))).toEqual([{ client: 5, from: 3, to: 4, waitsFor: { client: 5, clock: 0 } }]);
    expect(target.take(sourceOf(withTail))).toEqual([
      { client: 6, from: 3, to: 4, waitsFor: { client: 6, clock: 1 } },
      { client: 5, from: 3, to: 4, waitsFor: { client: 5, clock: 0 } },
    ]);
    // A Skip over what is stored is no gap.
    Y.applyUpdate(target.doc, Uint8Array.from([1, 1, 6, 1, 0x84, 6, 0, 2, 0x63, 0x64, 0]));
    target.clocks.add(6, 1, 3);
    expect(target.take(sourceOf(withTail))).toEqual([{ client: 5, from: 3, to: 4, waitsFor: { client: 5, clock: 0 } }]);
    expect(target.clocks.end(6)).toBe(4);
  });

  test("a struct that is stored in part and then waits is kept from there on", () => {
    const update = Uint8Array.from([1, 1, 5, 0, 0x44, 9, 7, 4, 0x61, 0x62, 0x63, 0x64, 0]);
    const target = new Target();
    target.clocks.add(5, 0, 2);
    const source = sourceOf(update);
    const blocked = [...target.take(source)!];
    expect(blocked).toEqual([{ client: 5, from: 2, to: 4, waitsFor: { client: 9, clock: 7 } }]);
    const kept = [...blockedUpdates(source, blocked, 1_000)];
    expect(kept).toEqual([Uint8Array.from([1, 1, 5, 2, 0xc4, 5, 1, 9, 7, 2, 0x63, 0x64, 0])]);
  });

  test("blocked clocks that are stored behind a hole are not named", () => {
    const update = Uint8Array.from([1, 1, 5, 3, 0x84, 5, 2, 1, 0x61, 0]);
    const clocks = new ClockIndex();
    clocks.add(5, 3, 4);
    const steps = emitClosed(sourceOf(update), clocks, OPTIONS);
    expect(steps.next()).toEqual({ done: true, value: [] });
  });

  test("a chain of clients as long as there may be is followed without recursion", () => {
    const clients = 20_000;
    const bytes: number[] = [];
    const number = (value: number): void => {
      for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
      bytes.push(value);
    };
    number(clients);
    // Each waits for the next, the last for nobody.
    for (let client = clients; client > 0; client--) {
      for (const part of [1, client, 0]) number(part);
      if (client === 1) bytes.push(4, 1, 1, 0x74);
      else {
        bytes.push(0x84);
        number(client - 1);
        bytes.push(0);
      }
      bytes.push(1, 0x61);
    }
    bytes.push(0);
    const source = sourceOf(Uint8Array.from(bytes));
    const clocks = new ClockIndex();
    let structs = 0;
    for (const step of emitClosed(source, clocks, { batchBytes: 64 << 10, windowBytes: 1 << 20 })) if (step !== null) structs += step.ranges.length;
    expect(structs).toBe(clients);
  });
});
