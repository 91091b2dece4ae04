import { expect, test } from "vitest";
import { planRead } from "../../worker/attachments/read-plan.ts";

const TAG = '"abc"';
const plan = (headers: Record<string, string>, byteLength = 100): unknown => planRead(new Headers(headers), TAG, byteLength);
const whole = { kind: "whole", start: 0, end: 100 };
const part = (start: number, end: number): unknown => ({ kind: "part", start, end });
const unsatisfiable = { kind: "unsatisfiable" };

test("[AT5] a single range of bytes", () => {
  const cases: [string, unknown][] = [
    ["bytes=0-0", part(0, 1)],
    ["bytes=10-19", part(10, 20)],
    ["bytes=10-", part(10, 100)],
    ["bytes=-10", part(90, 100)],
    ["bytes=-1000", part(0, 100)],
    ["bytes=90-1000", part(90, 100)],
    ["bytes=0-99", part(0, 100)],
    ["Bytes = 5 - 6", part(5, 7)],
    ["bytes=100-", unsatisfiable],
    ["bytes=100-200", unsatisfiable],
    ["bytes=-0", unsatisfiable],
    ["bytes=99999999999999999999-", unsatisfiable],
    // What a server may ignore.
    ["bytes=20-10", whole],
    ["bytes=-", whole],
    ["bytes=0-1,5-6", whole],
    ["bytes=a-b", whole],
    ["lines=1-2", whole],
    ["", whole],
  ];
  for (const [range, expected] of cases) expect([range, plan({ Range: range })]).toEqual([range, expected]);
});

test("[AT5] conditions", () => {
  const notModified = { kind: "not-modified" };
  for (const tag of [TAG, `W/${TAG}`, `"x", ${TAG}`, "*", ` ${TAG} `]) expect(plan({ "If-None-Match": tag })).toEqual(notModified);
  for (const tag of ['"x"', "abc", ""]) expect(plan({ "If-None-Match": tag })).toEqual(whole);
  expect(plan({ "If-None-Match": TAG, Range: "bytes=0-0" })).toEqual(notModified);
  expect(plan({ "If-Range": TAG, Range: "bytes=0-0" })).toEqual(part(0, 1));
  for (const ifRange of ['"x"', `W/${TAG}`, "Sat, 21 Nov 2026 00:00:00 GMT"]) expect(plan({ "If-Range": ifRange, Range: "bytes=0-0" })).toEqual(whole);
});
