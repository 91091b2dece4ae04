import * as Y from "yjs";
import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { decodeStateVector, encodeStateVector } from "../../src/update/state-vector.ts";
import { ByteReader, ByteWriter, varUintSize } from "../../src/update/varint.ts";
import { Random } from "../kit/random.ts";
import { genuineUpdates } from "./genuine.ts";

test("vectors are read and written byte for byte as a document does", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const doc = new Y.Doc();
    for (const update of genuineUpdates(new Random(seed), 10)) Y.applyUpdate(doc, update);
    const bytes = Y.encodeStateVector(doc);
    expect(decodeStateVector(bytes), `seed ${seed}`).toEqual(Y.decodeStateVector(bytes));
    expect(encodeStateVector(decodeStateVector(bytes)), `seed ${seed}`).toEqual(bytes);
  }
});

test("clocks of 0 are left out", () => {
  expect(encodeStateVector(new Map([[1, 0], [2, 3]]))).toEqual(Uint8Array.of(1, 2, 3));
  expect(decodeStateVector(Uint8Array.of(2, 2, 3, 1, 0))).toEqual(new Map([[2, 3]]));
});

test.each([
  ["truncated", Uint8Array.of()],
  ["truncated", Uint8Array.of(1, 5)],
  ["truncated", Uint8Array.of(9, 5, 1)],
  ["trailing-bytes", Uint8Array.of(0, 0)],
  ["duplicate-client", Uint8Array.of(2, 5, 1, 5, 2)],
  ["too-many-clients", Uint8Array.of(0xff, 0xff, 0x7f)],
  ["too-large", new Uint8Array(LIMITS.maxStateVectorBytes + 1)],
])("%s", (code, bytes) => {
  expect(() => decodeStateVector(bytes)).toThrow(expect.objectContaining({ name: "UpdateRefusedError", code }));
});

test("varints of every size are read back, with nothing left", () => {
  const random = new Random(3);
  const values = [0, 127, 128, 16_383, 16_384, 2 ** 21 - 1, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 35 - 1, 2 ** 35, Number.MAX_SAFE_INTEGER];
  for (let i = 0; i < 2_000; i++) values.push(Math.floor(2 ** (random.unit() * 53)) - random.int(0, 1));
  for (const value of values) {
    const writer = new ByteWriter();
    writer.varUint(value);
    expect(writer.length).toBe(varUintSize(value));
    const reader = new ByteReader(writer.finish());
    expect(reader.varUint()).toBe(value);
    expect(reader.left).toBe(0);
    for (let end = 0; end < writer.length; end++) expect(() => new ByteReader(writer.finish(), 0, end).varUint()).toThrow(UpdateRefusedError);
  }
});

test("the writer grows and gives exact views", () => {
  const writer = new ByteWriter(1);
  const long = new Uint8Array(1_000).fill(7);
  writer.byte(1);
  writer.bytes(long);
  writer.bytes(long, 3, 9);
  writer.utf8String("é\ud800");
  expect(writer.finish()).toEqual(Uint8Array.of(1, ...long, 7, 7, 7, 7, 7, 7, 5, 0xc3, 0xa9, 0xef, 0xbf, 0xbd));
});
