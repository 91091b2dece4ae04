/** The frames of the y-protocols wire that the bench needs, read and written by hand so that the client costs next to nothing. */

/** Appends `value` as a lib0 var-uint. */
function pushVarUint(out: number[], value: number): void {
  let rest = value;
  while (rest > 127) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
}

/** Reads a lib0 var-uint at `at`. */
export function readVarUint(bytes: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  let factor = 1;
  for (let next = at; next < bytes.length; next++) {
    const byte = bytes[next] ?? 0;
    value += (byte & 127) * factor;
    if (byte < 128) return { value, next: next + 1 };
    factor *= 128;
  }
  throw new Error("wire: a number runs past the end of its frame");
}

function framed(head: readonly number[], body: Uint8Array): Uint8Array {
  const prefix = [...head];
  pushVarUint(prefix, body.length);
  const out = new Uint8Array(prefix.length + body.length);
  out.set(prefix);
  out.set(body, prefix.length);
  return out;
}

export const step1Frame = (vector: Uint8Array): Uint8Array => framed([0, 0], vector);
export const step2Frame = (update: Uint8Array): Uint8Array => framed([0, 1], update);
export const updateFrame = (update: Uint8Array): Uint8Array => framed([0, 2], update);

/** The state vector of an empty document. */
export const EMPTY_VECTOR: Uint8Array = new Uint8Array([0]);

/** The answer of a provider without presence to a type 3 query: an awareness update of no states. */
export const NO_AWARENESS: Uint8Array = new Uint8Array([1, 1, 0]);

/** An awareness frame of one state. */
export function awarenessFrame(client: number, clock: number, state: unknown): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(state));
  const head: number[] = [1];
  pushVarUint(head, client);
  pushVarUint(head, clock);
  pushVarUint(head, json.length);
  const body = new Uint8Array(head.length + json.length);
  body.set(head);
  body.set(json, head.length);
  return framed([1], body);
}

/** What one binary frame is. `body` is a view of the frame. */
export type Frame =
  | { kind: "step1" | "step2" | "update" | "awareness"; body: Uint8Array }
  | { kind: "query" }
  | { kind: "other" };

/** @throws when the frame is cut short. */
export function readFrame(bytes: Uint8Array): Frame {
  const outer = bytes[0];
  if (outer === 3) return { kind: "query" };
  if (outer === 1) return { kind: "awareness", body: bodyAt(bytes, 1) };
  if (outer !== 0) return { kind: "other" };
  const kind = bytes[1] === 0 ? "step1" : bytes[1] === 1 ? "step2" : "update";
  return { kind, body: bodyAt(bytes, 2) };
}

function bodyAt(bytes: Uint8Array, at: number): Uint8Array {
  const { value, next } = readVarUint(bytes, at);
  return bytes.subarray(next, next + value);
}
