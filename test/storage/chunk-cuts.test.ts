import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { cutCount, withCuts } from "../../src/storage/chunk-cuts.ts";
import type { ChunkEntry } from "../../src/storage/room-index.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { RunList } from "../../src/update/run-list.ts";
import { byteDifference, plainDoc } from "../kit/compare.ts";
import { DocClient } from "../kit/doc-client.ts";
import { Joiner } from "../kit/joiner.ts";
import { Random } from "../kit/random.ts";
import { TestRoom } from "../kit/test-room.ts";

const WRITER = 50;
const EDITOR = 60;

function chunkOf(runs: readonly (readonly [client: number, clock: number, end: number])[], cuts: Record<number, number[]> = {}): ChunkEntry {
  return {
    id: 7,
    parts: 1,
    sum: 1,
    byteLength: 100,
    deletedClocks: 3,
    cuts: cutsOf(cuts),
    runs: RunList.from(runs.map(([client, clock, end], at) => ({ client, clock, end, structCount: 1, offset: at * 10, byteLength: 10 }))),
  };
}

function cutsOf(cuts: Record<number, number[]>): Map<number, Float64Array> {
  return new Map(Object.entries(cuts).map(([client, clocks]) => [Number(client), Float64Array.from(clocks)]));
}

function shown(chunk: ChunkEntry): Record<string, number[]> {
  return Object.fromEntries([...chunk.cuts].map(([client, clocks]) => [client, [...clocks]]));
}

describe("cut points of a chunk", () => {
  it("are those inside its runs: not a run's first clock, not its end, not another client's", () => {
    const chunk = chunkOf([[1, 10, 20], [1, 30, 40], [2, 0, 5]]);
    const after = withCuts(chunk, cutsOf({ 1: [0, 9, 10, 11, 19, 20, 25, 30, 31, 39, 40, 99], 2: [0, 4, 5], 3: [1, 2] }));
    expect(shown(after)).toEqual({ 1: [11, 19, 31, 39], 2: [4] });
    expect(cutCount(after.cuts)).toBe(5);
    expect({ ...after, cuts: null }).toEqual({ ...chunk, cuts: null });
  });

  it("add up over checkpoints, each once", () => {
    const first = withCuts(chunkOf([[1, 0, 100]]), cutsOf({ 1: [5, 50] }));
    const second = withCuts(first, cutsOf({ 1: [3, 50, 70] }));
    expect(shown(second)).toEqual({ 1: [3, 5, 50, 70] });
    expect(cutCount(second.cuts)).toBe(4);
    expect(shown(first), "the entry before is left alone").toEqual({ 1: [5, 50] });
  });

  it("leave a chunk they miss as it is", () => {
    const chunk = chunkOf([[1, 10, 20]]);
    expect(withCuts(chunk, cutsOf({ 1: [10, 20], 9: [1] }))).toBe(chunk);
    expect(withCuts(chunk, new Map())).toBe(chunk);
    expect(cutCount(chunk.cuts)).toBe(0);
  });

  it("come in clock order when the runs of a client do not", () => {
    expect(shown(withCuts(chunkOf([[1, 30, 40], [1, 10, 20]]), cutsOf({ 1: [15, 35] })))).toEqual({ 1: [15, 35] });
  });
});

/** A room whose writer brought `texts`, each in a chunk of its own, and an editor who has it all. */
function roomOf(...texts: readonly string[]): { room: TestRoom; writer: DocClient; editor: DocClient } {
  const room = new TestRoom();
  const writer = new DocClient(plainDoc([], { clientId: WRITER }));
  room.connect(writer);
  for (const text of texts) {
    const root = writer.doc.getText("text");
    root.insert(root.length, text);
    room.pass(2_000);
    room.look((r) => withoutPauses(r.compact()));
  }
  const editor = new DocClient(plainDoc([], { clientId: EDITOR }));
  room.connect(editor);
  room.pass(3_000);
  expect(chunks(room)).toHaveLength(texts.length);
  return { room, writer, editor };
}

function chunks(room: TestRoom): readonly ChunkEntry[] {
  return room.look((r) => r.store.index.chunks);
}

/** A word at each of these places of the text as it stands, from the back, so that each lands where it says. */
function insertAt(room: TestRoom, client: DocClient, places: readonly number[]): void {
  client.doc.transact(() => {
    for (const place of places.toSorted((a, b) => b - a)) client.doc.getText("text").insert(place, "word ");
  });
  room.pass(1_500);
}

function places(from: number, count: number, step: number): number[] {
  return Array.from({ length: count }, (_, at) => from + at * step);
}

/** What an empty client gets, as one update, after checking that it makes the same document. */
function served(room: TestRoom, writer: DocClient): Uint8Array {
  const joiner = new Joiner(room, { answersQueries: true, doc: plainDoc([], { clientId: 9 }) });
  room.connect(joiner);
  room.settle();
  room.disconnect(joiner);
  expect(byteDifference(joiner.doc, writer.doc)).toBe(null);
  return joiner.answerFrames[0]!.update!;
}

