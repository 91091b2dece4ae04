import * as Y from "yjs";
import { describe, expect, test } from "vitest";
import { DeleteSetBuilder } from "../../src/update/delete-set.ts";
import { cutStruct, cutStructRange, splitNews, withDeletes } from "../../src/update/news.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { Random } from "../kit/random.ts";
import { genuineUpdates } from "./genuine.ts";

const NOTHING = Y.encodeStateVector(new Y.Doc());

/** Through the document's own codec: flags it does not keep fall away on both sides of a comparison. */
const normal = (update: Uint8Array): Uint8Array => Y.diffUpdate(update, NOTHING);

function vectorBytes(vector: ReadonlyMap<number, number>): Uint8Array {
  const writer = new ByteWriter();
  writer.varUint(vector.size);
  for (const [client, clock] of vector) {
    writer.varUint(client);
    writer.varUint(clock);
  }
  return writer.finish();
}

/** Structs of client 5 from clock 0 in the root text "t", no deletes. */
function textUpdate(text: string): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = 5;
  doc.getText("t").insert(0, text);
  return Y.encodeStateAsUpdate(doc);
}

test("cutting at any vector gives what the document's own diff gives", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const doc = new Y.Doc({ gc: random.chance(0.5) });
    for (const update of genuineUpdates(random, 40)) Y.applyUpdate(doc, update);
    const whole = normal(Y.encodeStateAsUpdate(doc));
    for (let round = 0; round < 20; round++) {
      const vector = new Map<number, number>();
      for (const [client, clock] of Y.decodeStateVector(Y.encodeStateVector(doc))) vector.set(client, random.int(0, clock));
      const news = splitNews(whole, (client) => vector.get(client) ?? 0);
      expect(news.held).toEqual([]);
      const ours = withDeletes(news.readyUpdate, news.deletes);
      expect(normal(ours), `seed ${seed}, round ${round}`).toEqual(Y.diffUpdate(whole, vectorBytes(vector)));
    }
  }
});

test("ready updates applied one after another give the same document, under loss, repeats, merges and any order", () => {
  for (let seed = 1; seed <= 120; seed++) {
    const random = new Random(seed);
    const genuine = genuineUpdates(random, 25);
    const arrivals: Uint8Array[] = [];
    for (let at = 0; at < genuine.length; ) {
      const next = at + random.int(1, 4);
      arrivals.push(Y.mergeUpdates(genuine.slice(Math.max(0, at - random.int(0, 3)), next)));
      at = next;
    }
    if (random.chance(0.5)) arrivals.push(Y.mergeUpdates(random.shuffle(genuine).slice(0, 5)));
    const plain = new Y.Doc();
    const room = new Y.Doc();
    const known = new Map<number, number>();
    let waiting: Uint8Array[] = [];
    const take = (update: Uint8Array): void => {
      const news = splitNews(update, (client) => known.get(client) ?? 0);
      for (const range of news.ready) {
        expect(range.from, `seed ${seed}`).toBe(known.get(range.client) ?? 0);
        known.set(range.client, range.to);
      }
      if (news.wholeIsReady && news.readyUpdate !== null) expect(withDeletes(news.readyUpdate, news.deletes).length).toBeLessThanOrEqual(update.length);
      if (news.heldUpdate !== null) {
        expect(splitNews(news.heldUpdate, () => 0).held.map((range) => range.to)).toEqual(news.held.map((range) => range.to));
        waiting.push(news.heldUpdate);
      }
      Y.applyUpdate(room, withDeletes(news.readyUpdate, news.deletes));
      if (news.ready.length > 0) {
        const again = waiting;
        waiting = [];
        for (const held of again) take(held);
      }
    };
    for (const arrival of random.chance(0.5) ? random.shuffle(arrivals) : arrivals) {
      Y.applyUpdate(plain, arrival);
      take(arrival);
    }
    expect(waiting, `seed ${seed}`).toEqual([]);
    expect(known, `seed ${seed}`).toEqual(Y.decodeStateVector(Y.encodeStateVector(plain)));
    for (const name of ["text", "map", "array", "xml"] as const) {
      expect(JSON.stringify(room.get(name, Y.Text).toDelta()), `seed ${seed}`).toBe(JSON.stringify(plain.get(name, Y.Text).toDelta()));
    }
    expect(Y.equalSnapshots(Y.snapshot(room), Y.snapshot(plain)), `seed ${seed}`).toBe(true);
  }
});

