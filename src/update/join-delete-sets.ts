/**
 * Encoded delete sets as one, without decoding what is only passed on: a room sends its whole delete set to every client that connects, half a megabyte
 * of a 31 MB vault (update laws, W5), and taking it apart costs more than all the rest of such an answer.
 */
import type { DeleteSet } from "./delete-set.ts";
import { UpdateRefusedError } from "./refused.ts";
import { ByteReader, ByteWriter } from "./varint.ts";

/** The ranges of one client inside an encoded delete set. */
interface Section {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

/**
 * The union of `stored` and `more`, encoded with clients descending.
 * @param stored encoded canonical sets; where several hold one client, its ranges ascend from set to set and do not touch
 * @throws {UpdateRefusedError} when one of `stored` is no delete set
 */
export function joinDeleteSets(stored: readonly Uint8Array[], more: DeleteSet): Uint8Array {
  const sections = new Map<number, Section[]>();
  let byteLength = 16;
  for (const bytes of stored) {
    byteLength += bytes.length;
    findSections(bytes, sections);
  }
  const clients = Float64Array.from(new Set([...sections.keys(), ...more.clients()])).sort();
  const writer = new ByteWriter(byteLength + more.rangeCount * 12 + clients.length * 2);
  const scratch = new ByteWriter();
  writer.varUint(clients.length);
  for (let at = clients.length - 1; at >= 0; at--) {
    const client = clients[at]!;
    const mine = sections.get(client) ?? [];
    const ranges = more.ranges(client);
    writer.varUint(client);
    if (ranges === undefined) {
      writer.varUint(mine.reduce((sum, section) => sum + section.count, 0));
      for (const { bytes, start, end } of mine) writer.bytes(bytes, start, end);
    } else {
      // How many ranges come out is known only afterwards.
      scratch.reset();
      writer.varUint(merge(mine, ranges, scratch));
      writer.bytes(scratch.finish());
    }
  }
  return writer.finish();
}

function findSections(bytes: Uint8Array, sections: Map<number, Section[]>): void {
  const reader = new ByteReader(bytes);
  for (let clients = reader.varUint(); clients > 0; clients--) {
    const client = reader.varUint();
    const count = reader.varUint();
    const start = reader.pos;
    let pos = start;
    let numbers = 2 * count;
    while (numbers > 0 && pos < bytes.length) if (bytes[pos++]! < 0x80) numbers--;
    if (numbers > 0) throw new UpdateRefusedError("truncated", pos);
    reader.skip(pos - start);
    const list = sections.get(client);
    if (list === undefined) sections.set(client, [{ bytes, start, end: pos, count }]);
    else list.push({ bytes, start, end: pos, count });
  }
  if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);
}

/** Writes the union of stored ranges and [start, end) pairs, both ascending. Returns how many ranges it wrote. */
function merge(sections: readonly Section[], pairs: Float64Array, out: ByteWriter): number {
  let count = 0;
  let openStart = -1;
  let openEnd = -1;
  const add = (start: number, end: number): void => {
    if (openStart !== -1 && start <= openEnd) {
      // Ranges that touch are one range.
      if (end > openEnd) openEnd = end;
      return;
    }
    if (openStart !== -1) {
      out.varUint(openStart);
      out.varUint(openEnd - openStart);
      count++;
    }
    openStart = start;
    openEnd = end;
  };
  let at = 0;
  for (const section of sections) {
    const reader = new ByteReader(section.bytes, section.start, section.end);
    for (let left = section.count; left > 0; left--) {
      const start = reader.varUint();
      const end = start + reader.varUint();
      for (; at < pairs.length && pairs[at]! < start; at += 2) add(pairs[at]!, pairs[at + 1]!);
      add(start, end);
    }
    if (reader.left > 0) throw new UpdateRefusedError("trailing-bytes", reader.pos);
  }
  for (; at < pairs.length; at += 2) add(pairs[at]!, pairs[at + 1]!);
  if (openStart !== -1) {
    out.varUint(openStart);
    out.varUint(openEnd - openStart);
    count++;
  }
  return count;
}
