import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { planCausalFrames, planFrame } from "../../src/update/assemble.ts";
import { DeleteSet, DeleteSetBuilder, encodeDeleteSet } from "../../src/update/delete-set.ts";
import { splitNews } from "../../src/update/news.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { rewrite, rewriteSteps } from "../../src/update/rewrite.ts";
import { encodeStateVector } from "../../src/update/state-vector.ts";
import { SKIP_REF, type StructView } from "../../src/update/visitor.ts";
import { byteDifference, difference, plainDoc, retryPending, showDoc, showVector } from "../kit/compare.ts";
import { forSeeds, playHistory } from "../kit/histories.ts";
import { ModelRoom } from "../kit/model-room.ts";
import { Random } from "../kit/random.ts";

const RUNS = 100;

/** Updates of `edits`, one each, by a document of its own. */
function record(clientId: number, edits: readonly ((doc: Y.Doc) => void)[], start: readonly Uint8Array[] = []): { doc: Y.Doc; updates: Uint8Array[] } {
  const doc = plainDoc(start, { clientId });
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  for (const edit of edits) doc.transact(() => edit(doc));
  return { doc, updates };
}

function roomOf(updates: readonly Uint8Array[], chunkBytes?: number): ModelRoom {
  const room = new ModelRoom();
  for (const update of updates) room.receive(update);
  if (chunkBytes !== undefined) room.checkpoint(chunkBytes);
  return room;
}

function type(text: string): (doc: Y.Doc) => void {
  return (doc) => doc.getText("text").insert(doc.getText("text").length, text);
}

function forAllStructs(update: Uint8Array, visit: (view: StructView) => void): void {
  readUpdate(update, { struct: visit });
}

