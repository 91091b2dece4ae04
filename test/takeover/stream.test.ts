import * as Y from "yjs";
import { describe, expect, test } from "vitest";
import { LegacyDamageError } from "../../src/takeover/legacy.ts";
import { readSource } from "../../src/takeover/read-source.ts";
import { PartBytes } from "../../src/takeover/source-bytes.ts";
import { StructCursor } from "../../src/takeover/struct-cursor.ts";
import { walkStructs } from "../../src/takeover/struct-walk.ts";
import { WindowPool } from "../../src/takeover/window-pool.ts";
import { decodeDeleteSet, encodeDeleteSet } from "../../src/update/delete-set.ts";
import { Pacer, withoutPauses } from "../../src/update/pacer.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { SKIP_REF, type StructView } from "../../src/update/visitor.ts";
import { forSeeds, playHistory } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";
import { genuineUpdates } from "../update/genuine.ts";
import { memoryEntry, nodeSha256, randomParts, sha256Of, sourceOf } from "./memory-entry.ts";

/** Everything about a struct that does not depend on where its bytes lie, and its bytes. */
function showStruct(view: StructView, bytes: Uint8Array): string {
  const { client, clock, length, info, originClient, originClock, rightClient, rightClock, parentKind, parentClient, parentClock, start } = view;
  const places = [view.contentStart, view.parentNameStart, view.parentNameEnd, view.subStart, view.subEnd].map((at) => (at < 0 ? -1 : at - start));
  const body = Buffer.from(bytes.subarray(start, view.end)).toString("hex");
  return [client, clock, length, info, originClient, originClock, rightClient, rightClock, parentKind, parentClient, parentClock, ...places, body].join(" ");
}

interface Facts {
  sections: { client: number; clock: number; end: number; structCount: number; from: number; to: number }[];
  structs: string[];
  deletes: string;
  touchesVaultMaps: boolean;
}

const NAMES = ["meta", "pathToId", "idToText"];

/** What the strict reader says of the whole bytes: facts, or a refusal's code. */
function strictly(bytes: Uint8Array): Facts | string {
  const facts: Facts = { sections: [], structs: [], deletes: "", touchesVaultMaps: false };
  try {
    const stats = readUpdate(bytes, {
      section: (client, clock, structCount, start) => facts.sections.push({ client, clock, end: clock, structCount, from: start, to: start }),
      struct: (view) => {
        const section = facts.sections.at(-1)!;
        section.to = view.end;
        if (view.ref !== SKIP_REF) section.end = view.clock + view.length;
        facts.structs.push(showStruct(view, bytes));
        if (view.parentKind === 1 && NAMES.includes(Buffer.from(bytes.subarray(view.parentNameStart, view.parentNameEnd)).toString())) facts.touchesVaultMaps = true;
      },
    });
    facts.deletes = Buffer.from(encodeDeleteSet(decodeDeleteSet(bytes, stats.structBytesEnd))).toString("hex");
    return facts;
  } catch (error) {
    if (error instanceof UpdateRefusedError) return `${error.code} at ${error.offset}`;
    throw error;
  }
}

/** The same from a stream over parts. */
function streamed(bytes: Uint8Array, partSizes: readonly number[], windowBytes: number, views = false): Facts | string {
  try {
    const source = sourceOf(memoryEntry(bytes, partSizes, { views }), windowBytes);
    const structs: string[] = [];
    withoutPauses(walkStructs(source, (view, window) => void structs.push(showStruct(view, window)), new Pacer(Infinity), windowBytes));
    expect(source.structs).toBe(structs.length);
    const { sections, touchesVaultMaps } = source;
    return { sections: [...sections], structs, deletes: Buffer.from(encodeDeleteSet(source.deletes)).toString("hex"), touchesVaultMaps };
  } catch (error) {
    if (error instanceof UpdateRefusedError) return `${error.code} at ${error.offset}`;
    throw error;
  }
}