/** Clocks at which structs of the writer begin. */
function starts(update: Uint8Array): Set<number> {
  return new Set(Y.decodeUpdate(update).structs.filter((struct) => struct.id.client === WRITER).map((struct) => struct.id.clock));
}

describe("compaction by cut points", () => {
  it("[CP3] counts what later structs refer to in a sealed chunk, and keeps the count over a restart", () => {
    const { room, editor, writer } = roomOf("a".repeat(400_000));
    insertAt(room, editor, [100, 200, 300]);
    room.look((r) => withoutPauses(r.compact()));
    expect(shown(chunks(room)[0]!)).toEqual({ [WRITER]: [100, 200, 300] });
    // The same places again, by another client, and one new; a deletion refers to nothing.
    insertAt(room, writer, [50, 100]);
    editor.doc.getText("text").delete(1_000, 10);
    room.pass(1_500);
    room.kill();
    room.connect(writer);
    room.look((r) => withoutPauses(r.compact()));
    expect(shown(chunks(room)[0]!)).toEqual({ [WRITER]: [50, 100, 200, 300] });
    room.kill();
    expect(shown(chunks(room)[0]!)).toEqual({ [WRITER]: [50, 100, 200, 300] });
    served(room, writer);
  });

  it("[CP3] splits the chunk above chunkCutPoints and not at it, at exactly those places", () => {
    const { room, editor, writer } = roomOf("a".repeat(600_000));
    const at = places(7, LIMITS.chunkCutPoints, 500);
    insertAt(room, editor, at);
    room.look((r) => withoutPauses(r.compact()));
    const [first] = chunks(room);
    expect(cutCount(first!.cuts)).toBe(LIMITS.chunkCutPoints);
    expect(room.look((r) => r.store.wantsCompaction)).toBe(false);
    expect(starts(served(room, writer)).size).toBe(1);
    insertAt(room, editor, [3]);
    room.look((r) => withoutPauses(r.compact()));
    const after = chunks(room);
    expect(after[0]!.id).not.toBe(first!.id);
    expect(cutCount(after[0]!.cuts)).toBe(0);
    expect([...starts(served(room, writer))].sort((a, b) => a - b)).toEqual([0, 3, ...at]);
    expect(room.look((r) => r.store.wantsCompaction)).toBe(false);
    expect(room.look((r) => r.keeper.totals.compactions)).toBe(1);
  });

  it("[CP3] folding two small chunks splits at the cut points of both", () => {
    const { room, editor, writer } = roomOf("a".repeat(300_000), "b".repeat(300_000));
    const at = [...places(1_000, 20, 777), ...places(300_500, 20, 777)];
    insertAt(room, editor, at);
    // The checkpoint makes a tail behind the two; only then are both sealed.
    room.look((r) => withoutPauses(r.compact()));
    const [folded, ...others] = chunks(room);
    expect(others).toHaveLength(1);
    expect(folded!.byteLength).toBeGreaterThan(600_000);
    expect([...starts(served(room, writer))].sort((a, b) => a - b)).toEqual([0, ...at]);
  });

  it("[CP3] folding squashes where nobody refers", () => {
    const { room, editor, writer } = roomOf("a".repeat(300_000), "b".repeat(300_000));
    insertAt(room, editor, [5]);
    room.look((r) => withoutPauses(r.compact()));
    // "a" and "b" are one chain of typing; only the place of the edit stays a boundary.
    expect([...starts(served(room, writer))]).toEqual([0, 5]);
  });

  it("[CP3] any storm over an import, checkpointed and compacted at any time, makes the same document", () => {
    for (const seed of [11, 12, 13]) {
      const random = new Random(seed);
      const { room, editor, writer } = roomOf("a".repeat(300_000), "b".repeat(900_000), "c".repeat(300_000));
      let most = 0;
      for (let round = 0; round < 12; round += 1) {
        for (const client of [editor, writer]) {
          client.doc.transact(() => {
            const text = client.doc.getText("text");
            for (let edit = 0; edit < 90; edit += 1) {
              if (random.chance(0.7)) text.insert(random.int(0, text.length), `w${edit}`);
              else text.delete(random.int(0, text.length - 100), random.int(1, 40));
            }
          });
        }
        room.pass(random.pick([100, 1_500]));
        most = Math.max(most, ...chunks(room).map((chunk) => cutCount(chunk.cuts)));
        if (random.chance(0.6)) room.look((r) => withoutPauses(r.compact()));
        if (random.chance(0.2)) {
          room.pass(2_000);
          room.kill();
          for (const client of [editor, writer]) room.connect(client);
          room.pass(2_000);
        }
      }
      room.pass(5_000);
      room.look((r) => withoutPauses(r.compact()));
      for (let step = 0; step < 20 && room.look((r) => r.store.wantsCompaction); step += 1) room.look((r) => withoutPauses(r.compact()));
      expect(most, `seed ${seed}`).toBeGreaterThan(100);
      for (const chunk of chunks(room)) expect(cutCount(chunk.cuts), `seed ${seed}`).toBeLessThanOrEqual(LIMITS.chunkCutPoints);
      expect(byteDifference(editor.doc, writer.doc), `seed ${seed}`).toBe(null);
      served(room, writer);
    }
  });
});
