import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { type FramePlan, planCausalFrames, planFrame } from "../../src/update/assemble.ts";
import type { Chunk } from "../../src/update/chunk.ts";
import { type DeleteSet, DeleteSetBuilder, encodeDeleteSet } from "../../src/update/delete-set.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { rewrite } from "../../src/update/rewrite.ts";
import { SKIP_REF } from "../../src/update/visitor.ts";
import { byteDifference, difference, plainDoc } from "../kit/compare.ts";
import { forSeeds, playHistory } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";

const NO_DELETES = Uint8Array.of(0);

interface Vault {
  chunks: Chunk[];
  deletes: DeleteSet;
  updates: Uint8Array[];
}

function vaultOf(updates: Uint8Array[], chunkBytes: number): Vault {
  const builder = new DeleteSetBuilder();
  for (const update of updates) readUpdate(update, { deleteRange: (client, clock, length) => builder.add(client, clock, length) });
  const deletes = builder.build();
  return { updates, deletes, chunks: rewrite(updates.map((bytes) => ({ bytes, runs: null })), { deletes, chunkBytes }) };
}

function indexOf(chunks: readonly Chunk[]): { id: number; runs: Chunk["runs"] }[] {
  // Ids that are not positions, so that mixing the two up shows.
  return chunks.map((chunk, at) => ({ id: 1000 - at, runs: chunk.runs }));
}

/** Creates the frame and checks what a plan promises: one read per chunk named, no more bytes than said. */
function create(plan: FramePlan, chunks: readonly Chunk[], deleteSetBytes: Uint8Array): Uint8Array {
  const reads: number[] = [];
  const frame = plan.create(deleteSetBytes, (id) => {
    reads.push(id);
    return chunks[1000 - id]!.bytes;
  });
  expect(reads).toEqual([...plan.chunkIds]);
  expect(new Set(reads).size).toBe(reads.length);
  expect(frame.length).toBeLessThanOrEqual(plan.byteLength + deleteSetBytes.length);
  readUpdate(frame, {});
  return frame;
}

/** One text whose letters were all inserted at the front by one client: nothing to squash, one struct a letter. */
function letters(client: number, count: number): Uint8Array[] {
  const doc = new Y.Doc();
  doc.clientID = client;
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (let i = 0; i < count; i++) doc.getText("t").insert(0, String.fromCharCode(97 + (i % 26)));
  return updates;
}

