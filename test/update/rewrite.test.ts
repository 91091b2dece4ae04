import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { planFrame } from "../../src/update/assemble.ts";
import type { Chunk, Source } from "../../src/update/chunk.ts";
import { collectCutPoints, decodeCutPoints, encodeCutPoints, mergeCutPoints } from "../../src/update/cut-points.ts";
import { DeleteSet, DeleteSetBuilder, encodeDeleteSet } from "../../src/update/delete-set.ts";
import { readRun, readUpdate } from "../../src/update/reader.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { rewrite, rewriteSteps } from "../../src/update/rewrite.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { ANY_REF, DELETED_REF, GC_REF, HAS_ORIGIN, HAS_PARENT_SUB, STRING_REF, type StructView } from "../../src/update/visitor.ts";
import { byteDifference, difference, plainDoc } from "../kit/compare.ts";
import { forSeeds, playHistory } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";

const CHUNK_SIZES = [1, 60, 400, 1e6] as const;

function wholeUpdates(updates: readonly Uint8Array[]): Source[] {
  return updates.map((bytes) => ({ bytes, runs: null }));
}

function deletesOf(updates: readonly Uint8Array[]): DeleteSet {
  const builder = new DeleteSetBuilder();
  for (const update of updates) readUpdate(update, { deleteRange: (client, clock, length) => builder.add(client, clock, length) });
  return builder.build();
}

function frameOf(chunks: readonly Chunk[], deletes: DeleteSet): Uint8Array {
  const plan = planFrame(chunks.map((chunk, id) => ({ id, runs: chunk.runs })), () => 0);
  return plan.create(encodeDeleteSet(deletes), (id) => chunks[id]!.bytes);
}

/** Every struct of the chunks as a short text; also checks that runs lie side by side and say what they hold. */
function structsOf(chunks: readonly Chunk[]): string[] {
  const shown: string[] = [];
  for (const { runs, bytes } of chunks) {
    let offset = 0;
    for (const run of runs) {
      expect(run.offset).toBe(offset);
      let clock = run.clock;
      offset = readRun(bytes, run.offset, run.client, run.clock, run.structCount, {
        struct: (view) => {
          shown.push(`${view.client}@${view.clock}+${view.length} ${nameOf(view)}${textOf(view, bytes)}`);
          clock += view.length;
        },
      });
      expect(offset).toBe(run.offset + run.byteLength);
      expect(clock).toBe(run.end);
    }
    expect(offset).toBe(bytes.length);
  }
  return shown;
}

function nameOf(view: StructView): string {
  return ({ [GC_REF]: "gc", [DELETED_REF]: "deleted", [STRING_REF]: "text", [ANY_REF]: "any" } as Record<number, string>)[view.ref] ?? `ref${view.ref}`;
}

function textOf(view: StructView, bytes: Uint8Array): string {
  if (view.ref !== STRING_REF) return "";
  return ` ${new TextDecoder().decode(bytes.subarray(view.contentStart + 1, view.end))}`;
}

function authored(clientID: number, edit: (doc: Y.Doc, updates: Uint8Array[]) => void): Uint8Array[] {
  const doc = new Y.Doc({ gc: false });
  doc.clientID = clientID;
  const updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => updates.push(update));
  edit(doc, updates);
  return updates;
}

