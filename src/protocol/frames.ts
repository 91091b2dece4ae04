/**
 * Binary frames between a stock Yjs provider and the room (y-protocols as y-websocket and y-partyserver speak it):
 * an outer varint names the kind, then the payload. One message per WebSocket frame: what follows the first is not
 * read by stock clients (update laws, W1), nor by us; `trailing` says how many bytes that were, so that the room can count it.
 */

import { LIMITS } from "../limits.ts";
import { ByteReader, varUintSize, writeVarUintAt } from "../update/varint.ts";
import { FrameRefusedError } from "./refused.ts";
import { readVarBytes, refusingAs } from "./wire.ts";

const OUTER_SYNC = 0;
const OUTER_AWARENESS = 1;
const OUTER_AUTH = 2;
const OUTER_QUERY_AWARENESS = 3;

const INNER_STEP_1 = 0;
const INNER_STEP_2 = 1;
const INNER_UPDATE = 2;

/** One inbound message. Byte fields are views into the frame: copy them to keep them past the turn. */
export type InboundFrame =
  /** The client says what it has and asks for the rest. */
  | { readonly kind: "sync-step-1"; readonly stateVector: Uint8Array; readonly trailing: number }
  /** Changes: a step 2 (`inner` 1) or an update (`inner` 2). The same bytes, and for us the same meaning. */
  | { readonly kind: "sync-update"; readonly inner: 1 | 2; readonly update: Uint8Array; readonly trailing: number }
  /** Presence; `decodeAwareness` reads the payload. */
  | { readonly kind: "awareness"; readonly payload: Uint8Array; readonly trailing: number }
  /** Only servers speak it; ignored and counted. */
  | { readonly kind: "auth" }
  /** The client asks for everybody's presence. */
  | { readonly kind: "query-awareness"; readonly trailing: number }
  /** An outer type nobody told us about; ignored and counted. */
  | { readonly kind: "unknown"; readonly outer: number };

/**
 * Reads one binary frame without copying. Limits come before parsing; what is in the update or the vector is not looked at.
 * @throws {FrameRefusedError} when the frame is empty, cut short, over a limit, or an unknown kind of sync message.
 */
export function parseFrame(bytes: Uint8Array): InboundFrame {
  if (bytes.byteLength === 0) throw new FrameRefusedError("frame-empty", 0, "no bytes");
  if (bytes.byteLength > LIMITS.maxFrameBytes) {
    throw new FrameRefusedError("frame-too-large", 0, `${bytes.byteLength} bytes exceed the limit of ${LIMITS.maxFrameBytes}`);
  }
  return refusingAs("frame", () => parseMessage(new ByteReader(bytes)));
}

function parseMessage(reader: ByteReader): InboundFrame {
  const outer = reader.varUint();
  switch (outer) {
    case OUTER_SYNC:
      return parseSync(reader);
    case OUTER_AWARENESS: {
      if (reader.left > LIMITS.maxAwarenessBytes + varUintSize(LIMITS.maxAwarenessBytes)) {
        throw new FrameRefusedError("awareness-too-large", reader.pos, `${reader.left} bytes exceed the limit of ${LIMITS.maxAwarenessBytes}`);
      }
      const payload = readVarBytes(reader);
      return { kind: "awareness", payload, trailing: reader.left };
    }
    case OUTER_AUTH:
      return { kind: "auth" };
    case OUTER_QUERY_AWARENESS:
      return { kind: "query-awareness", trailing: reader.left };
    default:
      return { kind: "unknown", outer };
  }
}

function parseSync(reader: ByteReader): InboundFrame {
  const at = reader.pos;
  const inner = reader.varUint();
  switch (inner) {
    case INNER_STEP_1: {
      const stateVector = readVarBytes(reader);
      if (stateVector.byteLength > LIMITS.maxStateVectorBytes) {
        throw new FrameRefusedError("state-vector-too-large", at, `${stateVector.byteLength} bytes exceed the limit of ${LIMITS.maxStateVectorBytes}`);
      }
      return { kind: "sync-step-1", stateVector, trailing: reader.left };
    }
    case INNER_STEP_2:
    case INNER_UPDATE: {
      const update = readVarBytes(reader);
      return { kind: "sync-update", inner, update, trailing: reader.left };
    }
    default:
      throw new FrameRefusedError("sync-inner-unknown", at, `sync message type ${inner}`);
  }
}

/** Asks the client for what lies beyond `stateVector`. */
export function syncStep1Frame(stateVector: Uint8Array): Uint8Array {
  return frameOf([OUTER_SYNC, INNER_STEP_1], stateVector);
}

/** Answers a step 1. The first one makes the client "synced". */
export function syncStep2Frame(update: Uint8Array): Uint8Array {
  return frameOf([OUTER_SYNC, INNER_STEP_2], update);
}

/** Relays changes. */
export function updateFrame(update: Uint8Array): Uint8Array {
  return frameOf([OUTER_SYNC, INNER_UPDATE], update);
}

/** Free bytes that {@link syncFrameInPlace} needs before an update: two numbers and the longest length of a frame. */
export const SYNC_HEAD_ROOM = 2 + varUintSize(LIMITS.maxFrameBytes);

/**
 * A step 2 or an update frame around the update that stands in `bytes` behind `SYNC_HEAD_ROOM` free bytes, written in place: a big one is never copied.
 * Returns a view of `bytes`.
 */
export function syncFrameInPlace(bytes: Uint8Array, isStep2: boolean): Uint8Array {
  const updateBytes = bytes.byteLength - SYNC_HEAD_ROOM;
  const start = SYNC_HEAD_ROOM - 2 - varUintSize(updateBytes);
  bytes[start] = OUTER_SYNC;
  bytes[start + 1] = isStep2 ? INNER_STEP_2 : INNER_UPDATE;
  writeVarUintAt(bytes, start + 2, updateBytes);
  return bytes.subarray(start);
}

/** Presence: `payload` as `encodeAwareness` writes it. */
export function awarenessFrame(payload: Uint8Array): Uint8Array {
  return frameOf([OUTER_AWARENESS], payload);
}

/** Asks the client for every presence state it knows. Both stock providers answer (update laws, W4). */
export function queryAwarenessFrame(): Uint8Array {
  return Uint8Array.of(OUTER_QUERY_AWARENESS);
}

/** "Permission denied" with a reason: both stock providers log it and go on syncing, so it tells those who cannot read text (update laws, W3). */
export function permissionDeniedFrame(reason: string): Uint8Array {
  return frameOf([OUTER_AUTH, 0], new TextEncoder().encode(reason));
}

function frameOf(head: readonly number[], payload: Uint8Array): Uint8Array {
  const bodyStart = head.length + varUintSize(payload.byteLength);
  const frame = new Uint8Array(bodyStart + payload.byteLength);
  frame.set(head);
  writeVarUintAt(frame, head.length, payload.byteLength);
  frame.set(payload, bodyStart);
  return frame;
}