const WINDOWS = [1, 64, 100, 777, 4_096, 1 << 20];

describe("[TK5] reading a legacy update in parts and windows", () => {
  test("says what the strict reader says of the whole bytes, of updates as clients and merges make them", () => {
    forSeeds(25, (seed) => {
      const random = new Random(seed);
      const history = playHistory(seed, { steps: 50, surrogates: random.chance(0.3), loss: random.chance(0.3) });
      const updates = history.deliveries.map(({ update }) => update);
      const doc = history.authors[0]!;
      if (random.chance(0.5)) doc.getMap(random.pick(["meta", "pathToId", "idToText", "metadata", "met"])).set("x", 1);
      for (const update of [Y.encodeStateAsUpdate(doc), Y.mergeUpdates(updates), ...random.shuffle(updates).slice(0, 8)]) {
        const parts = randomParts(random, update.length, random.pick([1, 7, 64, 1_000, update.length]));
        expect(streamed(update, parts, random.pick(WINDOWS), random.chance(0.5))).toEqual(strictly(update));
      }
    });
  });

  test("gives the strict reader's verdict on damaged bytes", () => {
    const verdicts = new Set<string>();
    forSeeds(60, (seed) => {
      const random = new Random(seed);
      const updates = genuineUpdates(random, 12);
      for (let round = 0; round < 30; round++) {
        let bytes = random.chance(0.5) ? Y.mergeUpdates(updates) : random.pick(updates).slice();
        const kind = random.int(0, 3);
        if (kind === 0) bytes = bytes.subarray(0, random.int(0, bytes.length - 1)).slice();
        else if (kind === 1) bytes = Uint8Array.from([...bytes, ...Array.from({ length: random.int(1, 9) }, () => random.int(0, 255))]);
        else for (let flips = random.int(1, 3); flips > 0; flips--) bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
        if (bytes.length === 0) continue;
        const expected = strictly(bytes);
        if (typeof expected === "string") verdicts.add(expected.split(" ")[0]!);
        const found = streamed(bytes, randomParts(random, bytes.length, random.pick([3, 50, bytes.length])), random.pick(WINDOWS));
        // Documents do not look behind the delete set, and older servers' entries are what their documents wrote.
        if (typeof expected === "string" && expected.startsWith("trailing-bytes")) expect(found).toEqual(strictly(bytes.subarray(0, Number(expected.split(" ").at(-1)))));
        else expect(found).toEqual(expected);
      }
    });
    expect([...verdicts]).toEqual(expect.arrayContaining(["truncated", "trailing-bytes", "bad-content-ref", "bad-utf8", "too-many-structs"]));
  });

  test("counts bytes behind the end, and reads on without them", () => {
    const source = sourceOf(memoryEntry(Uint8Array.of(0, 0, 9, 9, 9), [5]));
    expect([source.sections, source.deletes.isEmpty, source.trailingBytes]).toEqual([[], true, 3]);
  });

  test.each([
    ["one client twice", [2, 1, 5, 0, 0, 1, 1, 5, 1, 0, 1, 0], "duplicate-client"],
    ["more structs than bytes", [1, 100, 5, 0, 0, 1, 0], "too-many-structs"],
    ["more clients than bytes", [100, 1, 5, 0, 0], "truncated"],
    ["a struct without clocks", [1, 1, 5, 0, 0, 0, 0], "zero-length"],
    ["deletions of one client twice", [0, 2, 5, 1, 0, 1, 5, 1, 4, 1], "duplicate-client"],
    ["a struct that refers to itself", [1, 1, 5, 0, 0x84, 5, 0, 1, 0x61, 0], "self-reference"],
  ])("refuses %s", (_, bytes, code) => {
    const update = Uint8Array.from(bytes);
    const refusal = strictly(update);
    expect(refusal).toContain(code);
    for (const windowBytes of WINDOWS) expect(streamed(update, [1, update.length - 1], windowBytes)).toBe(refusal);
  });

  test("an entry of no bytes, and an update with nothing in it, are sources without sections", () => {
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0, 0)]) {
      const source = sourceOf(memoryEntry(bytes, bytes.length === 0 ? [] : [2]));
      expect(source.sections).toEqual([]);
      expect(source.structs).toBe(0);
      expect(source.deletes.isEmpty).toBe(true);
      expect(source.touchesVaultMaps).toBe(false);
    }
  });

  test("a section ends with its last struct that is no Skip", () => {
    const update = Uint8Array.from([1, 3, 6, 0, 4, 1, 1, 0x74, 2, 0x61, 0x61, 10, 5, 10, 2, 0]);
    expect(strictly(update)).toEqual(streamed(update, [update.length], 64));
    expect(sourceOf(update).sections).toEqual([{ client: 6, clock: 0, end: 2, structCount: 3, from: 4, to: 15 }]);
  });

  test("a checksum that differs is damage, in the old server's words", () => {
    const update = genuineUpdates(new Random(3), 3)[0]!;
    const entry = memoryEntry(update, [1, update.length - 1], { sha256: sha256Of(Uint8Array.of(1)) });
    const failure = (kind: "journal" | "checkpoint", name: string): unknown => {
      try {
        return withoutPauses(readSource({ ...entry, kind, name }, nodeSha256, new Pacer(Infinity)));
      } catch (error) {
        return error;
      }
    };
    const journal = failure("journal", "document:journal:manifest:0012") as LegacyDamageError;
    expect(journal).toBeInstanceOf(LegacyDamageError);
    expect(journal.message).toBe("journal entry 12 load failed: sha256 mismatch");
    expect(journal.key).toBe("document:journal:manifest:0012");
    expect((failure("checkpoint", "document:checkpoint:manifest:3") as Error).message).toBe("checkpoint load failed: sha256 mismatch");
  });

  test("pauses, and says the same", () => {
    const update = Y.mergeUpdates(genuineUpdates(new Random(5), 60));
    let pauses = 0;
    const steps = readSource(memoryEntry(update), nodeSha256, new Pacer(500));
    for (;;) {
      const step = steps.next();
      if (step.done === true) {
        expect(step.value.structs).toBe(sourceOf(update).structs);
        break;
      }
      pauses++;
    }
    expect(pauses).toBeGreaterThan(10);
  });
});