describe("rewrite keeps the document", () => {
  test("[L1, L2] the chunks of 300 histories load as what arrived, in one frame", () => {
    forSeeds(300, (seed) => {
      const { deliveries } = playHistory(seed, { formatCleanup: seed % 4 === 0, surrogates: seed % 5 === 0 });
      const updates = deliveries.map((delivery) => delivery.update);
      const deletes = deletesOf(updates);
      const chunkBytes = CHUNK_SIZES[seed % CHUNK_SIZES.length]!;
      const chunks = rewrite(wholeUpdates(updates), { deletes, chunkBytes });
      structsOf(chunks);
      const loaded = plainDoc([frameOf(chunks, deletes)]);
      // Documents that cut inside surrogate pairs differ among themselves (T6): there only what the frame says is checked.
      if (seed % 5 === 0) expect(loaded.store.pendingStructs).toBe(null);
      else expect(byteDifference(loaded, plainDoc(updates))).toBe(null);
    });
  });

  test("[L1] chunks rewritten again, in part, with later deletions, load as the same document", () => {
    forSeeds(150, (seed) => {
      const random = new Random(seed);
      const { deliveries } = playHistory(seed, { settle: false });
      const updates = deliveries.map((delivery) => delivery.update);
      const middle = random.int(0, updates.length);
      const early = deletesOf(updates.slice(0, middle));
      const all = deletesOf(updates);
      const first = rewrite(wholeUpdates(updates.slice(0, middle)), { deletes: early, chunkBytes: 200 });
      const cuts = mergeCutPoints([collectCutPoints(wholeUpdates(updates.slice(middle)))]);
      const again = first.flatMap((chunk) => (random.chance(0.5) ? rewrite([chunk], { deletes: all, cuts, chunkBytes: 150 }) : [chunk]));
      const folded = rewrite([...again, ...wholeUpdates(updates.slice(middle))], { deletes: all, chunkBytes: 1e6 });
      expect(byteDifference(plainDoc([frameOf(folded, all)]), plainDoc(updates))).toBe(null);
      const unfolded = [...again, ...rewrite(wholeUpdates(updates.slice(middle)), { deletes: all, chunkBytes: 300 })];
      const direct = plainDoc(updates);
      // Deliveries repeat clocks the first half holds: the frame takes each clock from the chunk that comes first.
      expect(difference(plainDoc([frameOf(unfolded, all)]), direct)).toBe(null);
    });
  });

  test("[L9] every chunk as a frame of its own, in order, never leaves a pending struct", () => {
    forSeeds(150, (seed) => {
      const { deliveries } = playHistory(seed);
      const updates = deliveries.map((delivery) => delivery.update);
      const deletes = deletesOf(updates);
      const chunks = rewrite(wholeUpdates(updates), { deletes, chunkBytes: 1 + (seed % 120) });
      const loaded = plainDoc();
      for (const chunk of chunks) {
        Y.applyUpdate(loaded, frameOf([chunk], DeleteSet.empty), "remote");
        expect(loaded.store.pendingStructs).toBe(null);
      }
      Y.applyUpdate(loaded, frameOf([], deletes), "remote");
      expect(difference(loaded, plainDoc(updates))).toBe(null);
    });
  });

  test("[A2] squashing and splitting twice changes nothing more", () => {
    forSeeds(60, (seed) => {
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const deletes = deletesOf(updates);
      const once = rewrite(wholeUpdates(updates), { deletes, chunkBytes: 1e6 });
      const twice = rewrite(once, { deletes, chunkBytes: 1e6 });
      expect(structsOf(twice)).toEqual(structsOf(once));
    });
  });

  test("[T1, T5] repeats and overlaps come out once, holes begin a new run", () => {
    const updates = authored(7, (doc) => {
      const text = doc.getText("t");
      text.insert(0, "abc");
      text.insert(3, "def");
      text.insert(6, "ghi");
    });
    const whole = Y.mergeUpdates(updates.slice(0, 2));
    const again = wholeUpdates([updates[1]!, whole, updates[0]!, whole]);
    expect(structsOf(rewrite(again, { deletes: DeleteSet.empty, chunkBytes: 1e6 }))).toEqual(["7@0+6 text abcdef"]);
    const holed = rewrite(wholeUpdates([updates[0]!, updates[2]!]), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(holed[0]!.runs.map((run) => [run.clock, run.end])).toEqual([[0, 3], [6, 9]]);
    const skipping = rewrite(wholeUpdates([Y.mergeUpdates([updates[0]!, updates[2]!])]), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(skipping).toEqual(holed);
    const loaded = plainDoc([frameOf(holed, DeleteSet.empty), updates[1]!]);
    expect(loaded.getText("t").toString()).toBe("abcdefghi");
  });

  test("[T1] of two contents for one clock the earlier arrival wins, and a later one is cut to its news", () => {
    const [early] = authored(7, (doc) => doc.getText("t").insert(0, "early"));
    const [late] = authored(7, (doc) => doc.getText("t").insert(0, "LATE-AND-LONGER"));
    const chunks = rewrite(wholeUpdates([early!, late!]), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(structsOf(chunks)).toEqual(["7@0+15 text earlyAND-LONGER"]);
  });
});

describe("rewrite strips", () => {
  test("[L3, T6] cuts at delete edges only, also inside a surrogate pair, as a document does", () => {
    const doc = new Y.Doc({ gc: false });
    doc.clientID = 7;
    doc.getText("t").insert(0, "a😀b😀c");
    const before = Y.encodeStateAsUpdate(doc);
    for (let from = 0; from < 7; from++) {
      for (let to = from + 1; to <= 7; to++) {
        const copy = plainDoc([before]);
        copy.getText("t").delete(from, to - from);
        const deletes = deletesOf([Y.encodeStateAsUpdate(copy)]);
        const chunks = rewrite(wholeUpdates([before]), { deletes, chunkBytes: 1e6 });
        expect(byteDifference(plainDoc([frameOf(chunks, deletes)]), copy), `${from} to ${to}`).toBe(null);
      }
    }
  });

  test("[T6] a cut point inside a surrogate pair is passed over", () => {
    const [update] = authored(7, (doc) => doc.getText("t").insert(0, "a😀b"));
    const cuts = new Map([[7, Float64Array.of(1, 2, 3)]]);
    expect(structsOf(rewrite(wholeUpdates([update!]), { deletes: DeleteSet.empty, cuts, chunkBytes: 1e6 }))).toEqual(["7@0+1 text a", "7@1+2 text 😀", "7@3+1 text b"]);
  });

  test("[L4, T10] children of a deleted type become one GC, whoever wrote them", () => {
    const doc = new Y.Doc({ gc: false });
    doc.clientID = 7;
    const note = new Y.Text();
    doc.getMap("notes").set("n", note);
    const other = plainDoc([Y.encodeStateAsUpdate(doc)], { gc: false, clientId: 8 });
    for (let i = 0; i < 100; i++) {
      // Two people typing in turn, each behind the other's last letter: the GC must spread along both.
      const [typing, reading] = i % 2 === 0 ? [doc, other] : [other, doc];
      const text = typing.getMap("notes").get("n") as Y.Text;
      text.insert(text.length, "x");
      Y.applyUpdate(reading, Y.encodeStateAsUpdate(typing, Y.encodeStateVector(reading)));
    }
    doc.getMap("notes").delete("n");
    const update = Y.encodeStateAsUpdate(doc);
    const deletes = deletesOf([update]);
    const chunks = rewrite(wholeUpdates([update]), { deletes, chunkBytes: 1e6 });
    expect(structsOf(chunks)).toEqual(["8@0+50 gc", "7@0+1 deleted", "7@1+50 gc"]);
  });

  test("[L4] a GC spreads along right origins too", () => {
    const updates = authored(7, (doc) => {
      const note = new Y.Text("b");
      doc.getMap("notes").set("n", note);
      note.insert(0, "a");
      doc.getMap("notes").delete("n");
    });
    const inserted = Y.decodeUpdate(updates[1]!).structs[0] as Y.Item;
    expect([inserted.origin, inserted.rightOrigin]).toEqual([null, { client: 7, clock: 1 }]);
    // The deletion of the parent alone is told: the text before its first letter is reached through the right origin.
    const deletes = new DeleteSetBuilder();
    deletes.add(7, 0, 1);
    expect(structsOf(rewrite(wholeUpdates(updates), { deletes: deletes.build(), chunkBytes: 1e6 }))).toEqual(["7@0+1 deleted", "7@1+2 gc"]);
  });

  test("[L4] a GC outside the sources spreads when the caller says so", () => {
    const updates = authored(7, (doc) => {
      const text = doc.getText("t");
      text.insert(0, "ab");
      text.insert(1, "c");
    });
    const collected = new DeleteSetBuilder();
    collected.add(7, 0, 2);
    const options = { deletes: DeleteSet.empty, chunkBytes: 1e6 };
    expect(structsOf(rewrite(wholeUpdates([updates[1]!]), { ...options, collected: collected.build() }))).toEqual(["7@2+1 gc"]);
    expect(structsOf(rewrite(wholeUpdates([updates[1]!]), options))).toEqual(["7@2+1 text c"]);
  });

  test("[T4] values of a map key are squashed only once both are deleted", () => {
    const updates = authored(7, (doc) => {
      for (const value of [1, 2, 3]) doc.getMap("m").set("k", value);
    });
    const options = { chunkBytes: 1e6 };
    expect(structsOf(rewrite(wholeUpdates(updates), { ...options, deletes: DeleteSet.empty }))).toEqual(["7@0+1 any", "7@1+1 any", "7@2+1 any"]);
    expect(structsOf(rewrite(wholeUpdates(updates), { ...options, deletes: deletesOf(updates) }))).toEqual(["7@0+2 deleted", "7@2+1 any"]);
  });

  test("[T4] texts that are values of one map key are not squashed while they show", () => {
    // Stock maps hold strings as Any, but a string content is as good a value.
    const first = Uint8Array.of(1, 1, 7, 0, STRING_REF | HAS_PARENT_SUB, 1, 1, 0x6d, 1, 0x6b, 1, 0x61, 0);
    const second = Uint8Array.of(1, 1, 7, 1, STRING_REF | HAS_PARENT_SUB | HAS_ORIGIN, 7, 0, 1, 0x62, 0);
    const chunks = rewrite(wholeUpdates([first, second]), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(structsOf(chunks)).toEqual(["7@0+1 text a", "7@1+1 text b"]);
    expect(plainDoc([frameOf(chunks, DeleteSet.empty)]).getMap("m").get("k")).toBe("b");
  });

  test("lists are cut value by value", () => {
    const [update] = authored(7, (doc) => doc.getArray("a").insert(0, [1, "two", { three: [3, null] }, 4.5]));
    const deletes = new DeleteSetBuilder();
    deletes.add(7, 1, 1);
    const chunks = rewrite(wholeUpdates([update!]), { deletes: deletes.build(), cuts: new Map([[7, Float64Array.of(3)]]), chunkBytes: 1e6 });
    expect(structsOf(chunks)).toEqual(["7@0+1 any", "7@1+1 deleted", "7@2+1 any", "7@3+1 any"]);
    expect(plainDoc([frameOf(chunks, deletes.build())]).getArray("a").toArray()).toEqual([1, { three: [3, null] }, 4.5]);
  });
});

describe("rewrite cuts and orders", () => {
  test("[A2] splits at referenced clocks and squashes elsewhere", () => {
    const doc = new Y.Doc();
    doc.clientID = 7;
    for (const [at, letter] of [..."abcdef"].entries()) doc.getText("t").insert(at, letter);
    const other = plainDoc([Y.encodeStateAsUpdate(doc)], { clientId: 8 });
    other.getText("t").insert(3, "X");
    const update = Y.encodeStateAsUpdate(other);
    const chunks = rewrite(wholeUpdates([update]), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(structsOf(chunks)).toEqual(["8@0+1 text X", "7@0+3 text abc", "7@3+3 text def"]);

    const added = Y.encodeStateAsUpdate(other, Y.encodeStateVector(doc));
    const cuts = collectCutPoints(wholeUpdates([added]));
    expect([...cuts].map(([client, clocks]) => [client, [...clocks]])).toEqual([[7, [3]]]);
    const before = rewrite(wholeUpdates([Y.encodeStateAsUpdate(doc)]), { deletes: DeleteSet.empty, cuts, chunkBytes: 1e6 });
    expect(structsOf(before)).toEqual(["7@0+3 text abc", "7@3+3 text def"]);
    expect(collectCutPoints(wholeUpdates([update])).size).toBe(0);
  });

  test("[L5] a chain whose right origin changes is not squashed", () => {
    const doc = new Y.Doc();
    doc.clientID = 7;
    const own: Uint8Array[] = [];
    doc.on("update", (update: Uint8Array, _origin: unknown, _doc: Y.Doc, { local }: Y.Transaction) => {
      if (local) own.push(update);
    });
    const text = doc.getText("t");
    text.insert(0, "X");
    text.insert(0, "a");
    const other = plainDoc([Y.encodeStateAsUpdate(doc)], { clientId: 8 });
    other.getText("t").insert(1, "Z");
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other));
    text.insert(1, "b");
    // Without the other author's letter no reference marks the boundary, and each letter comes in an update of its own: only the right origins differ.
    expect(structsOf(rewrite(wholeUpdates(own), { deletes: DeleteSet.empty, chunkBytes: 1e6 }))).toEqual(["7@0+1 text X", "7@1+1 text a", "7@2+1 text b"]);
  });

  test("[A2] neighbours are squashed across sources, and left apart where one source held them apart", () => {
    const a = [STRING_REF, 1, 1, 0x74, 1, 0x61];
    const b = [STRING_REF | HAS_ORIGIN, 7, 0, 1, 0x62];
    const together = Uint8Array.of(1, 2, 7, 0, ...a, ...b, 0);
    const apart = [Uint8Array.of(1, 1, 7, 0, ...a, 0), Uint8Array.of(1, 1, 7, 1, ...b, 0)];
    const options = { deletes: DeleteSet.empty, chunkBytes: 1e6 };
    expect(structsOf(rewrite(wholeUpdates([together]), options))).toEqual(["7@0+1 text a", "7@1+1 text b"]);
    expect(structsOf(rewrite(wholeUpdates(apart), options))).toEqual(["7@0+2 text ab"]);
  });

  test("cut points survive their encoding, and broken ones are noticed", () => {
    forSeeds(50, (seed) => {
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const points = collectCutPoints(wholeUpdates(updates.slice(updates.length >> 1)));
      const encoded = encodeCutPoints(points);
      const decoded = decodeCutPoints(encoded);
      expect(new Map([...decoded].sort(([a], [b]) => a - b))).toEqual(new Map([...points].sort(([a], [b]) => a - b).map(([client, clocks]) => [client, clocks.slice()])));
      for (let end = 0; end < encoded.length; end++) expect(() => decodeCutPoints(encoded.subarray(0, end))).toThrow();
    });
    expect(encodeCutPoints(new Map())).toEqual(Uint8Array.of(0));
  });

  test("[A3] clients that wait for each other in a circle are emitted all the same", () => {
    const writer = new ByteWriter();
    writer.varUint(3);
    for (const [client, origin] of [[9, 8], [8, 7], [7, 9]] as const) {
      writer.varUint(1);
      writer.varUint(client);
      writer.varUint(0);
      writer.byte(HAS_ORIGIN | STRING_REF);
      writer.varUint(origin);
      writer.varUint(0);
      writer.utf8String("x");
    }
    writer.byte(0);
    const chunks = rewrite(wholeUpdates([writer.finish()]), { deletes: DeleteSet.empty, chunkBytes: 1 });
    expect(structsOf(chunks).sort()).toEqual(["7@0+1 text x", "8@0+1 text x", "9@0+1 text x"]);
  });

  test("[A8] a struct larger than a chunk makes a larger chunk; others keep near the size", () => {
    const updates = authored(7, (doc) => {
      const text = doc.getText("t");
      text.insert(0, "x".repeat(5000));
      for (let i = 0; i < 500; i++) text.insert(0, "word");
    });
    const chunks = rewrite(wholeUpdates(updates), { deletes: DeleteSet.empty, chunkBytes: 1000 });
    expect(chunks[0]!.bytes.length).toBeGreaterThan(5000);
    for (const chunk of chunks.slice(1)) expect(chunk.bytes.length).toBeLessThan(1100);
    for (const chunk of chunks.slice(1, -1)) expect(chunk.bytes.length).toBeGreaterThan(800);
  });

  test("clocks beyond 32 bits widen the table", () => {
    const writer = new ByteWriter();
    const far = 2 ** 40;
    writer.varUint(1);
    writer.varUint(2);
    writer.varUint(7);
    writer.varUint(0);
    writer.byte(GC_REF);
    writer.varUint(far);
    writer.byte(HAS_ORIGIN | STRING_REF);
    writer.varUint(8);
    writer.varUint(far * 2);
    writer.utf8String("x");
    writer.byte(0);
    const chunks = rewrite(wholeUpdates([writer.finish()]), { deletes: DeleteSet.empty, chunkBytes: 1e6 });
    expect(structsOf(chunks)).toEqual([`7@0+${far} gc`, `7@${far}+1 text x`]);
  });

  test("pauses do not change the result, and nothing comes from nothing", () => {
    const updates = playHistory(11).deliveries.map((delivery) => delivery.update);
    const options = { deletes: deletesOf(updates), chunkBytes: 300 };
    const steps = [...rewriteSteps(wholeUpdates(updates), { ...options, yieldEveryBytes: 100 })];
    expect(steps.filter((step) => step === null).length).toBeGreaterThan(5);
    expect(steps.filter((step) => step !== null)).toEqual(rewrite(wholeUpdates(updates), options));
    expect(rewrite([], options)).toEqual([]);
    expect(rewrite(wholeUpdates([Uint8Array.of(0, 0)]), options)).toEqual([]);
  });

  test("the chunks are the same bytes wherever the work pauses, whatever the sources and their order", () => {
    forSeeds(120, (seed) => {
      const random = new Random(seed);
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const middle = random.int(0, updates.length);
      const deletes = deletesOf(random.chance(0.8) ? updates : updates.slice(0, middle));
      const chunks = rewrite(wholeUpdates(updates.slice(0, middle)), { deletes: DeleteSet.empty, chunkBytes: 200 });
      const rest = wholeUpdates(random.chance(0.5) ? random.shuffle(updates.slice(middle)) : [Y.mergeUpdates(updates)]);
      const sources = random.chance(0.5) ? [...chunks, ...rest] : rest;
      const cuts = random.chance(0.5) ? collectCutPoints(wholeUpdates(updates.slice(middle >> 1))) : new Map<number, Float64Array>();
      const options = { deletes, cuts, chunkBytes: random.pick([30, 200, 2000, 1e6]) };
      const expected = rewrite(sources, options);
      for (const yieldEveryBytes of [1, 200, 1500, 20_000]) {
        const steps = [...rewriteSteps(sources, { ...options, yieldEveryBytes })];
        expect(steps.filter((step) => step !== null)).toEqual(expected);
        // With no work between pauses each struct has its own, several times over.
        if (yieldEveryBytes === 1) expect(steps.length).toBeGreaterThan(structsOf(expected).length * 3);
      }
    });
  });

  test("pauses inside one struct, between its pieces and at the half of a character", () => {
    const [update] = authored(7, (doc) => doc.getText("t").insert(0, "a😀bé€".repeat(300)));
    const deletes = new DeleteSetBuilder();
    for (let clock = 2; clock < 1700; clock += 5) deletes.add(7, clock, 2);
    const options = { deletes: deletes.build(), cuts: new Map([[7, Float64Array.from({ length: 250 }, (_, i) => i * 7)]]), chunkBytes: 400 };
    const expected = rewrite(wholeUpdates([update!]), options);
    expect(expected.length).toBeGreaterThan(5);
    for (const yieldEveryBytes of [1, 300, 1000]) {
      const steps = [...rewriteSteps(wholeUpdates([update!]), { ...options, yieldEveryBytes })];
      expect(steps.filter((step) => step !== null)).toEqual(expected);
    }
    expect(byteDifference(plainDoc([frameOf(expected, options.deletes)]), plainDoc([update!, deletesAsUpdate(options.deletes)]))).toBe(null);
  });

  test("[A1] a source that is refused is refused before any chunk, however often the scan pauses", () => {
    forSeeds(30, (seed) => {
      const updates = playHistory(seed).deliveries.map((delivery) => delivery.update);
      const whole = Y.mergeUpdates(updates);
      const broken = whole.subarray(0, whole.length - 1);
      const steps = rewriteSteps(wholeUpdates([...updates, broken]), { deletes: DeleteSet.empty, chunkBytes: 1, yieldEveryBytes: 1 });
      const seen: unknown[] = [];
      expect(() => {
        for (const step of steps) seen.push(step);
      }).toThrow(UpdateRefusedError);
      expect(seen.length).toBeGreaterThan(updates.length);
      expect(seen.every((step) => step === null)).toBe(true);
    });
  });
});

function deletesAsUpdate(deletes: DeleteSet): Uint8Array {
  const encoded = encodeDeleteSet(deletes);
  return Uint8Array.of(0, ...encoded);
}
