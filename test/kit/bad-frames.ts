/** Frames that no stock client sends, written byte by byte. */
import * as encoding from "lib0/encoding";

/** Bytes written by `write`. */
export function bytes(write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder();
  write(encoder);
  return encoding.toUint8Array(encoder);
}

/** Varints one after the other. */
export function varints(...values: number[]): Uint8Array {
  return bytes((encoder) => {
    for (const value of values) encoding.writeVarUint(encoder, value);
  });
}

/** A sync frame: inner 0 for a state vector, 1 for a step 2, 2 for an update. */
export function syncFrame(inner: number, payload: Uint8Array): Uint8Array {
  return bytes((encoder) => {
    encoding.writeVarUint(encoder, 0);
    encoding.writeVarUint(encoder, inner);
    encoding.writeVarUint8Array(encoder, payload);
  });
}

/** One presence entry; `state` is JSON text as sent, good or bad. */
export interface RawPresence {
  readonly client: number;
  readonly clock: number;
  readonly state: string;
}

export function awarenessFrame(...entries: readonly RawPresence[]): Uint8Array {
  const payload = bytes((encoder) => {
    encoding.writeVarUint(encoder, entries.length);
    for (const { client, clock, state } of entries) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, clock);
      encoding.writeVarString(encoder, state);
    }
  });
  return bytes((encoder) => {
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarUint8Array(encoder, payload);
  });
}

/** An update of one struct whose content is one `Any` value: `depth` arrays in each other. */
export function nestedAnyUpdate(client: number, depth: number): Uint8Array {
  return bytes((encoder) => {
    for (const value of [1, 1, client, 0]) encoding.writeVarUint(encoder, value); // one client, one struct, its clock
    encoding.writeUint8(encoder, 8); // content Any, no origins
    encoding.writeVarUint(encoder, 1); // the parent is a root
    encoding.writeVarString(encoder, "root");
    encoding.writeVarUint(encoder, 1); // one value
    for (let n = 0; n < depth; n++) {
      encoding.writeUint8(encoder, 117); // array
      encoding.writeVarUint(encoder, 1);
    }
    encoding.writeUint8(encoder, 126); // null
    encoding.writeVarUint(encoder, 0); // no deletions
  });
}

/** An update of one GC struct. */
export function gcUpdate(client: number, clock: number, length: number): Uint8Array {
  return bytes((encoder) => {
    for (const value of [1, 1, client, clock]) encoding.writeVarUint(encoder, value);
    encoding.writeUint8(encoder, 0); // GC
    encoding.writeVarUint(encoder, length);
    encoding.writeVarUint(encoder, 0);
  });
}

/** A state vector that says it has `count` clients, and has them. */
export function vectorOf(count: number): Uint8Array {
  return bytes((encoder) => {
    encoding.writeVarUint(encoder, count);
    for (let n = 0; n < count; n++) {
      encoding.writeVarUint(encoder, 1_000_000 + n);
      encoding.writeVarUint(encoder, 1);
    }
  });
}
