/**
 * What the strict reader shows of an update: one mutable view, reused for every struct, fields in numbers.
 * No object is made per struct: a 34 MB vault has 618,000 of them.
 */

/** Content kinds as they stand in the low five bits of a struct's info byte (Yjs update format v1). */
export const GC_REF = 0;
export const DELETED_REF = 1;
export const JSON_REF = 2;
export const BINARY_REF = 3;
export const STRING_REF = 4;
export const EMBED_REF = 5;
export const FORMAT_REF = 6;
export const TYPE_REF = 7;
export const ANY_REF = 8;
export const DOC_REF = 9;
export const SKIP_REF = 10;

/** Bits of the info byte. */
export const HAS_ORIGIN = 0x80;
export const HAS_RIGHT_ORIGIN = 0x40;
export const HAS_PARENT_SUB = 0x20;

/** One struct of an update. Valid only during the visitor call; `bytes` offsets index the update being read. */
export interface StructView {
  /** Whole info byte: flags and content ref. */
  info: number;
  /** `info & 31`: one of the `*_REF` constants. */
  ref: number;
  client: number;
  /** First clock of the struct. */
  clock: number;
  /** Clocks covered, at least 1. */
  length: number;
  /** Byte range of the whole struct, info byte included. */
  start: number;
  end: number;
  /** Offset of the first content byte; content ends at `end`. For GC, Skip and Deleted: where the length varint stands. */
  contentStart: number;
  /** Left origin, or client -1 when absent. */
  originClient: number;
  originClock: number;
  /** Right origin, or client -1 when absent. */
  rightClient: number;
  rightClock: number;
  /** Explicit parent: 0 none written (it is the origin's), 1 a root type by name, 2 an item id. */
  parentKind: 0 | 1 | 2;
  /** Root name, byte range of its UTF-8 (kind 1), else -1. */
  parentNameStart: number;
  parentNameEnd: number;
  /** Parent item (kind 2), else -1. */
  parentClient: number;
  parentClock: number;
  /** Map key, byte range of its UTF-8 when written (only without origins), else -1. */
  subStart: number;
  subEnd: number;
}

/** Called in stream order. Any callback may be left out. */
export interface UpdateVisitor {
  /** A client's section begins: `clock` of its first struct, `structCount` structs (Skips included), first at byte `start`. */
  section?(client: number, clock: number, structCount: number, start: number): void;
  struct?(view: StructView): void;
  /** Byte offset where the delete set begins. */
  deleteSet?(start: number): void;
  /** A client's deletions begin: `rangeCount` ranges follow. */
  deleteClient?(client: number, rangeCount: number): void;
  /** One delete range: clocks `clock` to `clock + length - 1`, as written (neither sorted nor merged for sure). */
  deleteRange?(client: number, clock: number, length: number): void;
}
