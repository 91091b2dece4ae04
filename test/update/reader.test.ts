import * as Y from "yjs";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { readRun, readUpdate, UpdateReader } from "../../src/update/reader.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import type { StructView, UpdateVisitor } from "../../src/update/visitor.ts";
import { Random } from "../kit/random.ts";
import { genuineUpdates } from "./genuine.ts";

type Part = number | string | { uint: number } | readonly number[];

/** Bytes from numbers (one byte each), strings (length and UTF-8) and `{ uint }` varints. */
function build(...parts: readonly Part[]): Uint8Array {
  const writer = new ByteWriter();
  for (const part of parts) {
    if (typeof part === "number") writer.byte(part);
    else if (typeof part === "string") writer.utf8String(part);
    else if ("uint" in part) writer.varUint(part.uint);
    else writer.bytes(Uint8Array.from(part));
  }
  return writer.finish().slice();
}

/** One section of client 5 from clock 0, one root item in type "t", empty delete set. */
const item = (ref: number, ...content: readonly Part[]): Uint8Array => build(1, 1, 5, 0, ref, 1, "t", ...content, 0);

const codeOf = (bytes: Uint8Array): string => {
  try {
    readUpdate(bytes, {});
  } catch (error) {
    if (error instanceof UpdateRefusedError) return error.code;
    throw error;
  }
  return "accepted";
};

/** "throws" when a stock document throws on loading, or on encoding what it loaded; else "loads". */
function stock(bytes: Uint8Array): "throws" | "loads" {
  try {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, bytes);
    Y.encodeStateAsUpdate(doc);
    return "loads";
  } catch {
    return "throws";
  }
}

const MAX = Number.MAX_SAFE_INTEGER;
const nested = (depth: number): number[] => [...Array.from({ length: depth }, () => [117, 1]).flat(), 126];

