import { expect, test } from "vitest";
import { Pacer, withoutPauses } from "../../src/update/pacer.ts";
import { pacedSort } from "../../src/update/paced-sort.ts";
import { forSeeds } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";

test("parts cover everything once, and none is larger than the work between two pauses", () => {
  forSeeds(50, (seed) => {
    const random = new Random(seed);
    const every = random.int(1, 100);
    const work = random.int(1, 20);
    const count = random.int(0, 300);
    const parts: [number, number][] = [];
    const pacer = new Pacer(every);
    pacer.spend(random.int(0, every - 1));
    const pauses = [...pacer.inParts(count, work, (from, to) => parts.push([from, to]))].length;
    expect(parts.map(([from]) => from)).toEqual([0, ...parts.map(([, to]) => to)].slice(0, parts.length));
    expect(parts.at(-1)?.[1] ?? 0).toBe(count);
    for (const [from, to] of parts) expect(to === from + 1 || (to - from) * work <= every).toBe(true);
    expect(pauses).toBeGreaterThanOrEqual(Math.floor((count * work) / (every + work)));
  });
});

test("without a limit nothing pauses", () => {
  const pacer = new Pacer(Infinity);
  pacer.spend(1e15);
  expect(pacer.isDue).toBe(false);
  expect([...pacer.pause()]).toEqual([]);
  expect([...pacer.inParts(10, 1, () => {})]).toEqual([]);
});

test("sorts as the engine sorts, whatever the size of its blocks", () => {
  forSeeds(60, (seed) => {
    const random = new Random(seed);
    const values = Float64Array.from({ length: random.int(0, 3000) }, () => random.int(0, random.pick([3, 1000, 2 ** 50])));
    const expected = values.slice().sort();
    const every = random.pick([1, 500, 5000, Infinity]);
    const steps = [...pacedSort(values, (part) => void part.sort(), (a, b) => a > b, new Pacer(every))];
    expect(values).toEqual(expected);
    if (every === 1) expect(steps.length).toBeGreaterThanOrEqual(values.length >> 1);
  });
});

test("is stable: rows of one clock stay in the order they came in", () => {
  forSeeds(60, (seed) => {
    const random = new Random(seed);
    const clocks = Array.from({ length: random.int(1, 500) }, () => random.int(0, 20));
    const rows = Int32Array.from(clocks.keys());
    const expected = rows.slice().sort((a, b) => clocks[a]! - clocks[b]! || a - b);
    const byClock = (part: Int32Array): void => void part.sort((a, b) => clocks[a]! - clocks[b]! || a - b);
    withoutPauses(pacedSort(rows, byClock, (a, b) => clocks[a]! > clocks[b]!, new Pacer(random.pick([1, 1000, 30_000]))));
    expect(rows).toEqual(expected);
  });
});
