/**
 * Attachments inside a room object: `/__yaos/blobs/...`, reached from the Worker only. Uses the object's database and nothing else of the room, so an
 * attachment never makes the room read its vault.
 */
import { crc32 } from "node:zlib";
import { LIMITS } from "../../src/limits.ts";
import type { Sql } from "../../src/ports.ts";
import { release } from "../../src/release.ts";
import { type BlobInfo, BlobQuotaError, BlobStore, type BlobUpload, BlobUploadLostError, DamagedBlobError } from "../../src/storage/blob-store.ts";
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

const instances = new WeakMap<Sql, RoomBlobs>();

/** The `attachments` of a room's debug answer. */
export function blobReport(env: Env, sql: Sql): BlobReport {
  return roomBlobs(sql).report(env);
}

/** The attachments of the object whose database this is. */
export function roomBlobs(sql: Sql): RoomBlobs {
  let blobs = instances.get(sql);
  if (blobs === undefined) {
    blobs = new RoomBlobs(sql);
    instances.set(sql, blobs);
  }
  return blobs;
}

export function isBlobPath(pathname: string): boolean {
  return pathname.startsWith(PATH);
}

export class RoomBlobs {
  readonly store: BlobStore;
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.store = new BlobStore(sql, (bytes) => crc32(bytes));
    this.#sql = sql;
  }

  /**
   * `POST exists {hashes}` -> `{present}`; `POST r2-used` -> 204; `GET <hash>`; `PUT <hash>?quota=<bytes>&length=<bytes or empty>`.
   * `?auto=1`: the install has no bucket and did not choose the database by name, so a vault with attachments in R2 is refused here.
   */
  async fetch(request: Request, url: URL): Promise<Response> {
    const name = url.pathname.slice(PATH.length);
    const call = `${request.method} ${isHash(name) ? "hash" : name}`;
    // A device that still has the vault must not bring its attachments back.
    if (readTombstone(this.#sql) !== null) return blobError("erased");
    if (url.searchParams.get("auto") === "1" && this.store.r2UsedAtMs !== null) return blobError("unavailable");
    switch (call) {
      case "POST exists":
        return this.#exists(request);
      case "POST r2-used":
        this.store.noteR2Used(Date.now());
        return new Response(null, { status: 204 });
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
    const backend = chosen.kind === "sql" && !chosen.isChosen && r2UsedAtMs !== null ? "none" : chosen.kind;
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
    this.#send(body.writable, first, pieces, blob).catch(() => undefined);
    return contentAnswer(hash, blob.byteLength, blob.contentType, plan, body.readable);
  }

  /** One piece at a time, each when the one before has been taken. */
  async #send(writable: WritableStream<Uint8Array>, first: Uint8Array | null, pieces: Iterator<Uint8Array, void>, blob: BlobInfo): Promise<void> {
    const writer = writable.getWriter();
    for (let piece: Uint8Array | "damaged" | null = first; piece !== null; piece = this.#nextPiece(pieces, blob)) {
      if (piece === "damaged") return writer.abort(new Error("damaged attachment"));
      await writer.write(piece);
      release(piece);
    }
    return writer.close();
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
      return fault === null ? new Response(null, { status: 204 }) : blobError(fault);
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
      if (readTombstone(this.#sql) !== null) return blobError("erased");
      upload.publish(Date.now());
      return new Response(null, { status: 204 });
    } catch (error) {
      return this.#failure(error);
    } finally {
      upload.drop();
    }
  }

  #failure(error: unknown): Response {
    if (error instanceof TooManyUploads) return blobError("tooMany");
    if (error instanceof BlobQuotaError) return blobError("quota");
    if (error instanceof BlobUploadLostError) return blobError("erased");
    console.error(JSON.stringify({ event: "blob.store-failed", error: error instanceof Error ? error.name : typeof error }));
    return blobError("storage");
  }
}

/** The room has as many uploads under way as it takes. */
class TooManyUploads extends Error {}
