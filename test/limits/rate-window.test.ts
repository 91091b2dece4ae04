import fc from "fast-check";
import { expect, test } from "vitest";
import { RateWindow } from "../../src/access/rate-window.ts";

const MINUTE = 60_000;

/** Takes at each time; which succeeded. */
function takeAll(window: RateWindow, times: readonly number[]): number[] {
  return times.filter((at) => window.take("k", at).ok);
}

test("[LT1] exactly the limit passes at once, and the next is told when to come", () => {
  const window = new RateWindow(600, MINUTE, 10);
  const start = 1_763_740_000_123;
  expect(takeAll(window, Array.from({ length: 600 }, (_, n) => start + n))).toHaveLength(600);
  const refused = window.take("k", start + 700);
  if (refused.ok) throw new Error("the 601st passed");
  expect(refused.retryAfterMs).toBeGreaterThan(MINUTE - 1_000);
  expect(refused.retryAfterMs).toBeLessThanOrEqual(MINUTE + 5_000);
  expect(window.take("k", start + 700 + refused.retryAfterMs).ok).toBe(true);
  expect(window.take("other", start + 700).ok).toBe(true);
});

test("[LT1] never more than the limit within any window, whatever the times", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })), { maxLength: 400 }), (limit, gaps) => {
      const window = new RateWindow(limit, MINUTE, 10);
      let at = 1_000_000;
      const passed = takeAll(window, gaps.map((gap) => (at += gap)));
      passed.forEach((time, n) => {
        const before = passed[n - limit];
        if (before !== undefined) expect(time - before).toBeGreaterThanOrEqual(MINUTE);
      });
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("[LT2] what is refused is not counted, and the time told is when the next passes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.integer({ min: 0, max: 9_000 }), { maxLength: 100 }), (limit, gaps) => {
      const window = new RateWindow(limit, MINUTE, 10);
      let at = 5;
      for (const gap of gaps) {
        at += gap;
        const verdict = window.take("k", at);
        if (verdict.ok) continue;
        expect(verdict.retryAfterMs).toBeLessThanOrEqual((MINUTE / 12) * 13);
        for (let tries = 0; tries < 50; tries++) expect(window.take("k", at + verdict.retryAfterMs - 1).ok).toBe(false);
        at += verdict.retryAfterMs;
        expect(window.take("k", at).ok).toBe(true);
      }
    }),
    { seed: 2, numRuns: 200 },
  );
});

test("a clock that stands or steps back neither frees nor blocks for ever", () => {
  const window = new RateWindow(2, MINUTE, 10);
  expect(takeAll(window, [MINUTE * 10, MINUTE * 10, MINUTE * 10, MINUTE, 0])).toHaveLength(2);
  expect(window.take("k", MINUTE * 12).ok).toBe(true);
});

test("[LT6] only the last keys are remembered, by use", () => {
  const window = new RateWindow(1, MINUTE, 3);
  for (const key of ["a", "b", "c"]) expect(window.take(key, 0).ok).toBe(true);
  expect(window.take("a", 0).ok).toBe(false);
  expect(window.take("d", 0).ok).toBe(true);
  expect(window.size).toBe(3);
  expect(window.take("a", 0).ok).toBe(false);
  expect(window.take("b", 0).ok).toBe(true);
});
