import * as encoding from "lib0/encoding";
import { expect, test } from "vitest";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { decodeAwareness, encodeAwareness, removalEntry } from "../../src/protocol/awareness-codec.ts";
import { FrameRefusedError } from "../../src/protocol/refused.ts";

function payload(states: readonly (readonly [number, number, string | Uint8Array])[]): Uint8Array {
  const e = encoding.createEncoder();
  encoding.writeVarUint(e, states.length);
  for (const [client, clock, state] of states) {
    encoding.writeVarUint(e, client);
    encoding.writeVarUint(e, clock);
    if (typeof state === "string") encoding.writeVarString(e, state);
    else encoding.writeVarUint8Array(e, state);
  }
  return encoding.toUint8Array(e);
}

function refusal(bytes: Uint8Array): string {
  try {
    decodeAwareness(bytes);
  } catch (error) {
    if (error instanceof FrameRefusedError) return error.code;
    throw error;
  }
  return "accepted";
}

test("what stock clients write decodes and encodes to the same bytes", () => {
  const awareness = new Awareness(new Y.Doc());
  try {
    awareness.setLocalState({ user: { name: "Zoë 😀" }, cursor: null });
    applyAwarenessUpdate(awareness, payload([[7, 3, '{"a":[1,{"b":"]\\"["}]}'], [2 ** 52, 9, '"text"']]), null);
    const bytes = encodeAwarenessUpdate(awareness, [...awareness.getStates().keys()]);
    const entries = decodeAwareness(bytes);
    expect(entries.map((e) => e.client).toSorted((a, b) => a - b)).toEqual([7, awareness.clientID, 2 ** 52].toSorted((a, b) => a - b));
    expect(entries.every((e) => !e.isNull)).toBe(true);
    expect(encodeAwareness(entries)).toEqual(bytes);
    expect(decodeAwareness(Uint8Array.of(0))).toEqual([]);
  } finally {
    awareness.destroy();
  }
});

test("a removal is understood by a stock client at the clock it knows", () => {
  const awareness = new Awareness(new Y.Doc());
  try {
    applyAwarenessUpdate(awareness, payload([[7, 3, "{}"]]), null);
    applyAwarenessUpdate(awareness, encodeAwareness([removalEntry(7, 3)]), null);
    expect(awareness.getStates().has(7)).toBe(false);
    expect(decodeAwareness(payload([[7, 3, " null "]]))[0]?.isNull).toBe(true);
  } finally {
    awareness.destroy();
  }
});

test.each<[string, Uint8Array]>([
  ["awareness-truncated", new Uint8Array()],
  ["awareness-truncated", Uint8Array.of(1, 7)],
  ["awareness-truncated", Uint8Array.of(1, 7, 1, 9, 0x7b)],
  ["awareness-bad-varint", Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1)],
  ["awareness-trailing-bytes", Uint8Array.of(0, 0)],
  ["awareness-too-many-states", Uint8Array.of(0xff, 0xff, 0xff, 0x7f)],
  ["awareness-bad-utf8", payload([[1, 1, Uint8Array.of(0x22, 0xc0, 0x80, 0x22)]])],
  ["awareness-bad-json", payload([[1, 1, "{"]])],
  ["awareness-bad-json", payload([[1, 1, ""]])],
  ["awareness-bad-json", payload([[1, 1, "undefined"]])],
  ["awareness-bad-json", payload([[1, 1, "\uFEFF{}"]])],
  ["awareness-too-deep", payload([[1, 1, "[".repeat(10_000) + "]".repeat(10_000)]])],
  ["awareness-too-large", new Uint8Array(LIMITS.maxAwarenessBytes + 1)],
])("refused as %s", (code, bytes) => {
  expect(refusal(bytes)).toBe(code);
});

test("brackets inside strings are no nesting", () => {
  expect(refusal(payload([[1, 1, JSON.stringify('\\"[['.repeat(2_000))]]))).toBe("accepted");
});

test("a truncation at any byte is refused", () => {
  const whole = payload([[70_000, 300, '{"a":1}'], [1, 1, "null"]]);
  for (let end = 0; end < whole.length; end++) expect(refusal(whole.subarray(0, end))).not.toBe("accepted");
});
