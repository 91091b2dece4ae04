import { beforeEach, expect, test } from "vitest";
import { Refusals } from "../../src/access/refusals.ts";
import { LIMITS } from "../../src/limits.ts";

let now: number;
let waiting: { untilMs: number; resolve: () => void }[];
let exists: Set<string>;
let reads: number;
let refusals: Refusals;

const readIds = async (): Promise<ReadonlySet<string>> => {
  reads++;
  return new Set(exists);
};

/** Time goes on, and whoever waited for it with it. */
async function pass(ms: number): Promise<void> {
  now += ms;
  for (const { untilMs, resolve } of waiting.splice(0)) {
    if (untilMs <= now) resolve();
    else waiting.push({ untilMs, resolve });
  }
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

beforeEach(() => {
  now = 1_000_000;
  waiting = [];
  exists = new Set(["known"]);
  reads = 0;
  refusals = new Refusals({ nowMs: () => now, wait: (ms) => (ms === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push({ untilMs: now + ms, resolve }))) });
});

const flood = (): void => {
  for (let i = 0; i <= LIMITS.blindAdmissionsPerMinute; i++) refusals.add(`guess ${i}`);
};

test("[AC18] a refusal is remembered, the oldest of a thousand forgotten", () => {
  for (let i = 0; i <= 1_000; i++) refusals.add(String(i));
  expect([refusals.has("0"), refusals.has("1"), refusals.has("1000")]).toEqual([false, true, true]);
});

test("[AC18] few refusals: everything is asked about, nothing is read", async () => {
  for (let i = 0; i < LIMITS.blindAdmissionsPerMinute; i++) refusals.add(String(i));
  expect(await refusals.worthAsking("any", readIds)).toBe(true);
  expect(reads).toBe(0);
});

test("[AC18] many: only ids that exist, one read for all who come before it begins", async () => {
  flood();
  expect(await refusals.worthAsking("known", readIds)).toBe(true);
  const guesses = Array.from({ length: 100 }, (_, i) => refusals.worthAsking(`g${i}`, readIds));
  expect([reads, waiting.length]).toEqual([1, 1]);
  await pass(LIMITS.configRecheckMs);
  expect(new Set(await Promise.all(guesses))).toEqual(new Set([false]));
  expect(reads).toBe(2);
});

test("[AC18] a device made a moment ago waits and is not refused", async () => {
  flood();
  await refusals.worthAsking("x", readIds);
  const asked = refusals.worthAsking("made now", readIds);
  exists.add("made now");
  await pass(LIMITS.configRecheckMs);
  expect(await asked).toBe(true);
});

test("[AC18] once nobody guesses any more it is as before", async () => {
  flood();
  now += 60_000;
  expect(await refusals.worthAsking("any", readIds)).toBe(true);
  expect(reads).toBe(0);
});

test("[AC18] a read that fails is tried again", async () => {
  flood();
  await expect(refusals.worthAsking("known", () => Promise.reject(new Error("gone")))).rejects.toThrow("gone");
  const asked = refusals.worthAsking("known", readIds);
  await pass(LIMITS.configRecheckMs);
  expect(await asked).toBe(true);
});