describe("refusals", () => {
  // [name, code, what a stock document does, bytes]. "loads" needs a reason in the name.
  const cases: [string, string, "throws" | "loads", Uint8Array][] = [
    ["nothing", "truncated", "throws", build()],
    ["own origin at own clock", "self-reference", "throws", build(1, 1, 5, 0, 0x84, 5, 0, "x", 0)],
    ["own origin after own clock", "self-reference", "throws", build(1, 1, 5, 0, 0x84, 5, 9, "x", 0)],
    ["own right origin at own clock", "self-reference", "throws", build(1, 1, 5, 0, 0x44, 5, 0, "x", 0)],
    ["own parent at own clock", "self-reference", "throws", build(1, 1, 5, 0, 0x04, 0, 5, 0, "x", 0)],
    ["stray continuation byte", "bad-utf8", "throws", item(4, 1, 0x80)],
    ["encoded surrogate", "bad-utf8", "throws", item(4, 3, [0xed, 0xa0, 0x80])],
    ["overlong two bytes", "bad-utf8", "throws", item(4, 2, [0xc0, 0x80])],
    ["overlong three bytes", "bad-utf8", "throws", item(4, 3, [0xe0, 0x80, 0x80])],
    ["overlong four bytes", "bad-utf8", "throws", item(4, 4, [0xf0, 0x80, 0x80, 0x80])],
    ["over U+10FFFF", "bad-utf8", "throws", item(4, 4, [0xf4, 0x90, 0x80, 0x80])],
    ["cut character", "bad-utf8", "throws", item(4, 2, [0xe6, 0xbc])],
    ["bad UTF-8 in a root name", "bad-utf8", "throws", build(1, 1, 5, 0, 4, 1, 1, 0xff, "x", 0)],
    ["bad UTF-8 in a map key", "bad-utf8", "throws", build(1, 1, 5, 0, 0x24, 1, "t", 1, 0xff, "x", 0)],
    ["embed that is no JSON", "bad-json", "throws", item(5, "{")],
    ["embed behind a byte order mark", "bad-json", "throws", item(5, "\ufeff1")],
    ["format that is no JSON", "bad-json", "throws", item(6, "bold", "tru")],
    ["embed 'undefined'", "bad-json", "throws", item(5, "undefined")],
    ["JSON entry that is no JSON", "bad-json", "throws", item(2, 1, "nope")],
    ["embed nested too deep to encode again", "too-deep", "throws", item(5, "[".repeat(200_000) + "]".repeat(200_000))],
    ["type ref 7", "bad-type-ref", "throws", item(7, 7)],
    ["content ref 11", "bad-content-ref", "throws", item(11, 1)],
    ["Skip with flags: reader and document disagree", "bad-content-ref", "loads", build(1, 1, 5, 0, 0x8a, 1, 0)],
    ["GC with flags: nobody writes it", "bad-content-ref", "loads", build(1, 1, 5, 0, 0x80, 1, 0)],
    ["unknown Any tag", "bad-any", "throws", item(8, 1, 115)],
    ["subdocument options null", "bad-subdocument", "throws", item(9, "guid", 126)],
    ["subdocument options a number: no property to read, yet never genuine", "bad-subdocument", "loads", item(9, "guid", 125, 1)],
    ["subdocument options that replace the guid", "bad-subdocument", "throws", item(9, "guid", 118, 1, "guid", 118, 1, "toString", 126)],
    ["zero-length GC leaves an empty struct in the store", "zero-length", "loads", build(1, 1, 5, 0, 0, 0, 0)],
    ["zero-length Skip", "zero-length", "loads", build(1, 1, 5, 0, 10, 0, 0)],
    ["struct without clocks before another", "zero-length", "throws", build(1, 2, 5, 0, 4, 1, "t", "", 0x84, 5, 0, "x", 0)],
    ["empty Any list", "zero-length", "loads", item(8, 0)],
    ["Deleted of length 0", "zero-length", "throws", item(1, 0)],
    ["one client twice: the first section is lost", "duplicate-client", "loads", build(2, 1, 5, 0, 0, 1, 1, 5, 1, 0, 1, 0)],
    ["one client twice, not side by side", "duplicate-client", "loads", build(3, 1, 5, 0, 0, 1, 1, 4, 0, 0, 1, 1, 5, 1, 0, 1, 0)],
    ["one client twice in the delete set: harmless, never genuine", "duplicate-client", "loads", build(0, 2, 5, 1, 0, 1, 5, 1, 1, 1)],
    ["struct count over the bytes left", "too-many-structs", "throws", build(1, { uint: 2 ** 33 }, 5, 0, 0, 1, 0)],
    ["range count over the bytes left", "too-many-ranges", "throws", build(0, 1, 5, { uint: 2 ** 33 })],
    ["section count over the bytes left", "truncated", "throws", build(9, 0)],
    ["section count over the limit", "too-many-clients", "throws", build({ uint: LIMITS.maxClientsPerMessage + 1 }, 0)],
    ["clock and length over 2^53 - 1", "clock-overflow", "loads", build(1, 1, 5, { uint: MAX }, 0, 1, 0)],
    ["delete range over 2^53 - 1: stays pending, its end no longer exact", "clock-overflow", "loads", build(0, 1, 5, 1, { uint: MAX }, 1)],
    ["delete range of length 0 that stays pending", "zero-length", "throws", build(0, 1, 5, 1, 3, 0)],
    ["varint over 2^53 - 1: rounded", "bad-varint", "loads", build(0, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f], 0)],
    ["varint of nine bytes", "bad-varint", "loads", build(0, [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])],
    ["trailing bytes: ignored there, but stored here", "trailing-bytes", "loads", build(0, 0, 7)],
    ["values nested past the limit: deep ones overflow the stack", "too-deep", "throws", item(8, 1, nested(20_000))],
  ];

  test.each(cases)("%s", (_name, code, document, bytes) => {
    expect(codeOf(bytes)).toBe(code);
    expect(stock(bytes)).toBe(document);
  });

  test("a delete range of length 0 inside a surrogate pair would tear it in a stock document", () => {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, item(4, "🙂"));
    const tear = build(0, 1, 5, 1, 1, 0);
    expect(codeOf(tear)).toBe("zero-length");
    Y.applyUpdate(doc, tear);
    expect(doc.getText("t").toString()).not.toBe("🙂");
  });
});

