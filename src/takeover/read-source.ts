/**
 * Proves an entry whole and makes its outline: its SHA-256 over the parts in order, then one strict reading through a window. The verdict is the one that
 * `readUpdate` gives on the whole bytes, though never more than two parts, a window and the delete set are in memory.
 */
import { LIMITS } from "../limits.ts";
import { ClientsOnce, DeleteRangeReader } from "../update/delete-ranges.ts";
import { DeleteSet, DeleteSetBuilder } from "../update/delete-set.ts";
import { STRUCT_WORK, type Pacer } from "../update/pacer.ts";
import type { ClientRange } from "../update/news.ts";
import { UpdateRefusedError } from "../update/refused.ts";
import { ByteReader } from "../update/varint.ts";
import { SKIP_REF, type StructView } from "../update/visitor.ts";
import { LegacyDamageError, type LegacyEntry, type Sha256 } from "./legacy.ts";
import { PartBytes } from "./source-bytes.ts";
import type { Source, SourceBytes, SourceSection } from "./source.ts";
import { WALK_WINDOW_BYTES, walkRun } from "./struct-walk.ts";

/** Longest section header: three numbers of eight bytes; a reader that has so many bytes fails for no lack of them. */
const MAX_HEADER_BYTES = 24;
/** Longest delete set: what a client and a range take at most, as often as they are allowed. */
const MAX_DELETE_SET_BYTES = 8 + LIMITS.maxClientsPerMessage * 16 + LIMITS.maxDeleteRangesPerUpdate * 16;
/** A struct of a vault takes some 55 bytes on average (34 MB in 618,000 of them). */
const USUAL_STRUCT_BYTES = 64;
const MIN_WINDOW_BYTES = 256;
/** SHA-256 runs at some 400 MB/s; work counts nanoseconds (`pacer.ts`). */
const SHA_WORK_PER_BYTE = 2.5;
/** Root maps that make a vault a vault (compat sheet, 4.4), as UTF-8. */
const VAULT_MAPS = ["meta", "pathToId", "idToText"].map((name) => new TextEncoder().encode(name));

/**
 * Reads `entry` through. An entry of no bytes is a source without sections where its hash says so, and else no update. A section's `end` leaves out Skips at its very end: they hold nothing.
 * @throws {LegacyDamageError} a part is missing, or the checksum differs
 * @throws {UpdateRefusedError} where the strict reader refuses, with its code
 */
export function* readSource(entry: LegacyEntry, sha256: () => Sha256, pacer: Pacer, windowBytes = WALK_WINDOW_BYTES): Generator<null, Source> {
  const bytes = new PartBytes(entry);
  if (entry.sha256 !== null) yield* prove(entry, entry.sha256, bytes, sha256(), pacer);
  if (bytes.byteLength === 0 && entry.sha256 !== null) return { entry, bytes, sections: [], skips: [], deletes: DeleteSet.empty, structs: 0, trailingBytes: 0, touchesVaultMaps: false };
  const outline = new Outline();
  const structsEnd = yield* readSections(bytes, outline, pacer, windowBytes);
  const { deletes, end } = yield* readDeletes(bytes, structsEnd, pacer);
  bytes.forget();
  const trailingBytes = bytes.byteLength - end;
  // Zeroed bytes begin with an empty update; only a hash may say that there is nothing in so many.
  if (entry.sha256 === null && trailingBytes > 0 && outline.structs === 0) throw new UpdateRefusedError("trailing-bytes", end);
  return { entry, bytes, sections: outline.sections, skips: outline.skips, deletes, structs: outline.structs, trailingBytes, touchesVaultMaps: outline.touchesVaultMaps };
}

function* prove(entry: LegacyEntry, expected: string, bytes: PartBytes, sha: Sha256, pacer: Pacer): Generator<null, void> {
  let at = 0;
  for (const size of entry.partSizes) {
    sha.update(bytes.read(at, at + size));
    at += size;
    pacer.spend(size * SHA_WORK_PER_BYTE);
    if (pacer.isDue) yield* pacer.pause();
  }
  if (sha.digest() !== expected) throw new LegacyDamageError(entry.name, `${contextOf(entry)} load failed: sha256 mismatch`);
}

