/** All structs of a legacy update in the order of its bytes, with no more than a window of them in memory. */
import { STRUCT_WORK, type Pacer } from "../update/pacer.ts";
import { UpdateRefusedError } from "../update/refused.ts";
import type { StructView } from "../update/visitor.ts";
import type { Source, SourceBytes } from "./source.ts";
import { StructCursor, type StructRun } from "./struct-cursor.ts";

/** Window of a single pass, bytes. */
export const WALK_WINDOW_BYTES = 256 * 1024;

/** Sees one struct; the offsets of `view` index `window`. Both are valid only during the call. */
export type StructVisit = (view: StructView, window: Uint8Array) => void;

/**
 * Visits every struct of `source`, Skips included, section by section.
 * @throws {UpdateRefusedError} the bytes are no longer those that were read first
 * @throws {LegacyDamageError}
 */
export function* walkStructs(source: Source, visit: StructVisit, pacer: Pacer, windowBytes = WALK_WINDOW_BYTES): Generator<null, void> {
  for (const section of source.sections) {
    const end = yield* walkRun(source.bytes, section, visit, pacer, windowBytes);
    if (end !== section.to) throw new UpdateRefusedError("trailing-bytes", end);
  }
  source.bytes.forget?.();
}

/** Visits the structs of one client and returns the offset behind the last one. @throws {UpdateRefusedError} @throws {LegacyDamageError} */
export function* walkRun(bytes: SourceBytes, run: StructRun, visit: StructVisit, pacer: Pacer, windowBytes = WALK_WINDOW_BYTES): Generator<null, number> {
  const cursor = new StructCursor(bytes, run, windowBytes);
  for (;;) {
    const view = cursor.peek();
    if (view === null) return cursor.at;
    visit(view, cursor.window);
    pacer.spend(view.end - view.start + STRUCT_WORK);
    cursor.advance();
    if (pacer.isDue) yield* pacer.pause();
  }
}
