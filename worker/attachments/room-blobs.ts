/**
 * Attachments inside a room object: `/__yaos/blobs/...`, reached from the Worker only. Uses the object's database and nothing else of the room, so an
 * attachment never makes the room read its vault.
 */
import { crc32 } from "node:zlib";
import { LIMITS } from "../../src/limits.ts";
import type { Sql } from "../../src/ports.ts";
import { release } from "../../src/release.ts";
import { BlobQuotaError, BlobUploadLostError, DamagedBlobError } from "../../src/storage/blob-errors.ts";
import { type BlobInfo, BlobStore } from "../../src/storage/blob-store.ts";
import type { BlobUpload } from "../../src/storage/blob-upload.ts";
import { readTombstone } from "../../src/storage/tombstone.ts";
import type { Env } from "../env.ts";
import { readJsonBody } from "../json-body.ts";
import { blobBackend, blobQuotaBytes } from "./backend.ts";
import { blobError, contentAnswer, emptyAnswer, isHash } from "./blob-answer.ts";
import { entityTag, planRead } from "./read-plan.ts";
import { drainBody, takeBody } from "./take-body.ts";

const PATH = "/__yaos/blobs/";
/** Hashes of one question, in JSON. */
const MAX_QUESTION_BYTES = 64 * 1024;

/** What debug tells about a room's attachments. Counts and bytes are those in the room's database; R2 is not asked. */
export interface BlobReport {
  /** Where new attachments go; `none` when they are refused with `attachments_unavailable`. */
  readonly backend: "r2" | "sql" | "none";
  readonly quotaBytes: number;
  readonly count: number;
  readonly usedBytes: number;
  readonly damaged: number;
  readonly uploads: number;
  /** ISO time of the first use of R2, or null. */
  readonly r2UsedAt: string | null;
}

/** What the object tells its attachments. */
export interface BlobHost {
  /** Whether an older server's vault lies in this object: that server kept attachments in R2, so this vault may have some there. */
  readonly isForeign: () => boolean;
  /** Whether this device may still write here, asked when all of its upload came. */
  readonly mayStillWrite: (device: string) => Promise<boolean>;
}

const instances = new WeakMap<Sql, RoomBlobs>();

/** The attachments of the object whose database this is. */
export function roomBlobs(sql: Sql, host: BlobHost): RoomBlobs {
  let blobs = instances.get(sql);
  if (blobs === undefined) {
    blobs = new RoomBlobs(sql, host);
    instances.set(sql, blobs);
  }
  return blobs;
}

/** The room was erased, or begins anew: ends the uploads and reads under way. Requests from now on come with another `sql`. */
export function endRoomBlobs(sql: Sql): void {
  instances.get(sql)?.end();
}

export function isBlobPath(pathname: string): boolean {
  return pathname.startsWith(PATH);
}

export class RoomBlobs {
  readonly store: BlobStore;
  readonly #sql: Sql;
  readonly #host: BlobHost;
  /** Answers under way. */
  readonly #writers = new Set<WritableStreamDefaultWriter<Uint8Array>>();
  #isForeign: boolean | null = null;
  #isOver = false;

  constructor(sql: Sql, host: BlobHost) {
    this.store = new BlobStore(sql, (bytes) => crc32(bytes));
    this.#sql = sql;
    this.#host = host;
  }