describe("acceptances", () => {
  const cases: [string, Uint8Array][] = [
    ["the empty update", build(0, 0)],
    ["a section without structs", build(1, 0, 5, 0, 0)],
    ["a client without delete ranges", build(0, 1, 5, 0)],
    ["a padded varint", build(0x80, 0, 0)],
    ["a Skip first", build(1, 2, 5, 0, 10, 3, 0, 1, 0)],
    ["clients in ascending order", build(2, 1, 4, 0, 0, 1, 1, 5, 0, 0, 1, 0)],
    ["a cycle between two clients", build(2, 1, 5, 0, 0x84, 4, 0, "x", 1, 4, 0, 0x84, 5, 0, "y", 0)],
    ["a parent that is no type", build(1, 2, 5, 0, 4, 1, "t", "x", 4, 0, 5, 0, "y", 0)],
    ["an item with an origin and the map key flag", build(1, 2, 5, 0, 0x28, 1, "t", "k", 1, 126, 0xa8, 5, 0, 1, 126, 0)],
    ["JSON entries and the word undefined", item(2, 3, "undefined", '{"a":"é"}', "1")],
    ["a byte order mark counts one", item(4, "\ufeff")],
    ["values nested 200 deep", item(8, 1, nested(200))],
    ["unsorted and overlapping delete ranges", build(0, 1, 5, 3, 9, 4, 1, 2, 2, 9)],
    ["a subdocument with options", item(9, "guid", 118, 2, "gc", 121, "meta", 118, 1, "guid", 126)],
    ["an embed longer than the depth limit, but flat", item(5, JSON.stringify("[".repeat(3_000)))],
  ];

  test.each(cases)("%s", (_name, bytes) => {
    expect(codeOf(bytes)).toBe("accepted");
    expect(stock(bytes)).toBe("loads");
  });

  test("values nested up to the limit, without recursion", () => {
    expect(codeOf(item(8, 1, nested(LIMITS.maxContentDepth)))).toBe("accepted");
    expect(codeOf(item(8, 1, nested(LIMITS.maxContentDepth + 1)))).toBe("too-deep");
  });
});

/** The structs of an update as the document's own decoder sees them. */
function decoded(update: Uint8Array): unknown[] {
  return Y.decodeUpdate(update).structs.map((struct) => [struct.id.client, struct.id.clock, struct.length]);
}

test("2,000 genuine updates, their merges and their diffs are read as the document's decoder reads them", () => {
  let updates = 0;
  for (let seed = 1; updates < 2_000; seed++) {
    const random = new Random(seed);
    const genuine = genuineUpdates(random, 30);
    const merged = Y.mergeUpdates(random.shuffle(genuine).slice(0, random.int(2, genuine.length)));
    const doc = new Y.Doc();
    for (const update of genuine.slice(0, 10)) Y.applyUpdate(doc, update);
    const diffed = Y.diffUpdate(Y.mergeUpdates(genuine), Y.encodeStateVector(doc));
    for (const update of [...genuine, merged, diffed, Y.encodeStateAsUpdate(doc)]) {
      const seen: unknown[] = [];
      let byteAt = -1;
      const stats = readUpdate(update, {
        section: (_client, _clock, _count, start) => void (byteAt = start),
        struct: (view) => {
          expect(view.start, `seed ${seed}`).toBe(byteAt);
          byteAt = view.end;
          seen.push([view.client, view.clock, view.length]);
        },
        deleteSet: (start) => expect(byteAt === -1 || byteAt === start, `seed ${seed}`).toBe(true),
      });
      expect(seen, `seed ${seed}`).toEqual(decoded(update));
      expect(stats.structs).toBe(seen.length);
    }
    updates += genuine.length;
  }
});

