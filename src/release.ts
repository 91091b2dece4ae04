/**
 * Gives the memory of `bytes` back now instead of at some later collection: an answer of 31 MB would otherwise leave as much again in dead chunks behind it,
 * and a runtime that counts buffers against 128 MB collects them late. The whole buffer behind `bytes` goes, every view of it is empty afterwards.
 * Call it only where nobody else holds the buffer: bytes just read from SQL, a frame just sent.
 */
export function release(bytes: Uint8Array): void {
  // Detaching frees: what the buffer becomes has no bytes (ECMAScript 2024, ArrayBuffer.prototype.transfer).
  if (bytes.buffer instanceof ArrayBuffer && !bytes.buffer.detached) bytes.buffer.transfer(0);
}
