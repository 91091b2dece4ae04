import * as Y from "yjs";
import { expect, test } from "vitest";
import { clientHash, covers, decodeDeleteSet, type DeleteSet, DeleteSetBuilder, encodeDeleteSet, subtract, union } from "../../src/update/delete-set.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { Random } from "../kit/random.ts";
import { genuineUpdates } from "./genuine.ts";

/** The same set as one string per deleted clock. */
type Naive = Set<string>;

function randomSet(random: Random): { set: DeleteSet; naive: Naive } {
  const builder = new DeleteSetBuilder();
  const naive: Naive = new Set();
  for (let n = random.int(0, 20); n > 0; n--) {
    const client = random.int(1, 3);
    const clock = random.int(0, 60);
    const length = random.int(0, 6);
    builder.add(client, clock, length);
    for (let i = 0; i < length; i++) naive.add(`${client}:${clock + i}`);
  }
  return { set: builder.build(), naive };
}

function flatten(set: DeleteSet): Naive {
  const naive: Naive = new Set();
  for (const client of set.clients()) {
    const ranges = set.ranges(client)!;
    expect(ranges.length).toBeGreaterThan(0);
    for (let i = 0; i < ranges.length; i += 2) {
      if (i > 0) expect(ranges[i]!).toBeGreaterThan(ranges[i - 1]!);
      for (let clock = ranges[i]!; clock < ranges[i + 1]!; clock++) naive.add(`${client}:${clock}`);
    }
  }
  return naive;
}

test("build, union, subtract, covers, isDeleted and overlap agree with a set of single clocks", () => {
  for (let seed = 1; seed <= 600; seed++) {
    const random = new Random(seed);
    const a = randomSet(random);
    const b = randomSet(random);
    const c = randomSet(random);
    const say = `seed ${seed}`;
    expect(flatten(a.set), say).toEqual(a.naive);
    expect(flatten(union(a.set, b.set, c.set)), say).toEqual(new Set([...a.naive, ...b.naive, ...c.naive]));
    expect(flatten(subtract(a.set, b.set)), say).toEqual(new Set([...a.naive].filter((id) => !b.naive.has(id))));
    expect(covers(a.set, b.set), say).toBe([...b.naive].every((id) => a.naive.has(id)));
    expect(covers(union(a.set, b.set), b.set), say).toBe(true);
    expect(subtract(a.set, a.set).isEmpty, say).toBe(true);
    for (let client = 1; client <= 4; client++) {
      for (let clock = 0; clock < 70; clock++) expect(a.set.isDeleted(client, clock), say).toBe(a.naive.has(`${client}:${clock}`));
      const from = random.int(0, 60);
      const to = from + random.int(1, 9);
      const ranges = a.set.ranges(client) ?? new Float64Array(0);
      let first = 0;
      while (first < ranges.length / 2 && !(ranges[2 * first + 1]! > from && ranges[2 * first]! < to)) first++;
      expect(a.set.overlap(client, from, to), say).toBe(first);
    }
    expect(flatten(decodeDeleteSet(encodeDeleteSet(a.set))), say).toEqual(a.naive);
    for (const client of a.set.clients()) {
      const ranges = a.set.ranges(client)!;
      const same = clientHash(ranges) === clientHash(b.set.ranges(client) ?? new Float64Array(0));
      expect(same, say).toBe(b.set.ranges(client)?.join() === ranges.join());
    }
  }
});

test("the encoding is a document's own, and can be appended and read behind other bytes", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const doc = new Y.Doc();
    for (const update of genuineUpdates(new Random(seed), 30)) Y.applyUpdate(doc, update);
    const state = Y.encodeStateAsUpdate(doc);
    const { structBytesEnd } = readUpdate(state, {});
    const set = decodeDeleteSet(state, structBytesEnd);
    expect(encodeDeleteSet(set), `seed ${seed}`).toEqual(state.slice(structBytesEnd));
    const writer = new ByteWriter();
    writer.utf8String("before");
    expect(encodeDeleteSet(set, writer)).toEqual(state.slice(structBytesEnd));
    expect(flatten(decodeDeleteSet(writer.finish(), 7))).toEqual(flatten(set));
  }
});

test("broken bytes are refused", () => {
  expect(() => decodeDeleteSet(Uint8Array.of(0, 0))).toThrow(UpdateRefusedError);
  expect(() => decodeDeleteSet(Uint8Array.of(1, 5, 1, 0))).toThrow(UpdateRefusedError);
  expect(decodeDeleteSet(Uint8Array.of(0)).isEmpty).toBe(true);
});

test("100,000 scattered ranges are built in a sort, not by insertion", () => {
  const random = new Random(7);
  const builder = new DeleteSetBuilder();
  const started = performance.now();
  for (let i = 0; i < 100_000; i++) builder.add(1 + (i % 20), random.int(0, 1e9), random.int(1, 9));
  const set = builder.build();
  expect(performance.now() - started).toBeLessThan(2_000);
  expect(set.rangeCount).toBeGreaterThan(99_000);
  expect(set.estimateBytes).toBeGreaterThan(set.rangeCount * 16);
});

test("hashes of near ranges differ and stay below 2^53", () => {
  const seen = new Set<number>();
  for (let start = 0; start < 200; start++) {
    for (let end = start + 1; end < 200; end++) {
      const hash = clientHash(Float64Array.of(start, end));
      expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true);
      seen.add(hash);
    }
  }
  expect(seen.size).toBe((200 * 199) / 2);
  expect(clientHash(Float64Array.of(1, 2 ** 40))).not.toBe(clientHash(Float64Array.of(1, 2 ** 41)));
  // Stored values: a change here needs a migration.
  expect(clientHash(Float64Array.of(0, 1, 5, 9))).toBe(3067894648605123);
  expect(clientHash(Float64Array.of(2 ** 33, 2 ** 52))).toBe(4188782762707167);
});
