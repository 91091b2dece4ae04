import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { planFrame } from "../../src/update/assemble.ts";
import type { Chunk, Source } from "../../src/update/chunk.ts";
import { DeleteSet, encodeDeleteSet } from "../../src/update/delete-set.ts";
import { splitNews } from "../../src/update/news.ts";
import { readRun, readUpdate } from "../../src/update/reader.ts";
import { rewrite } from "../../src/update/rewrite.ts";
import { encodeStateVector } from "../../src/update/state-vector.ts";
import { DocumentSummaryCounter } from "../../src/report/document-summary.ts";
import { DELETED_REF, GC_REF, HAS_ORIGIN, HAS_RIGHT_ORIGIN, type StructView } from "../../src/update/visitor.ts";
import { byteDifference, canonicalBytes, difference, docVector, plainDoc, retryPending, showVector } from "../kit/compare.ts";
import { forSeeds, type HistoryOptions, playHistory } from "../kit/histories.ts";
import { ModelRoom } from "../kit/model-room.ts";
import { PairedRoom } from "../kit/paired-room.ts";
import { Random } from "../kit/random.ts";

/** Histories per law. `scripts/properties.ts` runs 10,000. A failure names its seed; PROPERTY_SEED starts there. */
const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 300);
const TIMEOUT_MS = Math.max(60_000, RUNS * 200);

/** Every third history loses updates, every fourth has authors that clean up formats like stock clients. */
function optionsFor(seed: number, options: Partial<HistoryOptions> = {}): Partial<HistoryOptions> {
  return { loss: seed % 3 === 0, settle: seed % 6 !== 0, formatCleanup: seed % 4 === 0, ...options };
}

function playPaired(seed: number, options: Partial<HistoryOptions>, atPoint: (room: PairedRoom, random: Random, authors: readonly Y.Doc[]) => void = () => {}): { room: PairedRoom; authors: readonly Y.Doc[] } {
  const room = new PairedRoom(seed);
  const { authors } = playHistory(seed, options, room, (random, docs) => atPoint(room, random, docs));
  return { room, authors };
}

/** All arrivals of a history without gaps, as sources, with what is deleted. */
function journalOf(seed: number, options: Partial<HistoryOptions> = {}): { model: ModelRoom; reference: Y.Doc } {
  const model = new ModelRoom();
  const { deliveries } = playHistory(seed, { ...options, loss: false });
  const reference = plainDoc(deliveries.map((delivery) => delivery.update));
  for (const { update } of deliveries) model.receive(update);
  return { model, reference };
}

function frameOf(chunks: readonly Chunk[], deletes: DeleteSet, known: (client: number) => number = () => 0): Uint8Array {
  const parts = chunks.map((chunk, id) => ({ id, runs: chunk.runs }));
  return planFrame(parts, known).create(encodeDeleteSet(deletes), (id) => (chunks[id] as Chunk).bytes);
}

function forStructs(chunks: readonly Chunk[], visit: (view: StructView) => void): void {
  for (const { runs, bytes } of chunks) {
    for (const run of runs) {
      let clock = run.clock;
      const end = readRun(bytes, run.offset, run.client, run.clock, run.structCount, {
        struct: (view) => {
          expect([view.client, view.clock]).toEqual([run.client, clock]);
          clock += view.length;
          visit(view);
        },
      });
      expect(end).toBe(run.offset + run.byteLength);
      expect(clock).toBe(run.end);
    }
  }
}

function countStructs(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.runs.reduce((count, run) => count + run.structCount, 0), 0);
}