describe("traps of the update laws", () => {
  test("[T1] first integrable wins: a held struct is placed when its gap closes", () => {
    const first = record(5, [type("a"), type("b"), type("c")]).updates;
    const second = record(5, [type("x"), type("y"), type("z")]).updates;
    const [a, b, c] = first as [Uint8Array, Uint8Array, Uint8Array];
    const z = second[2] as Uint8Array;
    const orders = [
      [a, z, b, c],
      [z, a, b, c],
      [a, c, z, b],
      [z, c, b, a],
      [a, z, c, b],
    ];
    for (const order of orders) {
      const live = plainDoc(order);
      const room = roomOf(order);
      expect(difference(plainDoc([room.serveAll()]), live)).toBeNull();
      expect(room.held).toHaveLength(0);
    }
    expect(showDoc(plainDoc([roomOf([a, z, b, c]).serveAll()]))).toContain("abz");
  });

  test("[T2] a client id used twice: the first content wins, nothing throws, partial overlaps are counted", () => {
    forSeeds(RUNS, (seed) => {
      const random = new Random(seed);
      const words = (): ((doc: Y.Doc) => void)[] =>
        Array.from({ length: 6 }, () => (doc: Y.Doc) => {
          if (random.chance(0.3)) doc.getMap("map").set("one", random.int(0, 9));
          else if (random.chance(0.4) && doc.getText("text").length > 0) doc.getText("text").delete(0, 1);
          else doc.getText("text").insert(random.int(0, doc.getText("text").length), random.pick(["k", "long", "er"]));
        });
      const arrivals = random.shuffle([...record(9, words()).updates, ...record(9, words()).updates]);
      const room = new ModelRoom();
      for (const update of arrivals) {
        room.receive(update);
        if (random.chance(0.3)) room.checkpoint(random.pick([1, 100]));
      }
      room.compact(0, room.chunks.length, 1000);
      const loaded = plainDoc([room.serveAll()]);
      expect(loaded.store.pendingStructs).toBeNull();
    });
    const longer = record(9, [type("abc")]).updates;
    const crossing = record(9, [type("wxyz")]).updates;
    const room = roomOf(longer);
    expect(room.receive(crossing[0] as Uint8Array).overlaps).toBe(1);
    expect(plainDoc([room.serveAll()]).getText("text").toJSON()).toBe("abcz");
  });

  test("[T3] implied deletions come with a client's next step 2: a write once, covered from the second on", () => {
    const one = record(1, [(doc) => doc.getMap("map").set("one", "first")]);
    const two = record(2, [(doc) => doc.getMap("map").set("one", "second")]);
    const room = roomOf([...one.updates, ...two.updates]);
    expect(room.deletes.isEmpty).toBe(true);
    const reader = plainDoc([room.serveAll()]);
    const step2 = Y.encodeStateAsUpdate(reader, room.vector());
    expect(room.receive(step2).isNews).toBe(true);
    expect(room.deletes.rangeCount).toBe(1);
    expect(room.receive(step2).isNews).toBe(false);
  });

  test("[T4] two values of one key whose deletion was lost are not squashed", () => {
    const both = record(3, [(doc) => doc.getMap("map").set("one", 1), (doc) => doc.getMap("map").set("one", 2)]).updates;
    // The second set without its delete set, as if a crash had taken the deletion.
    const withoutDeletes = both.map((update) => splitNews(update, (client) => (client === 3 && update !== both[0] ? 1 : 0)).readyUpdate as Uint8Array);
    const chunks = rewrite(withoutDeletes.map((bytes) => ({ bytes, runs: null })), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(chunks.flatMap((chunk) => chunk.runs.map((run) => run.structCount))).toEqual([2]);
    const room = roomOf(withoutDeletes, 1e6);
    expect(byteDifference(plainDoc([room.serveAll()]), plainDoc(withoutDeletes))).toBeNull();
  });

  test("[T5] repeats, overlaps and gaps are explicit in what is served", () => {
    const { doc, updates } = record(4, [type("one "), type("two "), type("three ")]);
    const whole = Y.encodeStateAsUpdate(doc);
    const repeated = roomOf([updates[0] as Uint8Array, updates[0] as Uint8Array, whole, updates[2] as Uint8Array, whole], 4);
    expect(plainDoc([repeated.serveAll()]).getText("text").toJSON()).toBe("one two three ");

    // Sources with a hole: a new run in the chunk, a Skip in the frame, pending in a document until the rest comes.
    const holed = rewrite([updates[0], updates[2]].map((bytes) => ({ bytes: bytes as Uint8Array, runs: null })), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(holed.flatMap((chunk) => chunk.runs.map((run) => [run.clock, run.end]))).toEqual([[0, 4], [8, 14]]);
    const parts = holed.map((chunk, id) => ({ id, runs: chunk.runs }));
    const frame = planFrame(parts, () => 0).create(encodeDeleteSet(DeleteSet.empty), (id) => (holed[id] as { bytes: Uint8Array }).bytes);
    const skips: number[] = [];
    forAllStructs(frame, (view) => {
      if (view.ref === SKIP_REF) skips.push(view.clock, view.length);
    });
    expect(skips).toEqual([4, 4]);
    expect(plainDoc([frame, updates[1] as Uint8Array]).getText("text").toJSON()).toBe("one two three ");

    forSeeds(RUNS, (seed) => {
      const history = playHistory(seed, { steps: 30 });
      const room = roomOf(history.deliveries.map((delivery) => delivery.update), 50);
      // A reader that knows a part of each client gets the rest from there on, no clock twice.
      const random = new Random(seed);
      const ends = new Map([...room.known].map(([client, clock]) => [client, random.int(0, clock)]));
      const opened = new Set<number>();
      let last = -1;
      forAllStructs(room.serve(encodeStateVector(ends)), (view) => {
        if (view.client !== last) expect(opened.has(view.client), "one section per client").toBe(false);
        opened.add(view.client);
        expect(view.clock).toBe(ends.get(view.client) ?? 0);
        ends.set(view.client, view.clock + view.length);
        last = view.client;
      });
      expect(showVector(ends)).toBe(showVector(room.known));
    });
  });

  test("[T6] no cut for size or reference inside a surrogate pair; a delete edge inside one cuts as Yjs does", () => {
    const { doc, updates } = record(6, [type("😀".repeat(400)), (own) => own.getText("text").insert(200, "·"), (own) => own.getText("text").insert(100, "x")]);
    for (const chunkBytes of [1, 16, 50, 1000]) {
      const loaded = plainDoc([roomOf(updates, chunkBytes).serveAll()]);
      expect(loaded.getText("text").toJSON()).toBe(doc.getText("text").toJSON());
    }
    const torn = record(7, [type("a😀b"), (own) => own.getText("text").delete(2, 1)]);
    expect(byteDifference(plainDoc([roomOf(torn.updates, 100).serveAll()]), plainDoc([Y.encodeStateAsUpdate(torn.doc)]))).toBeNull();

    // No pair is lost that stock documents keep: whatever tears pairs in a history, a U+FFFD here is one there.
    forSeeds(RUNS, (seed) => {
      const history = playHistory(seed, { surrogates: true, steps: 30 });
      const reference = plainDoc(history.deliveries.map((delivery) => delivery.update));
      const loaded = plainDoc([roomOf(history.deliveries.map((delivery) => delivery.update), 100).serveAll()]);
      expect(evenOutPairs(showDoc(loaded))).toBe(evenOutPairs(showDoc(reference)));
    });
  });

  test("[T7] [SV3] one frame harms formatted text no more than Yjs's own frame does", () => {
    const bold = record(1, [
      (doc) => doc.getText("text").insert(0, "B", { bold: true }),
      (doc) => doc.getText("text").insert(1, " tail", { bold: null }),
    ]);
    const inside = record(
      2,
      [(doc) => doc.getText("text").insert(1, "C", { bold: true }), (doc) => doc.getText("text").delete(0, 1)],
      bold.updates,
    );
    const room = roomOf([...bold.updates, ...inside.updates], 10);
    expect(room.chunks.length).toBeGreaterThan(1);
    const joiner = stockJoiner(room.serveAll());
    expect(joiner.delta[0]).toEqual({ insert: "C", attributes: { bold: true } });
    expect(joiner.ownEdits).toBe(0);

    forSeeds(RUNS, (seed) => {
      const updates = playHistory(seed, { formatCleanup: true }).deliveries.map((delivery) => delivery.update);
      const ours = stockJoiner(roomOf(updates, 60).serveAll());
      const theirs = stockJoiner(Y.encodeStateAsUpdate(plainDoc(updates)));
      expect(ours).toEqual(theirs);
    });
  });

  test("[T7] [T8] [SV3] causal frames sent last first harm nothing either and leave nothing pending", () => {
    let frameCount = 0;
    forSeeds(RUNS, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed, { formatCleanup: true }).deliveries.map((delivery) => delivery.update);
      const room = roomOf(updates, 60);
      const parts = room.chunks.map((chunk, id) => ({ id, runs: chunk.runs }));
      const plans = planCausalFrames(parts, () => 0, random.pick([60, 200, 600]));
      const frames = plans.map((plan, at) => plan.create(encodeDeleteSet(at === 0 ? room.deletes : DeleteSet.empty), (id) => (room.chunks[id] as { bytes: Uint8Array }).bytes));
      frameCount += frames.length;
      const doc = plainDoc(frames.toReversed());
      expect(doc.store.pendingStructs).toBeNull();
      expect(difference(doc, plainDoc(updates))).toBeNull();
      expect(stockJoiner(...frames.toReversed()).delta).toEqual(stockJoiner(Y.encodeStateAsUpdate(plainDoc(updates))).delta);
    });
    expect(frameCount).toBeGreaterThan(RUNS * 3);
  });

  test("[T8] one frame shows the final state only", () => {
    const rename = record(1, [
      (doc) => doc.getMap("map").set("path", "old.md"),
      (doc) => doc.getText("text").insert(0, "deleted later"),
      (doc) => doc.getText("text").delete(0, 13),
      (doc) => doc.getMap("map").set("path", "new.md"),
    ]);
    const room = roomOf(rename.updates, 5);
    expect(room.chunks.length).toBeGreaterThan(1);
    for (const start of [[], rename.updates.slice(0, 1)]) {
      const client = plainDoc(start);
      const seen: unknown[] = [];
      client.getMap("map").observe(() => seen.push(client.getMap("map").get("path")));
      client.getText("text").observe(() => seen.push(client.getText("text").toJSON()));
      Y.applyUpdate(client, room.serve(Y.encodeStateVector(client)), "remote");
      expect(seen.filter((value) => value !== "")).toEqual(["new.md"]);
    }
  });

  test("[T9] what lies behind a gap is stored and never served", () => {
    forSeeds(RUNS, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed, { steps: 25 }).deliveries.map((delivery) => delivery.update);
      const room = new ModelRoom();
      for (const update of random.shuffle(updates)) {
        room.receive(update);
        if (random.chance(0.3)) room.checkpoint(random.pick([1, 200]));
        if (!random.chance(0.3)) continue;
        const joiner = plainDoc([room.serveAll()]);
        // A cause in another client's structs may still be missing; nothing may miss the client's own earlier clocks.
        forAllStructs(room.serveAll(), (view) => expect(view.ref).not.toBe(SKIP_REF));
        for (const [client, clock] of joiner.store.pendingStructs?.missing ?? []) expect(clock >= (room.known.get(client) ?? 0)).toBe(true);
      }
      expect(room.held).toHaveLength(0);
      expect(plainDoc([room.serveAll()]).store.pendingStructs).toBeNull();
    });
  });

  test("[T10] after deleting everything the deep strip comes down to Yjs's own size", () => {
    const { doc, updates } = record(8, [
      ...Array.from({ length: 60 }, (_, note) => (own: Y.Doc) => own.getMap("map").set(`note${note}`, new Y.Text("words ".repeat(20)))),
      ...Array.from({ length: 300 }, (_, edit) => (own: Y.Doc) => (own.getMap("map").get(`note${edit % 60}`) as Y.Text).insert((edit * 7) % 50, "w")),
      (own) => {
        for (const key of own.getMap("map").keys()) own.getMap("map").delete(key);
      },
    ]);
    const room = roomOf(updates, 500);
    room.compact(0, room.chunks.length, 1e6);
    expect(room.serveAll().byteLength).toBeLessThanOrEqual(Y.encodeStateAsUpdate(doc).byteLength * 1.05);
  });

  // [T11] Strip is final: a matter of restore points taken before it and of a per-room switch, not of the codec.

  test("[T12] one view for all structs, each chunk read once, every struct read once", () => {
    const keystrokes: Uint8Array[] = [];
    for (let client = 1; client <= 20; client += 1) keystrokes.push(...record(client, Array.from({ length: 100 }, () => type("k"))).updates);
    const merged = Y.mergeUpdates(keystrokes);
    const views = new Set<StructView>();
    let structs = 0;
    forAllStructs(merged, (view) => {
      views.add(view);
      structs += 1;
    });
    expect(views.size).toBe(1);
    expect(structs).toBe(readUpdate(merged, {}).structs);

    // Pauses follow bytes: twice the work, twice the pauses, none of them longer.
    const pauses = (count: number): number => {
      const sources = keystrokes.slice(0, count).map((bytes) => ({ bytes, runs: null }));
      return [...rewriteSteps(sources, { deletes: DeleteSet.empty, chunkBytes: 1e6, yieldEveryBytes: 1000 })].filter((step) => step === null).length;
    };
    expect(pauses(2000)).toBeGreaterThanOrEqual(pauses(1000) * 1.5);
    expect(pauses(2000)).toBeLessThanOrEqual(pauses(1000) * 3);

    // The builder collects, sorts and sweeps; ranges added backwards make the same set as forwards.
    const [forward, backward] = [new DeleteSetBuilder(), new DeleteSetBuilder()];
    for (let at = 0; at < 100_000; at += 1) {
      forward.add(at % 7, at * 2, 1);
      backward.add((99_999 - at) % 7, (99_999 - at) * 2, 1);
    }
    expect(encodeDeleteSet(forward.build())).toEqual(encodeDeleteSet(backward.build()));
  });

  test("[T13] a gap is told from news, and deletions beyond known structs are kept", () => {
    const { updates } = record(2, [type("a"), type("b"), (doc) => doc.getText("text").delete(0, 1)]);
    const news = splitNews(updates[1] as Uint8Array, () => 0);
    expect(news).toMatchObject({ ready: [], held: [{ client: 2, from: 1, to: 2 }], wholeIsReady: false, readyUpdate: null });
    const room = roomOf([updates[2] as Uint8Array, updates[1] as Uint8Array]);
    expect(room.held).toHaveLength(1);
    expect(room.deletes.isDeleted(2, 0)).toBe(true);
    expect(room.receive(updates[1] as Uint8Array)).toEqual({ isNews: false, held: true, overlaps: 0 });
    room.receive(updates[0] as Uint8Array);
    expect(room.held).toHaveLength(0);
    const live = plainDoc(updates);
    retryPending(live);
    expect(byteDifference(plainDoc([room.serveAll()]), live)).toBeNull();
  });
});

/** What a stock client, format clean-up on, shows after these frames, and how many edits of its own it makes of it. */
function stockJoiner(...frames: readonly Uint8Array[]): { delta: unknown[]; ownEdits: number } {
  const doc = new Y.Doc();
  let ownEdits = 0;
  doc.on("update", (_update: Uint8Array, origin: unknown) => {
    if (origin !== "remote") ownEdits += 1;
  });
  const text = doc.getText("text");
  for (const frame of frames) Y.applyUpdate(doc, frame, "remote");
  return { delta: text.toDelta() as unknown[], ownEdits };
}

/** Stock documents tear pairs at different places (update laws, T6): only whether a unit stands there is compared. */
function evenOutPairs(shown: string): string {
  return shown.replaceAll(/[\ud800-\udbff][\udc00-\udfff]|\ufffd\ufffd/g, "□").replaceAll(/\\ud[89a-f][0-9a-f]{2}|\ufffd/g, "□");
}
