/** Turns the part of a source that could not go out into updates, so that it can be kept until what it waits for comes. */
import { cutStruct } from "../update/cut.ts";
import { ByteWriter } from "../update/varint.ts";
import { SKIP_REF, type StructView } from "../update/visitor.ts";
import type { Source, SourceSection } from "./source.ts";
import { StructCursor } from "./struct-cursor.ts";
import { WALK_WINDOW_BYTES } from "./struct-walk.ts";

/** Structs of a source that cannot go out. */
export interface Blocked {
  readonly client: number;
  /** First clock the source has beyond what is stored, and the clock after its last. */
  readonly from: number;
  readonly to: number;
  /** What the first of them waits for; of `client` itself when clocks are missing before `from`. */
  readonly waitsFor: { readonly client: number; readonly clock: number };
}

/**
 * What is blocked, as updates of one section each and at most `maxBytes`, unless one struct is larger: in the order of their clocks, gaps inside as Skips.
 * @throws {UpdateRefusedError} the bytes are no longer those that were read first
 * @throws {LegacyDamageError}
 */
export function* blockedUpdates(source: Source, blocked: readonly Blocked[], maxBytes: number): Generator<Uint8Array, void> {
  const sections = new Map(source.sections.map((section) => [section.client, section]));
  for (const each of blocked) {
    const section = sections.get(each.client);
    if (section !== undefined) yield* sectionUpdates(source, section, each.from, each.to, maxBytes);
  }
  source.bytes.forget?.();
}

function* sectionUpdates(source: Source, section: SourceSection, from: number, to: number, maxBytes: number): Generator<Uint8Array, void> {
  const cursor = new StructCursor(source.bytes, section, WALK_WINDOW_BYTES);
  const piece = new PieceWriter(section.client);
  for (let view = cursor.peek(); view !== null && view.clock < to; view = cursor.peek()) {
    if (view.clock + view.length > from) {
      if (piece.byteLengthWith(view) > maxBytes && !piece.isEmpty) yield piece.take();
      piece.add(view, cursor.window, Math.max(0, from - view.clock));
    }
    cursor.advance();
  }
  if (!piece.isEmpty) yield piece.take();
}

/** Most bytes around the structs of an update of one section, and what a cut one may grow by. */
const HEAD_BYTES = 48;

/** Structs of one client on their way into one update. */
class PieceWriter {
  readonly #client: number;
  readonly #body = new ByteWriter(4_096);
  #clock = 0;
  /** Up to the last struct that is no Skip: those after it count once something follows them. */
  #structCount = 0;
  #length = 0;
  #openSkips = 0;

  constructor(client: number) {
    this.#client = client;
  }

  get isEmpty(): boolean {
    return this.#structCount === 0;
  }

  byteLengthWith(view: StructView): number {
    return this.#body.length + (view.end - view.start) + HEAD_BYTES;
  }

  add(view: StructView, window: Uint8Array, offset: number): void {
    const isSkip = view.ref === SKIP_REF;
    if (isSkip && this.#structCount === 0) return;
    if (this.#structCount === 0) this.#clock = view.clock + offset;
    cutStruct(view, window, offset, this.#body);
    if (isSkip) {
      this.#openSkips++;
      return;
    }
    this.#structCount += this.#openSkips + 1;
    this.#openSkips = 0;
    this.#length = this.#body.length;
  }

  take(): Uint8Array {
    const writer = new ByteWriter(this.#length + 32);
    writer.byte(1);
    writer.varUint(this.#structCount);
    writer.varUint(this.#client);
    writer.varUint(this.#clock);
    writer.bytes(this.#body.finish(), 0, this.#length);
    writer.byte(0);
    this.#body.reset();
    this.#structCount = 0;
    this.#openSkips = 0;
    this.#length = 0;
    return writer.finish();
  }
}