describe("update laws", { timeout: TIMEOUT_MS }, () => {
  test("[L1] united structs and deletions give what a document fed the same updates shows", () => {
    forSeeds(RUNS, (seed) => {
      playPaired(seed, optionsFor(seed), (room, random, authors) => {
        const { model, reference } = room;
        expect(difference(plainDoc([model.serveAll()]), reference), "empty client").toBeNull();

        const partial = room.earlierClient();
        Y.applyUpdate(partial, model.serve(Y.encodeStateVector(partial)), "remote");
        expect(difference(partial, reference), "partial client").toBeNull();

        // An author with edits nobody has seen, some of them in content deleted meanwhile.
        const author = random.pick(authors);
        const authorState = Y.encodeStateAsUpdate(author);
        const offline = plainDoc([authorState], { gc: author.gc });
        const expected = plainDoc([canonicalBytes(reference), authorState]);
        Y.applyUpdate(offline, model.serve(Y.encodeStateVector(offline)), "remote");
        retryPending(offline);
        retryPending(expected);
        expect(difference(offline, expected), "offline client").toBeNull();
      });
    });
  });

  test("[L2] the loaded document encodes to the same bytes, neighbouring GC structs aside", () => {
    forSeeds(RUNS, (seed) => {
      playPaired(seed, optionsFor(seed), (room) => {
        expect(byteDifference(plainDoc([room.model.serveAll()]), room.reference)).toBeNull();
      });
    });
  });

  test("[L3] strip replaces deleted content at delete edges and nothing else, early, late or twice", () => {
    forSeeds(RUNS, (seed) => {
      const random = new Random(seed);
      const { model, reference } = journalOf(seed, { steps: 30 });
      const whole = rewrite(model.sources(), { deletes: model.deletes, chunkBytes: 500 });
      const late = rewrite(rewrite(model.sources(), { deletes: DeleteSet.empty, chunkBytes: random.pick([1, 200, 1e6]) }), { deletes: model.deletes, chunkBytes: 500 });
      for (const chunks of [whole, late]) {
        forStructs(chunks, ({ ref, client, clock, length }) => {
          if (ref === GC_REF || ref === DELETED_REF) {
            for (let at = clock; at < clock + length; at += 1) expect(model.deletes.isDeleted(client, at)).toBe(true);
          } else for (let at = clock; at < clock + length; at += 1) expect(model.deletes.isDeleted(client, at)).toBe(false);
        });
        expect(byteDifference(plainDoc([frameOf(chunks, model.deletes)]), reference)).toBeNull();
      }
    });
  });

  test("[L4] deep strip goes to its fixpoint and stays exact", () => {
    forSeeds(RUNS, (seed) => {
      const { model, reference } = journalOf(seed, { steps: 30 });
      const chunks = rewrite(model.sources(), { deletes: model.deletes, chunkBytes: 800 });
      const collected = new Set<string>();
      forStructs(chunks, ({ ref, client, clock, length }) => {
        if (ref === GC_REF) for (let at = clock; at < clock + length; at += 1) collected.add(`${client}:${at}`);
      });
      forStructs(chunks, (view) => {
        if (view.ref === GC_REF) return;
        const { info, parentKind, parentClient, parentClock, originClient, originClock, rightClient, rightClock } = view;
        if (parentKind === 2) expect(model.deletes.isDeleted(parentClient, parentClock)).toBe(false);
        if ((info & HAS_ORIGIN) !== 0) expect(collected.has(`${originClient}:${originClock}`)).toBe(false);
        if ((info & HAS_RIGHT_ORIGIN) !== 0) expect(collected.has(`${rightClient}:${rightClock}`)).toBe(false);
      });
      expect(byteDifference(plainDoc([frameOf(chunks, model.deletes)]), reference)).toBeNull();
    });
  });

  test("[L5] squash changes no meaning, with cut points and without", () => {
    forSeeds(RUNS, (seed) => {
      const { model, reference } = journalOf(seed, { steps: 30 });
      const random = new Random(seed);
      const received = model.journal.map((bytes) => readUpdate(bytes, {}).structs).reduce((a, b) => a + b, 0);
      for (const useCuts of [true, false]) {
        const room = new ModelRoom();
        room.useCuts = useCuts;
        room.deletes = model.deletes;
        for (const update of model.journal) {
          room.receive(update);
          if (random.chance(0.2)) room.checkpoint(random.pick([100, 1000]));
        }
        room.checkpoint(1000);
        room.compact(0, room.chunks.length, 1000);
        expect(byteDifference(plainDoc([room.serveAll()]), reference)).toBeNull();
        // A right origin or a delete edge can split a struct, so only histories without either could promise fewer.
        expect(countStructs(room.chunks)).toBeLessThanOrEqual(received * 3);
      }
    });
    const typist = plainDoc([], { clientId: 5 });
    const keystrokes: Source[] = [];
    typist.on("update", (bytes: Uint8Array) => keystrokes.push({ bytes, runs: null }));
    for (let at = 0; at < 100; at += 1) typist.getText("text").insert(at, "x");
    expect(countStructs(rewrite(keystrokes, { deletes: DeleteSet.empty, chunkBytes: 1e6 }))).toBe(1);
  });

  test("[L6] after everybody synced, every author's whole state is covered", () => {
    forSeeds(RUNS, (seed) => {
      const { room, authors } = playPaired(seed, { loss: seed % 3 === 0, settle: true });
      for (const author of authors) {
        const { isNews, held } = room.model.receive(Y.encodeStateAsUpdate(author));
        expect(isNews).toBe(false);
        // After a loss some author may have ended for good with a gap that nobody can close.
        if (seed % 3 !== 0) expect(held).toBe(false);
      }
    });
  });

  test("[L7] the index vector is the document's vector", () => {
    forSeeds(RUNS, (seed) => {
      playPaired(seed, optionsFor(seed), (room) => {
        expect(showVector(room.model.known)).toBe(showVector(docVector(room.reference)));
      });
    });
  });

  test("[L8] merged and re-cut updates with gaps, overlaps and repeats lose nothing", () => {
    forSeeds(RUNS, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed, { steps: 30 }).deliveries.map((delivery) => delivery.update);
      const reference = plainDoc(updates);
      const room = new ModelRoom();
      const arrivals = random.shuffle(updates).map((update) => {
        const merged = random.chance(0.5) ? Y.mergeUpdates([update, ...updates.filter(() => random.chance(0.15))]) : update;
        const from = new Map([...Y.parseUpdateMeta(merged).to].map(([client, clock]) => [client, random.int(0, clock)]));
        return random.chance(0.4) ? Y.diffUpdate(merged, Y.encodeStateVector(from)) : merged;
      });
      for (const arrival of [...arrivals, ...random.shuffle(updates)]) {
        readUpdate(arrival, {});
        room.receive(arrival);
        if (random.chance(0.2)) room.checkpoint(random.pick([50, 1000]));
      }
      expect(room.held).toHaveLength(0);
      expect(byteDifference(plainDoc([room.serveAll()]), cloned(reference))).toBeNull();
    });
  });

  test("[L9] chunks sent one after another leave nothing pending", () => {
    forSeeds(RUNS, (seed) => {
      const { model, reference } = journalOf(seed);
      model.checkpoint(new Random(seed).pick([1, 40, 200, 1000]));
      const doc = plainDoc();
      const sent = new Map<number, number>();
      for (const chunk of model.chunks) {
        Y.applyUpdate(doc, frameOf([chunk], DeleteSet.empty, (client) => sent.get(client) ?? 0), "remote");
        expect(doc.store.pendingStructs).toBeNull();
        for (const run of chunk.runs) sent.set(run.client, run.end);
      }
      Y.applyUpdate(doc, frameOf([], model.deletes), "remote");
      expect(difference(doc, reference)).toBeNull();
    });
  });

  test("[L10] the current value of a root map's key is found from updates alone, in any order and form", () => {
    forSeeds(RUNS, (seed) => {
      const random = new Random(seed);
      const updates = schemaHistory(seed);
      const reference = plainDoc(updates);
      const room = new ModelRoom();
      for (const update of updates) {
        room.receive(update);
        if (random.chance(0.2)) room.checkpoint(random.pick([1, 100]));
      }
      const shuffled = random.shuffle(updates).map((bytes) => ({ bytes, runs: null }));
      const squashed = rewrite(room.sources(), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
      const stripped = rewrite(room.sources(), { deletes: room.deletes, chunkBytes: 1e6 });
      const expected = reference.getMap("sys").get("schemaVersion") ?? null;
      for (const [form, sources] of Object.entries({ stored: room.sources(), shuffled, squashed, stripped })) {
        const counter = new DocumentSummaryCounter(room.deletes);
        for (const { bytes, runs } of sources) {
          const visitor = counter.visitor(bytes);
          if (runs === null) readUpdate(bytes, visitor);
          else for (const run of runs) readRun(bytes, run.offset, run.client, run.clock, run.structCount, visitor);
        }
        expect(counter.finish().schemaVersion, form).toBe(expected);
      }
    });
  });

  test("[L11] the byte rewriter gives the documents the object codec gives", () => {
    forSeeds(RUNS, (seed) => {
      const { deliveries } = playHistory(seed);
      let merged: Uint8Array = Y.encodeStateAsUpdate(plainDoc());
      for (const { update } of deliveries) merged = Y.mergeUpdates([merged, update]);
      const room = new ModelRoom();
      for (const { update } of deliveries) room.receive(update);
      room.checkpoint(1000);
      expect(byteDifference(plainDoc([room.serveAll()]), plainDoc([merged]))).toBeNull();
      const news = splitNews(merged, () => 0);
      expect(news.wholeIsReady).toBe(true);
      expect(showVector(new Map(news.ready.map((range) => [range.client, range.to])))).toBe(showVector(room.known));
      expect(Buffer.from(room.vector()).equals(encodeStateVector(room.known))).toBe(true);
    });
  });
});

/** Several clients set and delete one key, some of them apart from each other. */
function schemaHistory(seed: number): Uint8Array[] {
  const random = new Random(seed);
  const updates: Uint8Array[] = [];
  const docs = Array.from({ length: random.int(2, 4) }, (_, index) => {
    const doc = plainDoc([], { clientId: index * 1000 + random.int(1, 999), gc: random.chance(0.7) });
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "remote") updates.push(update);
    });
    return doc;
  });
  for (let step = 0; step < 25; step += 1) {
    const doc = random.pick(docs);
    const sys = doc.getMap("sys");
    if (random.chance(0.4)) for (const update of updates.slice(0, random.int(0, updates.length))) Y.applyUpdate(doc, update, "remote");
    else if (random.chance(0.15)) sys.delete("schemaVersion");
    else if (random.chance(0.2)) sys.set("other", random.int(1, 9));
    else sys.set("schemaVersion", random.int(1, 3));
  }
  // Deletions that integration implies travel once everybody has synced (update laws, T3).
  const all = plainDoc(updates);
  return [...updates, Y.encodeStateAsUpdate(all)];
}

function cloned(doc: Y.Doc): Y.Doc {
  return plainDoc([Y.encodeStateAsUpdate(doc)]);
}
