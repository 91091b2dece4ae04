import { expect, test } from "vitest";
import { fuzzFrames } from "../../scripts/fuzz/fuzz-frames.ts";

/** `npm run fuzz` sends a million. */
test("[CK1] [CK2] [CK3] [CK4] [CK5] [CK6] frames nobody should send cost their sender the session or nothing, and nobody else anything", () => {
  const run = fuzzFrames({ count: 6_000, seed: 91, sample: 20 });
  expect(run.rooms).toBe(3);
  expect(run.accepted).toBeGreaterThan(500);
  const reasons = [...run.closes.keys()];
  for (const reason of ["frame-truncated", "sync-inner-unknown", "awareness-bad-json", "awareness-too-deep", "truncated", "bad-varint", "too-many-structs"]) expect(reasons).toContain(reason);
});
