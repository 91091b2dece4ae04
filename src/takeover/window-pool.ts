/** Keeps the windows of many cursors within one budget: the one not used for longest gives its window up first. */
import type { StructCursor } from "./struct-cursor.ts";

export class WindowPool {
  readonly #maxBytes: number;
  /** Bytes per cursor that has a window, least recently used first. */
  readonly #windows = new Map<StructCursor, number>();
  #bytes = 0;

  /** @param maxBytes of all windows; a single one may be larger. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of all windows. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Its window is about to take so many bytes; others make room. */
  readonly keep = (cursor: StructCursor, byteLength: number): void => {
    this.#bytes += byteLength - (this.#windows.get(cursor) ?? 0);
    this.#windows.delete(cursor);
    if (byteLength === 0) return;
    this.#windows.set(cursor, byteLength);
    for (const other of this.#windows.keys()) {
      if (this.#bytes <= this.#maxBytes || other === cursor) return;
      // It reports back here that it holds nothing.
      other.drop();
    }
  };

  /** It is in use again. */
  touch(cursor: StructCursor): void {
    const byteLength = this.#windows.get(cursor);
    if (byteLength === undefined) return;
    this.#windows.delete(cursor);
    this.#windows.set(cursor, byteLength);
  }
}
