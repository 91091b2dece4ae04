/** Bytes in parts, as both layouts keep them. */

/** What a value of the platform's storage may weigh; above it a write fails (compat sheet, 4.2). The local runtime takes more, so the stand-in checks. */
const MAX_VALUE_BYTES = 2 * 1024 * 1024;

/** The platform's own words. @throws when a value of this size cannot be stored */
export function assertStorable(byteLength: number): void {
  if (byteLength > MAX_VALUE_BYTES) throw new Error("string or blob too big: SQLITE_TOOBIG");
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** The bytes of a stored value. @throws when it is none */
export function bytesOf(value: unknown, key: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new Error(`invalid binary payload for ${key}`);
}

export function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, at) => byte === b[at]);
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function sha256(bytes: Uint8Array): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)));
}
