/**
 * Several updates as one, for frames that carry more than one edit. Structs are copied as they are, each client's sections one behind the other:
 * no squash, no cut. One frame loads faster than many and is one transaction in the client (update laws, T7 and T8).
 */
import { DeleteSetBuilder, encodeDeleteSet } from "./delete-set.ts";
import { readUpdate } from "./reader.ts";
import { ByteWriter } from "./varint.ts";
import { SKIP_REF, type StructView, type UpdateVisitor } from "./visitor.ts";

/** Byte ranges of one client's structs, in order, over all updates. */
interface Section {
  readonly clock: number;
  end: number;
  structCount: number;
  /** Flattened triples: which update, first byte, byte behind the last. */
  readonly slices: number[];
}

/**
 * The update that says what `updates` say in this order, or null when one client's clocks do not follow on from update to update:
 * then they must be sent one by one.
 * @throws {UpdateRefusedError} when one of them is not what the strict reader accepts.
 */
export function joinUpdates(updates: readonly Uint8Array[]): Uint8Array | null {
  if (updates.length === 1) return updates[0]!;
  const joiner = new Joiner();
  for (const [index, bytes] of updates.entries()) {
    joiner.begin(index);
    readUpdate(bytes, joiner);
  }
  return joiner.fits ? joiner.write(updates) : null;
}

class Joiner implements UpdateVisitor {
  fits = true;
  readonly #sections = new Map<number, Section>();
  readonly #deletes = new DeleteSetBuilder();
  #update = 0;
  #section: Section | null = null;
  #structBytes = 0;

  begin(index: number): void {
    this.#update = index;
  }

  section(client: number, clock: number): void {
    let section = this.#sections.get(client);
    if (section === undefined) {
      section = { clock, end: clock, structCount: 0, slices: [] };
      this.#sections.set(client, section);
    }
    this.#section = section;
  }

  struct(view: StructView): void {
    const section = this.#section!;
    if (view.ref === SKIP_REF || view.clock !== section.end) this.fits = false;
    section.end = view.clock + view.length;
    section.structCount += 1;
    this.#structBytes += view.end - view.start;
    const { slices } = section;
    const last = slices.length - 3;
    if (last >= 0 && slices[last] === this.#update && slices[last + 2] === view.start) slices[last + 2] = view.end;
    else slices.push(this.#update, view.start, view.end);
  }

  deleteRange(client: number, clock: number, length: number): void {
    this.#deletes.add(client, clock, length);
  }

  write(updates: readonly Uint8Array[]): Uint8Array {
    const deletes = this.#deletes.build();
    const writer = new ByteWriter(this.#structBytes + this.#sections.size * 24 + deletes.rangeCount * 6 + 16);
    writer.varUint(this.#sections.size);
    for (const client of [...this.#sections.keys()].sort((a, b) => b - a)) {
      const { clock, structCount, slices } = this.#sections.get(client)!;
      writer.varUint(structCount);
      writer.varUint(client);
      writer.varUint(clock);
      for (let at = 0; at < slices.length; at += 3) writer.bytes(updates[slices[at]!]!, slices[at + 1], slices[at + 2]);
    }
    encodeDeleteSet(deletes, writer);
    return writer.finish();
  }
}
