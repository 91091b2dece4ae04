import { expect, test } from "vitest";
import * as Y from "yjs";
import { joinUpdates } from "../../src/update/join-updates.ts";
import { splitNews, withDeletes } from "../../src/update/news.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { Random } from "../kit/random.ts";
import { genuineUpdates } from "./genuine.ts";

const NOTHING = Y.encodeStateVector(new Y.Doc());

/** Updates cut to what is news, in order: what a room relays. */
function newsOf(updates: readonly Uint8Array[]): Uint8Array[] {
  const known = new Map<number, number>();
  const relayed: Uint8Array[] = [];
  for (const update of updates) {
    const news = splitNews(update, (client) => known.get(client) ?? 0);
    expect(news.held).toEqual([]);
    for (const range of news.ready) known.set(range.client, range.to);
    relayed.push(withDeletes(news.readyUpdate, news.deletes));
  }
  return relayed;
}

test("a joined update is what Yjs merges the same updates into, wherever the row of updates is parted", () => {
  for (let seed = 1; seed <= 80; seed++) {
    const random = new Random(seed);
    const relayed = newsOf(genuineUpdates(random, 40));
    const byFrames = new Y.Doc();
    for (let at = 0; at < relayed.length; ) {
      const next = at + random.int(1, 8);
      const part = relayed.slice(at, next);
      const joined = joinUpdates(part)!;
      expect(Y.diffUpdate(joined, NOTHING), `seed ${seed}, from ${at}`).toEqual(Y.diffUpdate(Y.mergeUpdates(part), NOTHING));
      Y.applyUpdate(byFrames, joined);
      expect(byFrames.store.pendingStructs).toBeNull();
      at = next;
    }
  }
});

test("updates that do not follow on from each other are not joined", () => {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (const letter of "abc") doc.getText("t").insert(0, letter);
  expect(joinUpdates([updates[0]!, updates[2]!])).toBeNull();
  expect(joinUpdates([updates[0]!, updates[0]!])).toBeNull();
  expect(joinUpdates([Y.mergeUpdates([updates[0]!, updates[2]!]), updates[1]!])).toBeNull();
  expect(joinUpdates(updates)).toEqual(Y.mergeUpdates(updates));
  expect(() => joinUpdates([updates[0]!, updates[1]!.subarray(1)])).toThrow(UpdateRefusedError);
});
