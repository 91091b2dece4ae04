import { createHash } from "node:crypto";
import type { LegacyEntry, Sha256 } from "../../src/takeover/legacy.ts";
import { readSource } from "../../src/takeover/read-source.ts";
import type { Source } from "../../src/takeover/source.ts";
import { Pacer, withoutPauses } from "../../src/update/pacer.ts";
import type { Random } from "../kit/random.ts";

export interface MemoryEntry extends LegacyEntry {
  /** Every buffer that was handed out. */
  readonly handedOut: ArrayBuffer[];
  /** Parts read so far. */
  reads: number;
}

/** An entry over bytes in memory, in parts of these sizes. Hands out copies, or views of larger buffers. */
export function memoryEntry(update: Uint8Array, partSizes: readonly number[] = [update.length], options: { sha256?: string | null; views?: boolean } = {}): MemoryEntry {
  const starts = partSizes.map((_, index) => partSizes.slice(0, index).reduce((sum, size) => sum + size, 0));
  // Views are of a larger buffer: a part that is the whole of one may be detached by its reader.
  const larger = new Uint8Array(update.length + 2);
  larger.set(update, 1);
  // As older servers stored them: a part is a piece of something larger.
  const whole = new Uint8Array(update.length + 2);
  whole.set(update, 1);
  const entry: MemoryEntry = {
    kind: "journal",
    name: "document:journal:manifest:7",
    isLive: true,
    byteLength: update.length,
    partSizes,
    sha256: options.sha256 === undefined ? sha256Of(update) : options.sha256,
    keys: ["document:journal:manifest:7"],
    handedOut: [],
    reads: 0,
    readPart(part) {
      entry.reads += 1;
      const start = starts[part]!;
      const end = start + partSizes[part]!;
      if (options.views === true) return larger.subarray(start + 1, end + 1);
      const copy = update.slice(start, end);
      entry.handedOut.push(copy.buffer);
      return copy;
    },
  };
  return entry;
}

/** Random sizes of parts, none empty, with a sum of `byteLength`. */
export function randomParts(random: Random, byteLength: number, most = byteLength): number[] {
  const sizes: number[] = [];
  for (let left = byteLength; left > 0; ) {
    const size = Math.min(left, random.int(1, Math.max(1, most)));
    sizes.push(size);
    left -= size;
  }
  return sizes;
}

export function nodeSha256(): Sha256 {
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Reads an entry, or plain bytes, through. */
export function sourceOf(entry: LegacyEntry | Uint8Array, windowBytes?: number): Source {
  return withoutPauses(readSource(entry instanceof Uint8Array ? memoryEntry(entry) : entry, nodeSha256, new Pacer(Infinity), windowBytes));
}
