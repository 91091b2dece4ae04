import * as encoding from "lib0/encoding";
import { expect, test } from "vitest";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import {
  SYNC_HEAD_ROOM,
  awarenessFrame,
  parseFrame,
  permissionDeniedFrame,
  queryAwarenessFrame,
  syncFrameInPlace,
  syncStep1Frame,
  syncStep2Frame,
  updateFrame,
} from "../../src/protocol/frames.ts";
import { FrameRefusedError } from "../../src/protocol/refused.ts";
import { Random } from "../kit/random.ts";

function refusal(bytes: Uint8Array): string {
  try {
    parseFrame(bytes);
  } catch (error) {
    if (error instanceof FrameRefusedError) return error.code;
    throw error;
  }
  return "accepted";
}

/** A frame as a stock provider writes it. */
function stock(write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder();
  write(encoder);
  return encoding.toUint8Array(encoder);
}

const doc = new Y.Doc();
doc.getText("t").insert(0, "x".repeat(300));
const update = Y.encodeStateAsUpdate(doc);
const vector = Y.encodeStateVector(doc);

test("stock sync frames read as what they are, in views and not copies", () => {
  const frame = stock((e) => {
    encoding.writeVarUint(e, 0);
    sync.writeUpdate(e, update);
  });
  const parsed = parseFrame(frame);
  expect(parsed).toMatchObject({ kind: "sync-update", inner: 2, trailing: 0 });
  if (parsed.kind !== "sync-update") return;
  expect(parsed.update).toEqual(update);
  expect(parsed.update.buffer).toBe(frame.buffer);
  expect(parseFrame(stock((e) => { encoding.writeVarUint(e, 0); sync.writeSyncStep1(e, doc); }))).toEqual({ kind: "sync-step-1", stateVector: vector, trailing: 0 });
  expect(parseFrame(stock((e) => { encoding.writeVarUint(e, 0); sync.writeSyncStep2(e, doc); }))).toMatchObject({ kind: "sync-update", inner: 1, update });
});

test("built frames are byte for byte what stock code writes", () => {
  expect(syncStep1Frame(vector)).toEqual(stock((e) => { encoding.writeVarUint(e, 0); sync.writeSyncStep1(e, doc); }));
  expect(syncStep2Frame(update)).toEqual(stock((e) => { encoding.writeVarUint(e, 0); sync.writeSyncStep2(e, doc); }));
  expect(updateFrame(update)).toEqual(stock((e) => { encoding.writeVarUint(e, 0); sync.writeUpdate(e, update); }));
  expect(awarenessFrame(Uint8Array.of(0))).toEqual(Uint8Array.of(1, 1, 0));
  expect(queryAwarenessFrame()).toEqual(Uint8Array.of(3));
  expect(permissionDeniedFrame("über")).toEqual(stock((e) => { encoding.writeVarUint(e, 2); encoding.writeVarUint(e, 0); encoding.writeVarString(e, "über"); }));
  for (const length of [1, 127, 128, 20_000, 3_000_000]) {
    const body = new Uint8Array(length).fill(7);
    for (const isStep2 of [true, false]) {
      const roomy = new Uint8Array(SYNC_HEAD_ROOM + length);
      roomy.set(body, SYNC_HEAD_ROOM);
      expect(Buffer.compare(syncFrameInPlace(roomy, isStep2), isStep2 ? syncStep2Frame(body) : updateFrame(body))).toBe(0);
    }
  }
});

test("what is no message of ours is named, and what follows a message counted", () => {
  expect(parseFrame(Uint8Array.of(2, 0, 1, 65))).toEqual({ kind: "auth" });
  expect(parseFrame(Uint8Array.of(3))).toEqual({ kind: "query-awareness", trailing: 0 });
  expect(parseFrame(Uint8Array.of(0xe8, 0x07))).toEqual({ kind: "unknown", outer: 1000 });
  expect(parseFrame(Uint8Array.of(0, 0, 1, 0, 9, 9))).toMatchObject({ kind: "sync-step-1", trailing: 2 });
});

test.each([
  ["frame-empty", []],
  ["frame-truncated", [0x80]],
  ["frame-truncated", [0]],
  ["frame-truncated", [0, 2]],
  ["frame-truncated", [0, 2, 5, 1, 2]],
  ["frame-truncated", [0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ["frame-truncated", [1, 4, 0]],
  ["frame-bad-varint", [0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
  ["frame-bad-varint", [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
  ["sync-inner-unknown", [0, 3, 0]],
])("refused as %s: %j", (code, bytes) => {
  expect(refusal(Uint8Array.from(bytes))).toBe(code);
});

test("limits of size are checked on the frame", () => {
  expect(refusal(new Uint8Array(LIMITS.maxFrameBytes + 1))).toBe("frame-too-large");
  // Malformed as well: the limit comes first.
  expect(refusal(new Uint8Array(LIMITS.maxFrameBytes + 1).fill(0xff))).toBe("frame-too-large");
  expect(refusal(syncStep1Frame(new Uint8Array(LIMITS.maxStateVectorBytes + 1)))).toBe("state-vector-too-large");
  expect(refusal(awarenessFrame(new Uint8Array(LIMITS.maxAwarenessBytes + 8)))).toBe("awareness-too-large");
  expect(refusal(syncStep1Frame(new Uint8Array(LIMITS.maxStateVectorBytes)))).toBe("accepted");
});

test("random bytes are read or refused, never anything else (seed 11)", () => {
  const random = new Random(11);
  for (let i = 0; i < 50_000; i++) {
    const bytes = Uint8Array.from({ length: random.int(0, 13) }, () => (random.chance(0.4) ? random.int(0, 3) : random.int(0, 255)));
    refusal(bytes);
  }
});
