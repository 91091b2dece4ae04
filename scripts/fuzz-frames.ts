/**
 * Feeds frames nobody should send to a room with two other clients in it, thousands to each room. Fails when a frame is anything but dealt with or
 * refused with a code of the table, when somebody else notices, when the room does not converge afterwards, when memory grows, or when
 * a stock document chokes on an update that was accepted. Same seed, same run.
 *
 *   npm run fuzz -- --count 1000000 --seed 1
 */
import { parseArgs } from "node:util";
import { fuzzFrames } from "./fuzz/fuzz-frames.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    /** Every n-th accepted update is loaded by a document of its own. */
    sample: { type: "string", default: "50" },
  },
});

const startedAt = performance.now();
try {
  const run = fuzzFrames({ count: wholeNumber("count", values.count), seed: wholeNumber("seed", values.seed), sample: wholeNumber("sample", values.sample) });
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`${run.frames} frames to ${run.rooms} rooms in ${seconds.toFixed(1)} s, at most ${Math.round(run.peakBytes / 2 ** 20)} MiB`);
  console.log(`${run.accepted} updates accepted, ${run.loaded} of them loaded by a document; sessions closed:`);
  for (const [reason, times] of [...run.closes].toSorted((a, b) => b[1] - a[1])) console.log(`  ${reason} ${times}`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, got ${text}`);
  process.exit(2);
}
