import { expect, test } from "vitest";
import { RunList } from "../../src/update/run-list.ts";

test("gives back the runs it was made of, wide numbers too", () => {
  for (const scale of [1, 2 ** 33]) {
    const runs = [
      { client: 3 * scale, clock: 0, end: 5, structCount: 2, offset: 0, byteLength: 11 },
      { client: 3 * scale, clock: 9, end: 9 + scale, structCount: 1, offset: 11, byteLength: 4 },
      { client: 1, clock: 2, end: 4, structCount: 1, offset: 15, byteLength: 7 },
    ];
    const list = RunList.from(runs);
    expect([...list]).toEqual(runs);
    expect([list.length, list.clockCount]).toEqual([3, 7 + scale]);
  }
  expect([[...RunList.empty], RunList.empty.clockCount]).toEqual([[], 0]);
});

test("refuses runs that do not lie back to back, since it does not keep where they lie", () => {
  expect(() => RunList.from([{ client: 1, clock: 0, end: 5, structCount: 2, offset: 3, byteLength: 11 }])).toThrow(RangeError);
});