test("the view shows origins, parents and keys", () => {
  const bytes = build(1, 3, 5, 0, 0x24, 1, "tä", "k", "x", 0xc4, 5, 0, 4, 7, "y🙂", 0x21, 0, 4, 9, "sub", 2, 0);
  const seen: StructView[] = [];
  const stats = readUpdate(bytes, { struct: (view) => void seen.push({ ...view }) });
  const text = (start: number, end: number): string => new TextDecoder().decode(bytes.subarray(start, end));
  const [first, second, third] = seen as [StructView, StructView, StructView];
  expect([first.parentKind, text(first.parentNameStart, first.parentNameEnd), text(first.subStart, first.subEnd)]).toEqual([1, "tä", "k"]);
  expect([second.originClient, second.originClock, second.rightClient, second.rightClock, second.length]).toEqual([5, 0, 4, 7, 3]);
  expect([second.parentKind, second.parentNameStart, second.subStart]).toEqual([0, -1, -1]);
  expect([third.parentKind, third.parentClient, third.parentClock, text(third.subStart, third.subEnd)]).toEqual([2, 4, 9, "sub"]);
  expect([third.originClient, third.clock, third.length]).toEqual([-1, 4, 2]);
  expect(stats).toEqual({ clients: 1, structs: 3, deleteRanges: 0, structBytesEnd: bytes.length - 1 });

  const again: StructView[] = [];
  expect(readRun(bytes, second.start, 5, second.clock, 2, { struct: (view) => void again.push({ ...view }) })).toBe(bytes.length - 1);
  expect(again).toEqual([second, third]);
});

test("reading in parts shows the same, and refuses the same at the same byte", () => {
  const shown = (bytes: Uint8Array, work: number): { seen: unknown[]; end: unknown; parts: number } => {
    const seen: unknown[] = [];
    const visitor: UpdateVisitor = {
      section: (...section) => void seen.push(section),
      struct: (view) => void seen.push({ ...view }),
      deleteSet: (start) => void seen.push(start),
      deleteRange: (...range) => void seen.push(range),
    };
    const reader = new UpdateReader(bytes, visitor);
    let parts = 1;
    try {
      for (; ; parts++) {
        const stats = reader.readSome(work);
        if (stats !== null) return { seen, end: stats, parts };
      }
    } catch (error) {
      if (!(error instanceof UpdateRefusedError)) throw error;
      return { seen, end: [error.code, error.offset], parts };
    }
  };
  for (let seed = 300; seed < 330; seed++) {
    const random = new Random(seed);
    const whole = Y.mergeUpdates(genuineUpdates(random, 25));
    const flipped = whole.slice();
    flipped[random.int(0, whole.length - 1)] = random.int(0, 255);
    for (const bytes of [whole, flipped, whole.subarray(0, random.int(0, whole.length - 1)), build(0, 0), build(2, 0, 5, 0, 0, 4, 0, 0)]) {
      const { seen, end, parts } = shown(bytes, Infinity);
      expect(parts, `seed ${seed}`).toBe(1);
      for (const work of [1, 100, 300, 5_000]) {
        const again = shown(bytes, work);
        expect({ seen: again.seen, end: again.end }, `seed ${seed}, work ${work}`).toEqual({ seen, end });
        // With next to no work allowed, every struct and every range is a part of its own.
        if (work === 1) expect(again.parts).toBeGreaterThanOrEqual(seen.length - 1);
      }
    }
  }
});

test("every truncation of genuine updates is refused", () => {
  for (let seed = 100; seed < 106; seed++) {
    const whole = Y.mergeUpdates(genuineUpdates(new Random(seed), 25));
    for (let end = 0; end < whole.length; end++) expect(codeOf(whole.slice(0, end)), `seed ${seed}, ${end} bytes`).not.toBe("accepted");
  }
});

test("flipped bytes are accepted or refused, nothing else; what is accepted loads", () => {
  for (let seed = 200; seed < 230; seed++) {
    const random = new Random(seed);
    const whole = Y.mergeUpdates(genuineUpdates(random, 25));
    for (let round = 0; round < 300; round++) {
      const bytes = whole.slice();
      for (let n = random.int(1, 4); n > 0; n--) bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
      const code = codeOf(bytes);
      if (code === "accepted" && round % 10 === 0) expect(() => Y.applyUpdate(new Y.Doc(), bytes), `seed ${seed}, round ${round}`).not.toThrow();
    }
  }
});