describe("cuts in text", () => {
  test.each([
    ["a🙂b", 1],
    ["a🙂b", 2],
    ["a🙂b", 3],
    ["🙂", 1],
    ["🙂🙂", 1],
    ["🙂🙂", 2],
    ["🙂🙂", 3],
    ["漢é\ufeffx", 1],
    ["漢é\ufeffx", 2],
    ["漢é\ufeffx", 3],
  ])("%s at %i is what the document's diff writes", (text, clock) => {
    const whole = textUpdate(text);
    const news = splitNews(whole, () => clock);
    expect(news.overlaps).toBe(1);
    expect(news.ready).toEqual([{ client: 5, from: clock, to: text.length }]);
    expect(news.readyUpdate).toEqual(Y.diffUpdate(whole, Uint8Array.of(1, 5, clock)));
  });

  test("every piece of a text has the length it says, and torn pairs become U+FFFD on both sides", () => {
    const text = "a🙂é🙂🙂漢b";
    const whole = textUpdate(text);
    for (let from = 0; from < text.length; from++) {
      for (let to = from + 1; to <= text.length; to++) {
        const writer = new ByteWriter();
        readUpdate(whole, { struct: (view) => cutStructRange(view, whole, from, to, writer) });
        const piece = writer.finish();
        const update = Uint8Array.of(1, 1, 5, from, ...piece, 0);
        let seen = 0;
        readUpdate(update, { struct: (view) => void (seen = view.length) });
        expect(seen, `${from} to ${to}`).toBe(to - from);
        const decoded = Y.decodeUpdate(update).structs[0] as Y.Item;
        expect((decoded.content as unknown as { str: string }).str).toBe(text.slice(from, to).toWellFormed());
      }
    }
  });

  test("middle pieces of lists", () => {
    const doc = new Y.Doc();
    doc.clientID = 5;
    doc.getArray("t").insert(0, [1, "🙂", { a: [null] }, new Date(0).toISOString(), true]);
    const any = Y.encodeStateAsUpdate(doc);
    const json = Uint8Array.of(1, 1, 5, 0, 2, 1, 1, 0x74, 4, 1, 0x31, 4, ...new TextEncoder().encode("null"), 2, 0x5b, 0x5d, 1, 0x34, 0);
    for (const whole of [any, json]) {
      const values = (Y.decodeUpdate(whole).structs[0] as Y.Item).content.getContent();
      for (let from = 0; from < values.length; from++) {
        for (let to = from + 1; to <= values.length; to++) {
          const writer = new ByteWriter();
          readUpdate(whole, { struct: (view) => cutStructRange(view, whole, from, to, writer) });
          const update = Uint8Array.of(1, 1, 5, from, ...writer.finish(), 0);
          readUpdate(update, {});
          expect((Y.decodeUpdate(update).structs[0] as Y.Item).content.getContent()).toEqual(values.slice(from, to));
        }
      }
    }
  });

  test("what covers one clock cannot be cut", () => {
    const doc = new Y.Doc();
    doc.getArray("t").insert(0, [new Uint8Array(9)]);
    const whole = Y.encodeStateAsUpdate(doc);
    readUpdate(whole, { struct: (view) => expect(() => cutStruct(view, whole, 1, new ByteWriter())).toThrow("Cannot cut struct") });
  });
});

describe("shapes", () => {
  test("an ordinary keystroke is whole and not copied", () => {
    const whole = textUpdate("x");
    const news = splitNews(whole, () => 0);
    expect(news).toMatchObject({ ready: [{ client: 5, from: 0, to: 1 }], held: [], wholeIsReady: true, overlaps: 0 });
    expect(news.readyUpdate).toBe(whole);
    expect(news.heldUpdate).toBe(null);
    expect(news.deletes.isEmpty).toBe(true);
  });

  test("a known update has nothing ready", () => {
    const news = splitNews(textUpdate("x"), () => 1);
    expect(news).toMatchObject({ ready: [], held: [], wholeIsReady: false, overlaps: 0, readyUpdate: null, heldUpdate: null });
  });

  test("a delete-only update is whole, with nothing ready", () => {
    const news = splitNews(Uint8Array.of(0, 1, 5, 1, 2, 3), () => 0);
    expect(news).toMatchObject({ ready: [], wholeIsReady: true, readyUpdate: null });
    expect(news.deletes.ranges(5)).toEqual(Float64Array.of(2, 5));
  });

  test("a delete set without ranges is not taken for an empty one", () => {
    const news = splitNews(Uint8Array.of(1, 1, 5, 0, 0, 4, 1, 5, 0), () => 0);
    expect(news.wholeIsReady).toBe(true);
    expect(news.readyUpdate).toEqual(Uint8Array.of(1, 1, 5, 0, 0, 4, 0));
  });

  test("behind a Skip is held, inner Skips stay, trailing ones go", () => {
    // Clocks 0-1, gap 2-3, 4-5, gap 6, 7, gap 8.
    const bytes = Uint8Array.of(1, 6, 5, 0, 0, 2, 10, 2, 0, 2, 10, 1, 0, 1, 10, 1, 0);
    const news = splitNews(bytes, () => 0);
    expect(news.ready).toEqual([{ client: 5, from: 0, to: 2 }]);
    expect(news.held).toEqual([{ client: 5, from: 4, to: 6 }, { client: 5, from: 7, to: 8 }]);
    expect(news.readyUpdate).toEqual(Uint8Array.of(1, 1, 5, 0, 0, 2, 0));
    expect(news.heldUpdate).toEqual(Uint8Array.of(1, 3, 5, 4, 0, 2, 10, 1, 0, 1, 0));
    expect(news.wholeIsReady).toBe(false);
    // The gap is known by now, and half of what was behind it.
    expect(splitNews(bytes, () => 5)).toMatchObject({ ready: [{ client: 5, from: 5, to: 6 }], held: [{ client: 5, from: 7, to: 8 }], overlaps: 1 });
  });

  test("a first clock above the known end is held", () => {
    const news = splitNews(Uint8Array.of(1, 1, 5, 3, 0, 2, 0), () => 2);
    expect(news).toMatchObject({ ready: [], held: [{ client: 5, from: 3, to: 5 }], readyUpdate: null });
    expect(news.heldUpdate).toEqual(Uint8Array.of(1, 1, 5, 3, 0, 2, 0));
  });

  test("withDeletes appends to a structs-only update and refuses another", () => {
    const builder = new DeleteSetBuilder();
    builder.add(5, 1, 2);
    expect(withDeletes(null, builder.build())).toEqual(Uint8Array.of(0, 1, 5, 1, 1, 2));
    expect(withDeletes(Uint8Array.of(1, 1, 5, 3, 0, 2, 0), builder.build())).toEqual(Uint8Array.of(1, 1, 5, 3, 0, 2, 1, 5, 1, 1, 2));
    expect(() => withDeletes(Uint8Array.of(0, 1, 5, 1, 1, 2), builder.build())).toThrow("does not end");
  });
});
