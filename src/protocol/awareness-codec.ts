/**
 * Awareness updates (y-protocols): a count, then per state client id, clock and a length-prefixed JSON text; the text `null`
 * means the client left. Stock clients parse every text without a guard and compare it recursively with the last one,
 * so one bad or bottomless state would throw in everybody: such a payload is refused whole.
 */

import { LIMITS } from "../limits.ts";
import { ByteReader, varUintSize, writeVarUintAt } from "../update/varint.ts";
import { FrameRefusedError } from "./refused.ts";
import { readVarBytes, refusingAs } from "./wire.ts";

/** One client's presence. */
export type AwarenessEntry = {
  /** Yjs client id, 0 to 2^53 - 1. */
  readonly client: number;
  /** Grows with every change of the state. */
  readonly clock: number;
  /** UTF-8 JSON text. From `decodeAwareness`: a view into the payload. */
  readonly state: Uint8Array;
  /** The state is JSON `null`: the client left. */
  readonly isNull: boolean;
};

/** UTF-8 of `null`. */
const NULL_STATE: Uint8Array = Uint8Array.of(0x6e, 0x75, 0x6c, 0x6c);

/** An entry that says `client` left at `clock`. */
export function removalEntry(client: number, clock: number): AwarenessEntry {
  return { client, clock, state: NULL_STATE, isNull: true };
}

/**
 * Reads a payload. States are views: copy what is kept.
 * @throws {FrameRefusedError} over `maxAwarenessBytes` or `maxAwarenessStatesPerFrame`, cut short, with bytes left over,
 * or with a state that is not strict UTF-8, not JSON, or nested deeper than `maxContentDepth`.
 */
export function decodeAwareness(payload: Uint8Array): AwarenessEntry[] {
  if (payload.byteLength > LIMITS.maxAwarenessBytes) {
    throw new FrameRefusedError("awareness-too-large", 0, `${payload.byteLength} bytes exceed the limit of ${LIMITS.maxAwarenessBytes}`);
  }
  return refusingAs("awareness", () => readEntries(new ByteReader(payload)));
}

function readEntries(reader: ByteReader): AwarenessEntry[] {
  const count = reader.varUint();
  if (count > LIMITS.maxAwarenessStatesPerFrame) {
    throw new FrameRefusedError("awareness-too-many-states", 0, `${count} states exceed the limit of ${LIMITS.maxAwarenessStatesPerFrame}`);
  }
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const entries: AwarenessEntry[] = [];
  for (let i = 0; i < count; i++) {
    const client = reader.varUint();
    const clock = reader.varUint();
    const at = reader.pos;
    const state = readVarBytes(reader);
    entries.push({ client, clock, state, isNull: checkState(state, at, utf8) });
  }
  if (reader.left > 0) throw new FrameRefusedError("awareness-trailing-bytes", reader.pos, `${reader.left} bytes after the last state`);
  return entries;
}

/** Writes a payload: the inverse of `decodeAwareness`. */
export function encodeAwareness(entries: readonly AwarenessEntry[]): Uint8Array {
  let size = varUintSize(entries.length);
  for (const { client, clock, state } of entries) {
    size += varUintSize(client) + varUintSize(clock) + varUintSize(state.byteLength) + state.byteLength;
  }
  const payload = new Uint8Array(size);
  let at = writeVarUintAt(payload, 0, entries.length);
  for (const { client, clock, state } of entries) {
    at = writeVarUintAt(payload, at, client);
    at = writeVarUintAt(payload, at, clock);
    at = writeVarUintAt(payload, at, state.byteLength);
    payload.set(state, at);
    at += state.byteLength;
  }
  return payload;
}

/** Checks one state and says whether it is JSON `null`. */
function checkState(state: Uint8Array, at: number, utf8: TextDecoder): boolean {
  let text: string;
  try {
    text = utf8.decode(state);
  } catch {
    throw new FrameRefusedError("awareness-bad-utf8", at, "a state is not UTF-8");
  }
  if (nesting(state) > LIMITS.maxContentDepth) {
    throw new FrameRefusedError("awareness-too-deep", at, `a state nests deeper than ${LIMITS.maxContentDepth}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FrameRefusedError("awareness-bad-json", at, "a state is not JSON");
  }
  return value === null;
}

/** Deepest nesting of arrays and objects in a JSON text; brackets inside strings do not count. */
function nesting(json: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (inString) {
      if (byte === 0x5c) i += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return deepest;
}
