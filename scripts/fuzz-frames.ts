/**
 * Feeds mutated genuine updates to the strict reader. Anything but a clean return or UpdateRefusedError fails, and so does an
 * accepted update that a stock Y.Doc throws on when it loads it or encodes what it loaded (a sample). Same seed, same run.
 *
 *   node scripts/fuzz-frames.ts --count 1000000 --seed 1 --sample 50
 */

import { parseArgs } from "node:util";
import * as Y from "yjs";
import { splitNews } from "../src/update/news.ts";
import { UpdateRefusedError } from "../src/update/refused.ts";
import { Random } from "../test/kit/random.ts";
import { genuineUpdates } from "../test/update/genuine.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    /** Every n-th accepted update is loaded by a document. */
    sample: { type: "string", default: "50" },
  },
});

/** Mutations made from one corpus before a new one is generated. */
const ROUNDS_PER_CORPUS = 20_000;

const count = wholeNumber("count", values.count);
const firstSeed = wholeNumber("seed", values.seed);
const sample = Math.max(1, wholeNumber("sample", values.sample));

let accepted = 0;
let loaded = 0;
const refused = new Map<string, number>();
const startedAt = performance.now();

for (let done = 0, seed = firstSeed; done < count; seed++) {
  const random = new Random(seed);
  const corpus = makeCorpus(random);
  for (let round = 0; round < ROUNDS_PER_CORPUS && done < count; round++, done++) {
    const bytes = mutate(random, corpus);
    try {
      // splitNews reads the whole update; building both parts exercises the cuts as well.
      const cut = random.int(0, 20);
      const news = splitNews(bytes, () => cut);
      void news.readyUpdate;
      void news.heldUpdate;
    } catch (error) {
      if (!(error instanceof UpdateRefusedError)) fail(seed, round, bytes, "the reader", error);
      refused.set(error.code, (refused.get(error.code) ?? 0) + 1);
      continue;
    }
    if (accepted++ % sample !== 0) continue;
    loaded++;
    try {
      const doc = new Y.Doc();
      Y.applyUpdate(doc, bytes);
      Y.encodeStateAsUpdate(doc);
    } catch (error) {
      fail(seed, round, bytes, "a stock document", error);
    }
  }
}

const seconds = (performance.now() - startedAt) / 1000;
console.log(`${count} frames in ${seconds.toFixed(1)} s: ${accepted} accepted, ${loaded} of them loaded by a document`);
for (const [code, times] of [...refused].sort((a, b) => b[1] - a[1])) console.log(`  ${code} ${times}`);

function makeCorpus(random: Random): Uint8Array[] {
  const updates = genuineUpdates(random, 30);
  return [...updates, Y.mergeUpdates(updates.slice(0, 8)), Y.mergeUpdates(random.shuffle(updates).slice(0, 6))];
}

function mutate(random: Random, corpus: readonly Uint8Array[]): Uint8Array {
  let bytes = random.pick(corpus).slice();
  for (let n = random.int(1, 3); n > 0 && bytes.length > 0; n--) {
    const at = random.int(0, bytes.length - 1);
    switch (random.int(0, 5)) {
      case 0:
        bytes[at] = random.int(0, 255);
        break;
      case 1:
        bytes[at] = bytes[at]! ^ (1 << random.int(0, 7));
        break;
      case 2:
        bytes[at] = random.pick([0, 1, 127, 128, 255]);
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4:
        bytes = Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + random.int(1, 4))]);
        break;
      default: {
        const other = random.pick(corpus);
        const from = random.int(0, other.length - 1);
        bytes = Uint8Array.from([...bytes.slice(0, at), ...other.slice(from, from + random.int(1, 12)), ...bytes.slice(at)]);
      }
    }
  }
  return bytes;
}

function fail(seed: number, round: number, bytes: Uint8Array, who: string, error: unknown): never {
  console.error(`seed ${seed}, round ${round}: ${who} threw on ${Buffer.from(bytes).toString("hex")}`);
  console.error(error);
  process.exit(1);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, got ${text}`);
  process.exit(2);
}
