/**
 * One update from many chunks by copying byte ranges (update laws, A4): no struct is read except where a reader knows the
 * first part of a run. Each chunk is needed once, one at a time, so serving needs the frame and a chunk in memory, no more.
 */

import type { ChunkRun } from "./chunk.ts";
import { cutStruct } from "./cut.ts";
import { readRun } from "./reader.ts";
import { ByteWriter, varUintSize, writeVarUintAt } from "./varint.ts";
import { SKIP_REF, type StructView } from "./visitor.ts";

/** A chunk as the index knows it: `id` is whatever the caller finds its bytes by. */
export interface ChunkIndex {
  id: number;
  runs: Iterable<ChunkRun>;
}

/** End of the clocks a reader has of a client, 0 for none. */
export type Known = (client: number) => number;

export interface FramePlan {
  /** Chunks needed, in the order `create` asks for them. */
  readonly chunkIds: readonly number[];
  /** Bytes of the frame without the delete set, never too few; exact when no run is partly known. */
  readonly byteLength: number;
  /** No structs at all: the frame would carry the delete set only. */
  readonly isEmpty: boolean;
  /**
   * Builds the update. Each chunk is read once and not held.
   * @param deleteSetBytes an encoded delete set, put at the end as it is (one zero byte: none)
   * @param headRoom bytes left free before the update, for a frame's head
   * @param done called with each chunk when it is not needed any more
   * @throws whatever `readChunk` throws; {UpdateRefusedError} when a partly known run is damaged
   */
  create(deleteSetBytes: Uint8Array, readChunk: (id: number) => Uint8Array, headRoom?: number, done?: (id: number, bytes: Uint8Array) => void): Uint8Array;
}

/** One run, or the rest of it from clock `from` on, and where it goes. */
interface Piece {
  run: ChunkRun;
  from: number;
  /** Clocks missing between the piece before and this one, 0 for none. */
  skip: number;
  /** Reserved place in the frame, Skip included, and what is used of it. */
  offset: number;
  reserved: number;
  used: number;
  structCount: number;
}

interface Section {
  client: number;
  pieces: Piece[];
  /** Reserved place of the section header. */
  offset: number;
  reserved: number;
}

/** A rebuilt struct gains at most an origin (two varints) over the one it was cut from. */
const CUT_SLACK_BYTES = 24;

/**
 * Plans the frame that brings a reader what it lacks of these chunks. Clocks that several chunks hold are taken from the
 * first, holes between runs of one client become Skips, clients come in descending order.
 */
export function planFrame(chunks: readonly ChunkIndex[], known: Known): FramePlan {
  const { sections, piecesOf } = selectPieces(chunks, known);
  const byteLength = layOut(sections);
  return {
    chunkIds: [...piecesOf.keys()],
    byteLength,
    isEmpty: sections.length === 0,
    create: (deleteSetBytes, readChunk, headRoom = 0, done = () => undefined) => fill(sections, piecesOf, byteLength, deleteSetBytes, readChunk, headRoom, done),
  };
}

/**
 * Groups consecutive chunks into frames of at most `maxFrameBytes` (more only when one chunk alone is larger), in order of
 * the chunks and at least one. To be sent last first, the delete set in the first, which closes: a client holds the others
 * pending and integrates everything in the transaction of the closing one, so it neither shows a state that never was nor
 * damages formatted text (update laws, T7, T8, A4).
 */
export function planCausalFrames(chunks: readonly ChunkIndex[], known: Known, maxFrameBytes: number): FramePlan[] {
  const groups: ChunkIndex[][] = [];
  let group: ChunkIndex[] = [];
  let groupBytes = 0;
  for (const chunk of chunks) {
    const bytes = planFrame([chunk], known).byteLength;
    if (bytes <= EMPTY_FRAME_BYTES) continue;
    // Each chunk's own plan counts its section headers, so the sum bounds the group's frame.
    if (group.length > 0 && groupBytes + bytes > maxFrameBytes) {
      groups.push(group);
      group = [];
      groupBytes = 0;
    }
    group.push(chunk);
    groupBytes += bytes;
  }
  groups.push(group);
  return groups.map((members) => planFrame(members, known));
}

const EMPTY_FRAME_BYTES = 1;

function selectPieces(chunks: readonly ChunkIndex[], known: Known): { sections: Section[]; piecesOf: Map<number, Piece[]> } {
  const found: { run: ChunkRun; chunk: number }[] = [];
  for (const [chunk, { runs }] of chunks.entries()) {
    for (const run of runs) if (run.end > known(run.client)) found.push({ run, chunk });
  }
  found.sort((a, b) => b.run.client - a.run.client || a.run.clock - b.run.clock || a.chunk - b.chunk);

  const sections: Section[] = [];
  const byChunk: Piece[][] = chunks.map(() => []);
  let section: Section | null = null;
  let end = 0;
  for (const { run, chunk } of found) {
    if (section === null || section.client !== run.client) {
      section = { client: run.client, pieces: [], offset: 0, reserved: 0 };
      sections.push(section);
      end = known(run.client);
    }
    if (run.end <= end) continue;
    const from = Math.max(run.clock, end);
    // A section says its first clock itself; only later holes need a Skip.
    const skip = section.pieces.length === 0 ? 0 : from - end;
    const piece = { run, from, skip, offset: 0, reserved: 0, used: 0, structCount: run.structCount };
    section.pieces.push(piece);
    byChunk[chunk]!.push(piece);
    end = run.end;
  }
  const piecesOf = new Map<number, Piece[]>();
  for (const [chunk, pieces] of byChunk.entries()) {
    if (pieces.length > 0) piecesOf.set(chunks[chunk]!.id, pieces);
  }
  return { sections, piecesOf };
}