  end(): void {
    this.#isOver = true;
    this.store.end();
    for (const writer of this.#writers) void breakOff(writer);
  }

  /** Whether attachments of this vault lie in R2, or may lie there. */
  get mayNeedBucket(): boolean {
    // Until the takeover: then the note says whether there are any.
    if (this.#isForeign !== false) this.#isForeign = this.#host.isForeign();
    return this.#isForeign || this.store.r2UsedAtMs !== null;
  }

  /**
   * `POST exists {hashes}` -> `{present}`; `POST r2-used` -> `{since}`, another one after an erasure; `GET <hash>`;
   * `PUT <hash>?quota=<bytes>&length=<bytes or empty>&device=<id, or empty for the owner>`.
   * `?auto=1`: the install has no bucket and did not choose the database by name, so a vault that may have attachments in R2 is refused here.
   */
  async fetch(request: Request, url: URL): Promise<Response> {
    const name = url.pathname.slice(PATH.length);
    const call = `${request.method} ${isHash(name) ? "hash" : name}`;
    // A device that still has the vault must not bring its attachments back.
    if (readTombstone(this.#sql) !== null) return blobError("erased");
    if (url.searchParams.get("auto") === "1" && this.mayNeedBucket) return blobError("unavailable");
    switch (call) {
      case "POST exists":
        return this.#exists(request);
      case "POST r2-used":
        this.store.noteR2Used(Date.now());
        return Response.json({ since: this.store.r2UsedAtMs });
      case "GET hash":
        return this.#read(name, request.headers);
      case "PUT hash":
        return this.#store(name, request, url.searchParams);
      default:
        return blobError("notFound");
    }
  }

  report(env: Env): BlobReport {
    const { count, bytes, damaged } = this.store.usage();
    const { r2UsedAtMs } = this.store;
    const chosen = blobBackend(env);
    // As a request would be answered.
    const backend = chosen.kind === "sql" && !chosen.isChosen && this.mayNeedBucket ? "none" : chosen.kind;
    return {
      backend,
      quotaBytes: blobQuotaBytes(env),
      count,
      usedBytes: bytes,
      damaged,
      uploads: this.store.uploadCount,
      r2UsedAt: r2UsedAtMs === null ? null : new Date(r2UsedAtMs).toISOString(),
    };
  }

  async #exists(request: Request): Promise<Response> {
    const body = await readJsonBody(request, MAX_QUESTION_BYTES);
    const hashes = body.ok && Array.isArray(body.value["hashes"]) ? (body.value["hashes"] as unknown[]) : [];
    const present = hashes.slice(0, LIMITS.maxExistsHashes).filter((hash) => typeof hash === "string" && isHash(hash) && this.store.find(hash) !== null);
    return Response.json({ present });
  }

  #read(hash: string, headers: Headers): Response {
    const blob = this.store.find(hash);
    if (blob === null) return blobError("notFound");
    const plan = planRead(headers, entityTag(hash), blob.byteLength);
    if (plan.kind === "not-modified" || plan.kind === "unsatisfiable") return emptyAnswer(hash, blob.byteLength, plan.kind);
    const pieces = this.store.read(blob, plan.start, plan.end);
    // The first piece is read before anything is promised: an attachment that cannot be read is absent.
    const first = this.#nextPiece(pieces, blob);
    if (first === "damaged") return blobError("notFound");
    const body = new FixedLengthStream(plan.end - plan.start);
    void this.#send(body.writable, first, pieces, blob);
    return contentAnswer(hash, blob.byteLength, blob.contentType, plan, body.readable);
  }

  /** One piece at a time, each when the one before has been taken. Whatever fails breaks the answer off: a reader that hears nothing waits for ever. */
  async #send(writable: WritableStream<Uint8Array>, first: Uint8Array | null, pieces: Iterator<Uint8Array, void>, blob: BlobInfo): Promise<void> {
    const writer = writable.getWriter();
    this.#writers.add(writer);
    try {
      for (let piece: Uint8Array | "damaged" | null = first; piece !== null; piece = this.#nextPiece(pieces, blob)) {
        if (piece === "damaged") return await breakOff(writer);
        await writer.write(piece);
        release(piece);
      }
      await writer.close();
    } catch {
      await breakOff(writer);
    } finally {
      this.#writers.delete(writer);
    }
  }

  #nextPiece(pieces: Iterator<Uint8Array, void>, blob: BlobInfo): Uint8Array | "damaged" | null {
    try {
      const next = pieces.next();
      return next.done === true ? null : next.value;
    } catch (error) {
      if (!(error instanceof DamagedBlobError)) throw error;
      console.error(JSON.stringify({ event: "blob.damaged", hash: blob.hash.slice(0, 8), error: error.message }));
      this.store.setAside(blob, Date.now());
      return "damaged";
    }
  }

  async #store(hash: string, request: Request, query: URLSearchParams): Promise<Response> {
    const { body } = request;
    if (body === null) return blobError("missingBody");
    const length = query.get("length") ?? "";
    const announced = length === "" ? null : Number(length);
    const contentType = request.headers.get("Content-Type") ?? "application/octet-stream";
    if (this.store.find(hash) !== null) {
      // The same bytes again: looked at, so that the answer does not depend on who came first, and not written.
      const fault = await takeBody(body, announced, hash, release);
      if (fault !== null) return blobError(fault);
      // Erased meanwhile, or found damaged: whoever hears 204 would not bring it again.
      if (this.#isLost || this.store.find(hash) === null) return this.#gone();
      return new Response(null, { status: 204 });
    }
    let upload: BlobUpload;
    try {
      if (this.store.uploadCount >= LIMITS.maxBlobUploadsAtOnce) throw new TooManyUploads();
      upload = this.store.begin(hash, contentType, announced, Number(query.get("quota") ?? LIMITS.maxVaultBlobBytes));
    } catch (error) {
      await drainBody(body);
      return this.#failure(error);
    }
    try {
      const fault = await takeBody(body, announced, hash, (bytes) => {
        upload.write(bytes, Date.now());
        // Megabytes of dead pieces would wait for a late collection (DESIGN.md, decision 16).
        release(bytes);
      });
      if (fault !== null) return blobError(fault);
      if (this.#isLost) return this.#gone();
      const device = query.get("device") ?? "";
      if (device !== "" && !(await this.#host.mayStillWrite(device))) return blobError("unauthorized");
      if (this.#isLost) return this.#gone();
      upload.publish(Date.now());
      return new Response(null, { status: 204 });
    } catch (error) {
      return this.#failure(error);
    } finally {
      upload.drop();
    }
  }

  /** Erased since the request came, and begun anew perhaps. */
  get #isLost(): boolean {
    return this.#isOver || readTombstone(this.#sql) !== null;
  }

  /** What an upload was meant for went away under it. After an unerase it may come again. */
  #gone(): Response {
    return blobError(readTombstone(this.#sql) === null ? "storage" : "erased");
  }

  #failure(error: unknown): Response {
    if (error instanceof TooManyUploads) return blobError("tooMany");
    if (error instanceof BlobQuotaError) return blobError("quota");
    if (error instanceof BlobUploadLostError) return this.#gone();
    console.error(JSON.stringify({ event: "blob.store-failed", error: error instanceof Error ? error.name : typeof error }));
    return blobError("storage");
  }
}

/** Ends an answer before its length, so that the reader's connection breaks rather than end as if it were whole. */
async function breakOff(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  // Marked as the platform marks a lost connection: anything else it logs as an uncaught exception.
  const error = Object.assign(new Error("attachment broken off"), { retryable: true });
  await writer.abort(error).catch(() => undefined);
}

/** The room has as many uploads under way as it takes. */
class TooManyUploads extends Error {}
