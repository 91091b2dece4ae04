/**
 * The bytes of an entry as if they lay in one piece. At most two parts are in memory: the one being read and the one before or after it, which is
 * what structs that lie across a border need.
 */
import { release } from "../release.ts";
import { LegacyDamageError, type LegacyEntry } from "./legacy.ts";
import type { SourceBytes } from "./source.ts";

const NOTHING = new Uint8Array(0);

interface LoadedPart {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * Reads an entry's parts as they are wanted. A range within one part is a view of it, not a copy.
 * A part that gave way to another is detached when it is the whole of its buffer: an entry must not keep the buffers that it hands out.
 */
export class PartBytes implements SourceBytes {
  readonly byteLength: number;
  readonly #entry: LegacyEntry;
  /** Per part its first byte, and the end of the last one. */
  readonly #starts: Float64Array;
  #recent: LoadedPart | null = null;
  #older: LoadedPart | null = null;
  /** The last answer, when it was put together from several parts. */
  #joined: Uint8Array | null = null;

  constructor(entry: LegacyEntry) {
    this.#entry = entry;
    this.#starts = new Float64Array(entry.partSizes.length + 1);
    let end = 0;
    for (const [index, size] of entry.partSizes.entries()) this.#starts[index + 1] = end += size;
    if (end !== entry.byteLength) throw new LegacyDamageError(entry.name, `${entry.name}: parts hold ${end} bytes, ${entry.byteLength} expected`);
    this.byteLength = end;
  }

  read(from: number, to: number): Uint8Array {
    if (from < 0 || to < from || to > this.byteLength) throw new RangeError(`PartBytes: range ${from} to ${to} of ${this.byteLength} bytes`);
    if (from === to) return NOTHING;
    this.#forgetJoined();
    const starts = this.#starts;
    let index = this.#partAt(from);
    if (to <= starts[index + 1]!) {
      const start = starts[index]!;
      return this.#part(index).subarray(from - start, to - start);
    }
    const joined = new Uint8Array(to - from);
    this.#joined = joined;
    for (let at = from; at < to; index++) {
      const start = starts[index]!;
      const end = Math.min(to, starts[index + 1]!);
      joined.set(this.#part(index).subarray(at - start, end - start), at - from);
      at = end;
    }
    return joined;
  }

  forget(): void {
    this.#forgetJoined();
    forgetPart(this.#recent);
    forgetPart(this.#older);
    this.#recent = null;
    this.#older = null;
  }

  #forgetJoined(): void {
    if (this.#joined !== null) release(this.#joined);
    this.#joined = null;
  }

  /** The part that holds the byte. */
  #partAt(byte: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle]! <= byte) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #part(index: number): Uint8Array {
    if (this.#recent?.index === index) return this.#recent.bytes;
    if (this.#older?.index === index) {
      [this.#recent, this.#older] = [this.#older, this.#recent];
      return this.#recent!.bytes;
    }
    // First, so that two parts and not three are in memory while the new one comes.
    const old = this.#older;
    this.#older = this.#recent;
    this.#recent = null;
    forgetPart(old);
    const bytes = this.#entry.readPart(index);
    const size = this.#entry.partSizes[index]!;
    if (bytes.length !== size) throw new LegacyDamageError(this.#entry.name, `${this.#entry.name}: part ${index} has ${bytes.length} bytes, ${size} expected`);
    this.#recent = { index, bytes };
    return bytes;
  }
}

/** A view of a larger buffer may not be the only one. */
function forgetPart(part: LoadedPart | null): void {
  if (part !== null && part.bytes.byteLength === part.bytes.buffer.byteLength) release(part.bytes);
}