/** Gives every header and piece its place and returns where the last ends. */
function layOut(sections: readonly Section[]): number {
  let offset = varUintSize(sections.length);
  for (const section of sections) {
    section.offset = offset;
    section.reserved = headerSize(section);
    offset += section.reserved;
    for (const piece of section.pieces) {
      piece.offset = offset;
      piece.reserved = (piece.skip === 0 ? 0 : 1 + varUintSize(piece.skip)) + piece.run.byteLength + (isPart(piece) ? CUT_SLACK_BYTES : 0);
      offset += piece.reserved;
    }
  }
  return offset;
}

function fill(
  sections: readonly Section[],
  piecesOf: ReadonlyMap<number, Piece[]>,
  byteLength: number,
  deleteSetBytes: Uint8Array,
  readChunk: (id: number) => Uint8Array,
  headRoom: number,
  done: (id: number, bytes: Uint8Array) => void,
): Uint8Array {
  const whole = new Uint8Array(headRoom + byteLength + deleteSetBytes.length);
  const frame = whole.subarray(headRoom);
  for (const [id, pieces] of piecesOf) {
    const bytes = readChunk(id);
    for (const piece of pieces) place(piece, bytes, frame);
    done(id, bytes);
  }
  let end = writeVarUintAt(frame, 0, sections.length);
  for (const section of sections) {
    // Only parts use less than was reserved; everything behind one then moves towards the front.
    end = writeHeader(section, frame, end);
    for (const piece of section.pieces) {
      if (piece.offset !== end) frame.copyWithin(end, piece.offset, piece.offset + piece.used);
      end += piece.used;
    }
  }
  frame.set(deleteSetBytes, end);
  end += deleteSetBytes.length;
  // A frame may wait in a send queue: do not hold twice its bytes there.
  return end < frame.length / 2 ? whole.slice(0, headRoom + end) : whole.subarray(0, headRoom + end);
}

function place(piece: Piece, chunk: Uint8Array, frame: Uint8Array): void {
  const { run } = piece;
  let at = piece.offset;
  if (piece.skip !== 0) {
    frame[at] = SKIP_REF;
    at = writeVarUintAt(frame, at + 1, piece.skip);
  }
  if (isPart(piece)) {
    const rest = cutRun(chunk, run, piece.from);
    frame.set(rest.head, at);
    at += rest.head.length;
    frame.set(chunk.subarray(rest.tailStart, run.offset + run.byteLength), at);
    at += run.offset + run.byteLength - rest.tailStart;
    piece.structCount = rest.structCount;
  } else {
    frame.set(chunk.subarray(run.offset, run.offset + run.byteLength), at);
    at += run.byteLength;
    piece.structCount = run.structCount;
  }
  piece.used = at - piece.offset;
}

/** The run from clock `from` on: the struct that holds it, cut (`head`, empty when one begins there), then the bytes behind. */
function cutRun(chunk: Uint8Array, run: ChunkRun, from: number): { head: Uint8Array; tailStart: number; structCount: number } {
  const writer = new ByteWriter();
  let before = 0;
  let tailStart = run.offset;
  readRun(chunk, run.offset, run.client, run.clock, run.structCount, {
    struct(view: StructView) {
      if (view.clock >= from) return;
      before++;
      tailStart = view.end;
      if (view.clock + view.length > from) cutStruct(view, chunk, from - view.clock, writer);
    },
  });
  const isCut = writer.length > 0;
  return { head: writer.finish(), tailStart, structCount: run.structCount - before + (isCut ? 1 : 0) };
}

function isPart(piece: Piece): boolean {
  return piece.from > piece.run.clock;
}

function structCountOf(section: Section): number {
  let count = 0;
  for (const piece of section.pieces) count += piece.structCount + (piece.skip === 0 ? 0 : 1);
  return count;
}

/** Before `fill` a part counts all structs of its run, so what is reserved is never too little. */
function headerSize(section: Section): number {
  return varUintSize(structCountOf(section)) + varUintSize(section.client) + varUintSize(section.pieces[0]!.from);
}

function writeHeader(section: Section, frame: Uint8Array, offset: number): number {
  let at = writeVarUintAt(frame, offset, structCountOf(section));
  at = writeVarUintAt(frame, at, section.client);
  return writeVarUintAt(frame, at, section.pieces[0]!.from);
}
