/**
 * A place among the structs of one client, read through a window that slides over bytes which are never in memory as a whole.
 * Reading is the strict reader's own: what it refuses is refused here with the same code, except for the end of the window.
 */
import { release } from "../release.ts";
import { beginSection, newView, readStructs } from "../update/reader.ts";
import { UpdateRefusedError } from "../update/refused.ts";
import { ByteReader } from "../update/varint.ts";
import type { StructView, UpdateVisitor } from "../update/visitor.ts";
import type { SourceBytes } from "./source.ts";

/** Structs of one client that stand side by side. */
export interface StructRun {
  readonly client: number;
  /** Clock of the first one. */
  readonly clock: number;
  readonly structCount: number;
  /** Byte range in which they lie; they may end before its end. */
  readonly from: number;
  readonly to: number;
}

/** Told before each reading how many bytes a cursor's window takes with it, and 0 when it was given up. */
export type WindowKeeper = (cursor: StructCursor, byteLength: number) => void;

/** A window is filled in pieces of this size, so that a large one does not exist twice where it goes across parts. */
const COPY_BYTES = 256 * 1024;
const EMPTY_WINDOW = new Uint8Array(0);
const NO_VISITOR: UpdateVisitor = {};

/** Steps through a run: `peek()` shows the struct it stands at, `advance()` goes behind it. */
export class StructCursor {
  /** The window: what the offsets of the view shown last index. Another buffer after each `peek`, possibly. */
  window: Uint8Array = EMPTY_WINDOW;
  readonly #bytes: SourceBytes;
  readonly #run: StructRun;
  readonly #windowBytes: number;
  readonly #keeper: WindowKeeper | null;
  /** Only with a window, as there may be many cursors without one. */
  #view: StructView | null = null;
  /** The view shows the struct the cursor stands at. */
  #isRead = false;
  #left: number;
  #clock: number;
  /** Offset in the source of the window's first byte, and in the window of the struct the cursor stands at. */
  #base: number;
  #offset = 0;
  #reader: ByteReader | null = null;
  #buffer: Uint8Array<ArrayBuffer> | null = null;

  /** @param windowBytes size of the window as long as each struct fits into it; doubled for one that does not. */
  constructor(bytes: SourceBytes, run: StructRun, windowBytes: number, keeper: WindowKeeper | null = null) {
    this.#bytes = bytes;
    this.#run = run;
    this.#windowBytes = Math.max(1, windowBytes);
    this.#keeper = keeper;
    this.#left = run.structCount;
    this.#clock = run.clock;
    this.#base = run.from;
  }

  /** Offset in the source of the struct the cursor stands at, or behind the last one. */
  get at(): number {
    return this.#base + this.#offset;
  }

  /**
   * The struct the cursor stands at, null behind the last one. Valid until the cursor is moved or loses its window.
   * @throws {UpdateRefusedError} with an offset in the source
   * @throws {LegacyDamageError}
   */
  peek(): StructView | null {
    if (this.#isRead) return this.#view;
    if (this.#left === 0) return null;
    if (this.#reader === null) this.#load(this.#windowBytes);
    for (;;) {
      const reader = this.#reader!;
      const view = this.#view!;
      beginSection(view, this.#run.client, this.#clock);
      try {
        readStructs(reader, view, 1, Infinity, NO_VISITOR);
        this.#isRead = true;
        return view;
      } catch (error) {
        if (!(error instanceof UpdateRefusedError)) throw error;
        if (error.code !== "truncated" || this.#base + reader.end >= this.#run.to) throw new UpdateRefusedError(error.code, this.#base + error.offset);
        // Only the window's end: begin it at this struct, or when it does already, make it larger.
        this.#load(this.#offset > 0 ? this.#windowBytes : reader.end * 2);
      }
    }
  }

  /** Goes behind the struct that `peek` showed. */
  advance(): void {
    const view = this.#view!;
    this.#isRead = false;
    this.#left--;
    this.#clock = view.clock + view.length;
    this.#offset = view.end;
    if (this.#left === 0) this.drop();
  }

  /** Gives the window up; the next `peek` reads it again. */
  drop(): void {
    this.#isRead = false;
    this.#base += this.#offset;
    this.#offset = 0;
    this.#reader = null;
    this.#view = null;
    if (this.#buffer === null) return;
    release(this.#buffer);
    this.#buffer = null;
    this.window = EMPTY_WINDOW;
    this.#keeper?.(this, 0);
  }

  #load(size: number): void {
    this.#base += this.#offset;
    this.#offset = 0;
    const byteLength = Math.min(size, this.#run.to - this.#base);
    let buffer = this.#buffer;
    if (buffer !== null && (buffer.length < byteLength || buffer.length > Math.max(byteLength, this.#windowBytes))) {
      release(buffer);
      buffer = null;
    }
    this.#buffer = null;
    this.#keeper?.(this, buffer?.length ?? byteLength);
    this.#buffer = buffer ?? new Uint8Array(byteLength);
    this.#view ??= newView();
    // Copied, because others read from the same parts before this window is done.
    for (let at = 0; at < byteLength; at += COPY_BYTES) {
      this.#buffer.set(this.#bytes.read(this.#base + at, this.#base + Math.min(byteLength, at + COPY_BYTES)), at);
    }
    this.window = this.#buffer.subarray(0, byteLength);
    this.#reader = new ByteReader(this.window);
  }
}