describe("[TK5] memory", () => {
  test("an entry in one part is served from it, without a copy", () => {
    const update = Uint8Array.from({ length: 100 }, (_, i) => i);
    const entry = memoryEntry(update, [100], { views: true });
    const bytes = new PartBytes(entry);
    expect(bytes.read(10, 20).buffer).toBe(entry.readPart(0).buffer);
    expect([...bytes.read(10, 12)]).toEqual([10, 11]);
  });

  test("no more than two parts are in memory, in whatever order ranges are read", () => {
    forSeeds(20, (seed) => {
      const random = new Random(seed);
      const update = Uint8Array.from({ length: 400 }, () => random.int(0, 255));
      const entry = memoryEntry(update, randomParts(random, 400, 60));
      const bytes = new PartBytes(entry);
      for (let round = 0; round < 50; round++) {
        const from = random.int(0, 400);
        const to = random.int(from, random.chance(0.5) ? 400 : Math.min(400, from + 30));
        expect(Buffer.compare(bytes.read(from, to), update.subarray(from, to))).toBe(0);
        expect(entry.handedOut.filter((buffer) => !buffer.detached).length).toBeLessThanOrEqual(2);
      }
    });
  });

  test("views of a larger buffer are left alone", () => {
    const update = Uint8Array.from({ length: 90 }, (_, i) => i);
    const entry = memoryEntry(update, [30, 30, 30], { views: true });
    const bytes = new PartBytes(entry);
    for (let at = 0; at < 90; at += 10) bytes.read(at, at + 10);
    bytes.forget();
    expect([...entry.readPart(1).subarray(0, 2)]).toEqual([30, 31]);
    expect([...bytes.read(28, 32)]).toEqual([28, 29, 30, 31]);
  });

  test("a part of another length is damage", () => {
    const entry = { ...memoryEntry(new Uint8Array(10), [5, 5]), readPart: () => new Uint8Array(4) };
    expect(() => new PartBytes(entry).read(0, 3)).toThrow(LegacyDamageError);
  });

  test("one pass reads each part at most twice for a window across the border, however small the window", () => {
    const update = Y.mergeUpdates(genuineUpdates(new Random(8), 120));
    const parts = randomParts(new Random(9), update.length, 500);
    const entry = memoryEntry(update, parts, { sha256: null });
    const source = sourceOf(entry, 64);
    expect(source.structs).toBeGreaterThan(50);
    // Numbers of a header and a window may each look at both sides of a border; the delete set is read once more.
    expect(entry.reads).toBeLessThanOrEqual(2 * parts.length + 2);
  });

  test("a window grows for a struct that does not fit, and is small again behind it", () => {
    const texts = ["a".repeat(30), "b".repeat(1_000), ...Array.from({ length: 20 }, () => "c".repeat(30))];
    const writer = new ByteWriter();
    for (const text of texts) {
      writer.bytes(Uint8Array.of(0x44, 9, 0));
      writer.utf8String(text);
    }
    const bytes = writer.finish().slice();
    const whole = { byteLength: bytes.length, read: (from: number, to: number) => bytes.subarray(from, to) };
    const cursor = new StructCursor(whole, { client: 1, clock: 0, structCount: texts.length, from: 0, to: bytes.length }, 64);
    const windows: number[] = [];
    for (; cursor.peek() !== null; cursor.advance()) windows.push(cursor.window.length);
    expect(Math.max(...windows)).toBeLessThanOrEqual(1_024);
    expect(windows[0]).toBe(64);
    expect(windows.at(-5)).toBe(64);
  });

  test("windows of many cursors stay within their budget, and a struct that fits no window is read all the same", () => {
    const run = (client: number, texts: readonly string[]): { bytes: Uint8Array; structs: number } => {
      const writer = new ByteWriter();
      for (const [index, text] of texts.entries()) {
        writer.byte(index === 0 ? 4 : 0x84);
        if (index === 0) {
          writer.varUint(1);
          writer.utf8String("t");
        } else {
          writer.varUint(client);
          writer.varUint(texts.slice(0, index).join("").length - 1);
        }
        writer.utf8String(text);
      }
      return { bytes: writer.finish().slice(), structs: texts.length };
    };
    const pool = new WindowPool(1_000);
    const runs = Array.from({ length: 20 }, (_, client) => run(client, ["abc", "x".repeat(client === 7 ? 700 : 40), "d", "e".repeat(90), "f"]));
    const cursors = runs.map(({ bytes, structs }, client) => {
      const whole = { byteLength: bytes.length, read: (from: number, to: number) => bytes.subarray(from, to) };
      return new StructCursor(whole, { client, clock: 0, structCount: structs, from: 0, to: bytes.length }, 64, pool.keep);
    });
    const lengths: number[][] = cursors.map(() => []);
    const random = new Random(4);
    for (let open = cursors.length; open > 0; ) {
      const at = random.int(0, cursors.length - 1);
      const cursor = cursors[at]!;
      const view = cursor.peek();
      expect(pool.bytes).toBeLessThanOrEqual(1_000);
      if (view === null) {
        if (lengths[at]!.at(-1) !== -1) {
          lengths[at]!.push(-1);
          open--;
        }
        continue;
      }
      lengths[at]!.push(view.length);
      cursor.advance();
    }
    for (const [client, found] of lengths.entries()) expect(found).toEqual([3, client === 7 ? 700 : 40, 1, 90, 1, -1]);
    expect(pool.bytes).toBe(0);
  });
});
