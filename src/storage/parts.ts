/** Values larger than a row: cut into part rows and joined again, in the order of their row keys. */

/** `bytes` in slices of at most `partBytes`, in order; one empty slice when there are none. The slices share memory with `bytes`. */
export function splitParts(bytes: Uint8Array, partBytes: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let offset = 0; offset < Math.max(1, bytes.byteLength); offset += partBytes) parts.push(bytes.subarray(offset, offset + partBytes));
  return parts;
}

/** The value its parts make; a single part is returned itself. */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}
