/**
 * The bytes of a stored value: a `Uint8Array` (often a view of a much larger buffer; compat sheet, 4.2), an `ArrayBuffer` or any other
 * view. Null for everything else. Never a copy.
 */
export function bytesOf(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  // A DataView or another typed array: only what it views, never the buffer behind it.
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return null;
}