/** What the old server calls the entry when it cannot load it. */
function contextOf(entry: LegacyEntry): string {
  if (entry.kind === "journal") return `journal entry ${Number(/\d+$/.exec(entry.name)?.[0] ?? Number.NaN)}`;
  return entry.kind;
}

/** Collects the facts of a source while its structs go by. */
class Outline {
  readonly sections: SourceSection[] = [];
  readonly skips: ClientRange[] = [];
  structs = 0;
  touchesVaultMaps = false;
  /** Clock after the last struct of the section that is no Skip. */
  end = 0;

  readonly visit = (view: StructView, window: Uint8Array): void => {
    this.structs++;
    if (view.ref === SKIP_REF) this.skips.push({ client: view.client, from: view.clock, to: view.clock + view.length });
    else this.end = view.clock + view.length;
    if (view.parentKind === 1 && !this.touchesVaultMaps) {
      this.touchesVaultMaps = VAULT_MAPS.some((name) => isText(window, view.parentNameStart, view.parentNameEnd, name));
    }
  };
}

/** Returns where the delete set begins. */
function* readSections(bytes: SourceBytes, outline: Outline, pacer: Pacer, windowBytes: number): Generator<null, number> {
  const total = bytes.byteLength;
  let header = headerAt(bytes, 0);
  const sectionCount = header.number();
  let at = header.at;
  if (sectionCount > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", at);
  if (sectionCount * 3 > total - at) throw new UpdateRefusedError("truncated", at);
  const seen = new ClientsOnce(sectionCount);
  for (let section = 0; section < sectionCount; section++) {
    header = headerAt(bytes, at);
    const structCount = header.number();
    const client = header.number();
    const clock = header.number();
    seen.add(client, at);
    const from = header.at;
    if (structCount * 2 > total - from) throw new UpdateRefusedError("too-many-structs", at);
    at = from;
    pacer.spend(STRUCT_WORK);
    if (structCount === 0) continue;
    outline.end = clock;
    // Where the section ends is not known yet, and most are a few structs long.
    const window = Math.min(windowBytes, MIN_WINDOW_BYTES + structCount * USUAL_STRUCT_BYTES);
    at = yield* walkRun(bytes, { client, clock, structCount, from, to: total }, outline.visit, pacer, window);
    outline.sections.push({ client, clock, end: outline.end, structCount, from, to: at });
  }
  return at;
}

/** The delete set, and the offset behind it. What follows there is nobody's: older servers' documents never looked. */
function* readDeletes(bytes: SourceBytes, start: number, pacer: Pacer): Generator<null, { deletes: DeleteSet; end: number }> {
  const reader = new ByteReader(bytes.read(start, Math.min(bytes.byteLength, start + MAX_DELETE_SET_BYTES)));
  const builder = new DeleteSetBuilder();
  const ranges = new DeleteRangeReader(reader, {
    deleteClient: (client, count) => builder.expect(client, count),
    deleteRange: (client, clock, length) => builder.add(client, clock, length),
  });
  try {
    for (;;) {
      const before = reader.pos;
      const isDone = ranges.readSome(pacer.left);
      pacer.spend((reader.pos - before) * 8);
      if (isDone) break;
      yield* pacer.pause();
    }
  } catch (error) {
    if (error instanceof UpdateRefusedError) throw new UpdateRefusedError(error.code, start + error.offset);
    throw error;
  }
  return { deletes: builder.build(), end: start + reader.pos };
}

/** Reads numbers at an offset of the source. */
function headerAt(bytes: SourceBytes, at: number): { readonly at: number; number(): number } {
  const reader = new ByteReader(bytes.read(at, Math.min(bytes.byteLength, at + MAX_HEADER_BYTES)));
  return {
    get at(): number {
      return at + reader.pos;
    },
    number(): number {
      try {
        return reader.varUint();
      } catch (error) {
        if (error instanceof UpdateRefusedError) throw new UpdateRefusedError(error.code, at + error.offset);
        throw error;
      }
    },
  };
}

function isText(window: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (window[start + i] !== text[i]) return false;
  return true;
}
