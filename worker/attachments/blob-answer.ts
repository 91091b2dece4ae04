/** The answers of blob routes, the same from R2 and from a room's own database (compat sheet, 2.5). */
import { LIMITS } from "../../src/limits.ts";
import { type ReadPlan, entityTag } from "./read-plan.ts";

/** Lowercase only, as existing servers have it. */
const HASH = /^[0-9a-f]{64}$/;

/** The error texts; plugins and their logs know the first six. */
export const BLOB_ERRORS = {
  unavailable: [503, "attachments_unavailable"],
  bucketFailed: [503, "attachments_unavailable"],
  invalidHash: [400, "invalid hash: must be 64 hex chars (SHA-256)"],
  invalidLength: [400, "invalid Content-Length"],
  tooLarge: [413, `contentLength exceeds max upload size (${LIMITS.maxBlobUploadBytes} bytes)`],
  missingBody: [400, "missing request body"],
  hashMismatch: [400, "hash mismatch"],
  notFound: [404, "not found"],
  lengthMismatch: [400, "body differs from Content-Length"],
  cutOff: [400, "upload cut off"],
  stalled: [408, "upload stalled"],
  quota: [507, "quota exceeded"],
  tooMany: [503, "too many uploads"],
  storage: [503, "storage unavailable"],
  erased: [410, "vault erased"],
  unauthorized: [401, "unauthorized"],
} as const satisfies Record<string, readonly [number, string]>;

export type BlobError = keyof typeof BLOB_ERRORS;

export function isHash(text: string): boolean {
  return HASH.test(text);
}

/** `{"error": ...}`; those a client may simply try again say when. */
export function blobError(error: BlobError): Response {
  const [status, text] = BLOB_ERRORS[error];
  const headers: Record<string, string> = { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store" };
  if (error === "tooMany" || error === "storage" || error === "bucketFailed") headers["Retry-After"] = "2";
  return new Response(JSON.stringify({ error: text }), { status, headers });
}

/** What every successful or conditional answer about one attachment says. */
function baseHeaders(hash: string): Headers {
  return new Headers({
    "Cache-Control": "no-store",
    ETag: entityTag(hash),
    "Accept-Ranges": "bytes",
    "Access-Control-Expose-Headers": "X-YAOS-Snapshot-Day, ETag, Accept-Ranges, Content-Range",
    // Content of anybody who may write, under the address of the server's own pages.
    "X-Content-Type-Options": "nosniff",
  });
}

/** The answer of a plan without content. */
export function emptyAnswer(hash: string, byteLength: number, kind: "not-modified" | "unsatisfiable"): Response {
  const headers = baseHeaders(hash);
  if (kind === "not-modified") return new Response(null, { status: 304, headers });
  headers.set("Content-Range", `bytes */${byteLength}`);
  headers.set("Content-Type", "application/json; charset=utf-8");
  return new Response(JSON.stringify({ error: "range not satisfiable" }), { status: 416, headers });
}

/** 200 or 206 with a body of exactly the planned bytes. */
export function contentAnswer(hash: string, byteLength: number, contentType: string, plan: ReadPlan & { kind: "whole" | "part" }, body: ReadableStream): Response {
  const headers = baseHeaders(hash);
  headers.set("Content-Type", contentType);
  headers.set("Content-Length", String(plan.end - plan.start));
  if (plan.kind === "part") headers.set("Content-Range", `bytes ${plan.start}-${plan.end - 1}/${byteLength}`);
  return new Response(body, { status: plan.kind === "part" ? 206 : 200, headers });
}
