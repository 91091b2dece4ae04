/** An attachment on its way into a room's database. */
import { LIMITS } from "../limits.ts";
import { release } from "../release.ts";

const PART_BYTES = LIMITS.blobPartBytes;

/** The store's side of one upload. */
export interface UploadRoom {
  stage(part: number, data: Uint8Array, atMs: number): void;
  checkQuota(): void;
  publish(tail: { readonly part: number; readonly data: Uint8Array } | null, atMs: number): boolean;
  drop(): void;
}

/** One attachment on its way in. Holds at most one part; full parts go to disk unnamed. */
export class BlobUpload {
  readonly hash: string;
  readonly contentType: string;
  /** Set by the store. */
  room: UploadRoom | null = null;
  /** Id of the parts on disk, null while there are none. */
  id: number | null = null;
  isLost = false;
  readonly #announced: number;
  #received = 0;
  #stagedParts = 0;
  /** The open part; filled again and again, since what is bound to SQL is copied. */
  #buffer: Uint8Array | null = null;
  #openBytes = 0;

  constructor(hash: string, contentType: string, announced: number) {
    this.hash = hash;
    this.contentType = contentType;
    this.#announced = announced;
  }

  /** Bytes received so far. */
  get byteLength(): number {
    return this.#received;
  }

  /** Bytes this upload takes of the quota: what it announced, or what came when that is more. */
  get claimedBytes(): number {
    return Math.max(this.#announced, this.#received);
  }

  /**
   * Takes the next bytes; they are copied before it returns.
   * @throws {BlobQuotaError} when they do not fit, {BlobUploadLostError}, and what the engine throws. Call `drop` then.
   */
  write(bytes: Uint8Array, atMs: number): void {
    this.#received += bytes.byteLength;
    if (this.#received > this.#announced) this.room?.checkQuota();
    for (let at = 0; at < bytes.byteLength; ) {
      // A part goes out when the next byte comes, so that the last one is left for the publication.
      if (this.#openBytes === PART_BYTES) {
        this.room?.stage(this.#stagedParts, this.#open(), atMs);
        this.#stagedParts += 1;
        this.#openBytes = 0;
      }
      const fill = bytes.subarray(at, at + PART_BYTES - this.#openBytes);
      this.#open(fill.byteLength).set(fill, this.#openBytes);
      this.#openBytes += fill.byteLength;
      at += fill.byteLength;
    }
  }

  /**
   * Makes the attachment visible. The caller has checked that what came has the promised length and hash.
   * @returns false when the same content was there already. @throws {BlobUploadLostError}, and what the engine throws. Call `drop` then.
   */
  publish(atMs: number): boolean {
    const tail = this.#openBytes === 0 ? null : { part: this.#stagedParts, data: this.#open() };
    const isNew = this.room?.publish(tail, atMs) ?? false;
    this.room = null;
    this.#giveBack();
    return isNew;
  }

  /** Ends the upload without a trace. May be called twice, and after `publish`. */
  drop(): void {
    this.#giveBack();
    this.room?.drop();
    this.room = null;
  }

  /** A megabyte for each upload would wait for a late collection. */
  #giveBack(): void {
    if (this.#buffer !== null) release(this.#buffer);
    this.#buffer = null;
    this.#openBytes = 0;
  }

  /** The bytes of the open part; with `more`, the whole buffer with room for so many behind them. */
  #open(more?: number): Uint8Array {
    const wanted = this.#openBytes + (more ?? 0);
    const old = this.#buffer;
    if (old === null || old.byteLength < wanted) {
      // What was announced fits at once; else it grows as the bytes come.
      const announced = Math.min(this.#announced, PART_BYTES);
      this.#buffer = new Uint8Array(Math.min(PART_BYTES, Math.max(wanted, announced, (old?.byteLength ?? 0) * 2)));
      if (old !== null) this.#buffer.set(old.subarray(0, this.#openBytes));
    }
    const buffer = this.#buffer ?? new Uint8Array();
    return more === undefined ? buffer.subarray(0, this.#openBytes) : buffer;
  }
}