describe("planFrame", () => {
  test("[A4] a frame for an empty client is the document however the vault was chunked, of the size promised", () => {
    forSeeds(100, (seed) => {
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const { chunks, deletes } = vaultOf(updates, 1 + seed * 3);
      const plan = planFrame(indexOf(chunks), () => 0);
      const encoded = encodeDeleteSet(deletes);
      const frame = create(plan, chunks, encoded);
      expect(frame.length).toBe(plan.byteLength + encoded.length);
      expect(byteDifference(plainDoc([frame]), plainDoc(updates))).toBe(null);
    });
  });

  test("[A4, L1] a client that knows a part gets the rest of each run, cut inside a struct where it must be", () => {
    forSeeds(300, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const { chunks, deletes } = vaultOf(updates, [1, 100, 1000, 1e6][seed % 4]!);
      const early = updates.slice(0, random.int(0, updates.length));
      const client = plainDoc(early);
      const vector = Y.decodeStateVector(Y.encodeStateVector(client));
      const plan = planFrame(indexOf(chunks), (id) => vector.get(id) ?? 0);
      Y.applyUpdate(client, create(plan, chunks, encodeDeleteSet(deletes)), "remote");
      expect(client.store.pendingStructs).toBe(null);
      expect(difference(client, plainDoc(updates))).toBe(null);
    });
  });

  test("[A4] any vector at all gives an update that begins where it says", () => {
    forSeeds(150, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const { chunks } = vaultOf(updates, 50 + seed);
      const whole = plainDoc(updates);
      const known = new Map([...Y.decodeStateVector(Y.encodeStateVector(whole))].map(([id, end]) => [id, random.int(0, end)]));
      const plan = planFrame(indexOf(chunks), (id) => known.get(id) ?? 0);
      const begins = new Map<number, number>();
      const ends = new Map<number, number>();
      readUpdate(create(plan, chunks, NO_DELETES), {
        section: (client, clock) => begins.set(client, clock),
        struct: (view) => ends.set(view.client, view.clock + view.length),
      });
      for (const [id, end] of Y.decodeStateVector(Y.encodeStateVector(whole))) {
        const from = known.get(id)!;
        expect([begins.get(id), ends.get(id)]).toEqual(from === end ? [undefined, undefined] : [from, end]);
      }
    });
  });

  test("a client that knows everything needs no chunk and gets the delete set alone", () => {
    const { chunks, deletes } = vaultOf(playHistory(5).deliveries.map((delivery) => delivery.update), 200);
    const plan = planFrame(indexOf(chunks), () => Infinity);
    expect([plan.isEmpty, plan.byteLength, plan.chunkIds]).toEqual([true, 1, []]);
    const encoded = encodeDeleteSet(deletes);
    expect(create(plan, chunks, encoded)).toEqual(Uint8Array.of(0, ...encoded));
  });

  test("only chunks with news are read", () => {
    const { chunks } = vaultOf(letters(7, 400), 500);
    expect(chunks.length).toBeGreaterThan(5);
    const last = chunks.at(-1)!.runs[0]!;
    expect(planFrame(indexOf(chunks), () => last.end - 1).chunkIds).toEqual([1000 - (chunks.length - 1)]);
    expect(planFrame(indexOf(chunks), () => last.clock - 1).chunkIds.length).toBe(2);
  });

  test("[T5] a hole between runs becomes a Skip, one before the first run begins the section later", () => {
    const updates = letters(7, 10);
    const parts = [updates.slice(2, 4), updates.slice(6, 8)].map((some) => vaultOf(some, 1e6).chunks[0]!);
    const seen: [number, number, number][] = [];
    const frame = create(planFrame(indexOf(parts), () => 0), parts, NO_DELETES);
    readUpdate(frame, { struct: (view) => seen.push([view.clock, view.length, view.ref]) });
    expect(seen.filter(([, , ref]) => ref === SKIP_REF)).toEqual([[4, 2, SKIP_REF]]);
    expect(seen[0]![0]).toBe(2);
    expect(seen.at(-1)![0]).toBe(7);
    const doc = plainDoc([frame, ...updates]);
    expect(doc.getText("t").toString()).toBe("jihgfedcba");
  });

  test("[T5] clocks in several chunks are taken from the first that has them", () => {
    const updates = letters(7, 10);
    const parts = [updates.slice(0, 6), updates.slice(3, 10), updates.slice(1, 5)].map((some) => vaultOf(some, 1e6).chunks[0]!);
    const plan = planFrame(indexOf(parts), () => 0);
    expect(plan.chunkIds).toEqual([1000, 999]);
    expect(plainDoc([create(plan, parts, NO_DELETES)]).getText("t").toString()).toBe("jihgfedcba");
  });

  test("a cut struct that grows by its origin still fits the place reserved for it", () => {
    const doc = new Y.Doc();
    doc.clientID = 0xffff_fff0;
    const updates: Uint8Array[] = [];
    doc.on("update", (update: Uint8Array) => updates.push(update));
    doc.getText("t").insert(0, "abc");
    const { chunks } = vaultOf(updates, 1e6);
    const reader = plainDoc([updates[0]!]);
    const plan = planFrame(indexOf(chunks), () => 1);
    const frame = create(plan, chunks, NO_DELETES);
    expect(frame).toEqual(Y.diffUpdate(updates[0]!, Y.encodeStateVector(new Map([[doc.clientID, 1]]))));
    Y.applyUpdate(reader, frame);
    expect(reader.getText("t").toString()).toBe("abc");
  });

  test("a plan can be created twice, and a short rest of a long run does not hold the run's memory", () => {
    const { chunks } = vaultOf(letters(7, 3000), 1e6);
    const plan = planFrame(indexOf(chunks), () => 2990);
    const frame = create(plan, chunks, NO_DELETES);
    expect(create(plan, chunks, NO_DELETES)).toEqual(frame);
    expect(frame.buffer.byteLength).toBe(frame.length);
  });
});

describe("planCausalFrames", () => {
  test("[A4, L9] frames sent last first wait as pending structs and become the document with the closing one", () => {
    forSeeds(150, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const { chunks, deletes } = vaultOf(updates, 80);
      const client = plainDoc(random.chance(0.5) ? [] : updates.slice(0, random.int(0, updates.length)));
      const vector = Y.decodeStateVector(Y.encodeStateVector(client));
      const plans = planCausalFrames(indexOf(chunks), (id) => vector.get(id) ?? 0, random.int(100, 1500));
      for (const [at, plan] of [...plans.entries()].reverse()) {
        Y.applyUpdate(client, create(plan, chunks, at === 0 ? encodeDeleteSet(deletes) : NO_DELETES), "remote");
      }
      expect(client.store.pendingStructs).toBe(null);
      expect(difference(client, plainDoc(updates))).toBe(null);
    });
  });

  test("frames stay under the size, leave no chunk out, and there is always one", () => {
    const { chunks } = vaultOf(letters(7, 2000), 1000);
    const plans = planCausalFrames(indexOf(chunks), () => 0, 2500);
    expect(plans.length).toBeGreaterThan(4);
    for (const plan of plans) expect(plan.byteLength).toBeLessThanOrEqual(2500);
    expect(plans.flatMap((plan) => [...plan.chunkIds])).toEqual(indexOf(chunks).map(({ id }) => id));
    const none = planCausalFrames(indexOf(chunks), () => 2000, 2500);
    expect(none.map((plan) => plan.isEmpty)).toEqual([true]);
  });
});
