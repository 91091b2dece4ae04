/**
 * The attachment routes (compat sheet, 2.5): `POST /vault/:id/blobs/exists`, `PUT` and `GET /vault/:id/blobs/:hash`.
 * Shapes are checked here, so that a request that can only fail reaches neither bucket nor room.
 */
import type { Context, Hono } from "hono";
import { LIMITS } from "../../src/limits.ts";
import { errorAnswer, jsonAnswer, withCors } from "../answers.ts";
import type { Env } from "../env.ts";
import { readJsonBody } from "../json-body.ts";
import { type BlobBackend, blobBackend, blobQuotaBytes } from "./backend.ts";
import { blobError, isHash } from "./blob-answer.ts";
import { BucketFailedError, blobKey, fitsBucket, presentInBucket, readFromBucket, storeInBucket } from "./bucket.ts";
import { mayStillWrite } from "./device-check.ts";
import { callRoom, noteBucketUse, refusalOfRoom } from "./room-calls.ts";
import { contentLength } from "./take-body.ts";

type Call = Context<{ Bindings: Env }>;
type Backend = Exclude<BlobBackend, { kind: "none" }>;

/** Who may do this, `owner` or a device id, and the vault's decoded id; or the refusal. Asked before anything else. */
export type AttachmentGuard = (
  call: Call,
  act: "read" | "write",
) => Promise<{ readonly ok: true; readonly vaultId: string; readonly holder: { readonly by: string } } | { readonly ok: false; readonly answer: Response }>;

/** Body of `exists`: 50 hashes are 3.4 KB; more of them are ignored, not refused, as existing servers do. */
const MAX_QUESTION_BYTES = 64 * 1024;
/** Longer than any media type with its parameters; it is stored with each attachment. */
const MAX_TYPE_CHARS = 255;

export function attachmentRoutes(app: Hono<{ Bindings: Env }>, guard: AttachmentGuard): void {
  const guarded =
    (act: "read" | "write", run: (call: Call, vaultId: string, backend: Backend, device: string | null) => Promise<Response>) =>
    async (call: Call): Promise<Response> => {
      const admitted = await guard(call, act);
      if (!admitted.ok) return admitted.answer;
      const backend = blobBackend(call.env);
      const { vaultId, holder } = admitted;
      const running = backend.kind === "none" ? blobError("unavailable") : run(call, vaultId, backend, holder.by === "owner" ? null : holder.by);
      const answer = await Promise.resolve(running).catch(bucketFailure);
      const exposed = answer.headers.get("Access-Control-Expose-Headers");
      const withOurs = withCors(answer);
      if (exposed !== null) withOurs.headers.set("Access-Control-Expose-Headers", exposed);
      return withOurs;
    };
  app.post("/vault/:id/blobs/exists", guarded("read", answerExists));
  app.put("/vault/:id/blobs/:hash", guarded("write", answerPut));
  app.get("/vault/:id/blobs/:hash", guarded("read", answerGet));
}

/** R2 that does not answer is no attachment missing: the reader comes again. */
function bucketFailure(error: unknown): Response {
  if (!(error instanceof BucketFailedError)) throw error;
  console.error(JSON.stringify({ event: "blob.bucket-failed", error: error.message }));
  return blobError("bucketFailed");
}

async function answerExists(call: Call, vaultId: string, backend: Backend): Promise<Response> {
  const body = await readJsonBody(call.req.raw, MAX_QUESTION_BYTES);
  if (!body.ok) return errorAnswer(body.status, body.error);
  const given = body.value["hashes"];
  if (!Array.isArray(given)) return errorAnswer(400, "missing hashes array");
  const hashes = (given as unknown[]).slice(0, LIMITS.maxExistsHashes).filter((hash): hash is string => typeof hash === "string" && isHash(hash));
  const present = new Set<string>();
  const askBucket = async (bucket: R2Bucket): Promise<Response | null> => {
    const found = await presentInBucket(bucket, vaultId, hashes.filter((hash) => !present.has(hash)));
    for (const hash of found) present.add(hash);
    return found.size === 0 ? null : refusalOfRoom(call.env, vaultId);
  };
  const askRoom = async (): Promise<Response | null> => {
    const missing = hashes.filter((hash) => !present.has(hash));
    if (missing.length === 0) return null;
    const answer = await callRoom(call.env, vaultId, "exists", { method: "POST", body: JSON.stringify({ hashes: missing }) });
    if (!answer.ok) return answer;
    for (const hash of (await answer.json<{ present: string[] }>()).present) present.add(hash);
    return null;
  };
  const { bucket } = backend;
  const inBucket = (): Promise<Response | null> | null => (bucket === null ? null : askBucket(bucket));
  for (const ask of backend.kind === "r2" ? [inBucket, askRoom] : [askRoom, inBucket]) {
    const refusal = await ask();
    if (refusal !== null) return refusal;
  }
  return jsonAnswer({ present: hashes.filter((hash) => present.has(hash)) });
}

async function answerPut(call: Call, vaultId: string, backend: Backend, device: string | null): Promise<Response> {
  const request = call.req.raw;
  const hash = hashOf(call);
  if (hash === null) return blobError("invalidHash");
  const announced = contentLength(request.headers);
  if (announced === "invalid") return blobError("invalidLength");
  if (announced !== null && announced > LIMITS.maxBlobUploadBytes) return blobError("tooLarge");
  const { body } = request;
  if (body === null || announced === 0) return blobError("missingBody");
  const given = request.headers.get("Content-Type") ?? "";
  const contentType = given === "" || given.length > MAX_TYPE_CHARS ? "application/octet-stream" : given;
  if (backend.kind === "sql") {
    const query = `quota=${blobQuotaBytes(call.env)}&length=${announced ?? ""}&device=${device ?? ""}`;
    return callRoom(call.env, vaultId, hash, { method: "PUT", headers: { "Content-Type": contentType }, body }, query);
  }
  if (!fitsBucket(vaultId)) return errorAnswer(400, "room id too long");
  // Before the first byte lies there: a room that does not know of it would later answer for the attachments without them. An erased one refuses.
  const since = await noteBucketUse(call.env, vaultId);
  if (since instanceof Response) return since;
  // Uploads last: asked again when all of it came and nothing of it can be seen yet.
  const mayPublish = async (): Promise<Response | null> => {
    const still = await noteBucketUse(call.env, vaultId);
    if (still instanceof Response) return still;
    if (still !== since) return blobError("storage");
    return device === null || (await mayStillWrite(call.env, device, vaultId)) ? null : blobError("unauthorized");
  };
  try {
    const stored = await storeInBucket(backend.bucket, vaultId, hash, contentType, body, announced, mayPublish);
    if (!stored.ok) return stored;
    // Erased while the last bytes were under way: whoever removed the vault's attachments did not see this one.
    const still = await noteBucketUse(call.env, vaultId);
    if (!(still instanceof Response) || still.status !== 410) return stored;
    await backend.bucket.delete(blobKey(vaultId, hash));
    return still;
  } catch (error) {
    console.error(JSON.stringify({ event: "blob.bucket-failed", error: error instanceof Error ? error.name : typeof error }));
    return blobError("storage");
  }
}

async function answerGet(call: Call, vaultId: string, backend: Backend): Promise<Response> {
  const hash = hashOf(call);
  if (hash === null) return blobError("invalidHash");
  const { headers } = call.req.raw;
  if (backend.kind === "r2") {
    const found = await readFromBucket(backend.bucket, vaultId, hash, headers);
    if (found !== null) return unlessRefused(call, vaultId, found);
  }
  const answer = await callRoom(call.env, vaultId, hash, { headers: conditionsOf(headers) });
  if (answer.status !== 404 || backend.kind === "r2" || backend.bucket === null) return answer;
  const found = await readFromBucket(backend.bucket, vaultId, hash, headers);
  return found === null ? answer : unlessRefused(call, vaultId, found);
}

/** What the bucket has, when the vault is not erased. */
async function unlessRefused(call: Call, vaultId: string, found: Response): Promise<Response> {
  const refusal = await refusalOfRoom(call.env, vaultId);
  if (refusal === null) return found;
  found.body?.cancel().catch(() => undefined);
  return refusal;
}

/** The hash as the path spells it, undecoded: an escape is no hex digit. */
function hashOf(call: Call): string | null {
  const name = new URL(call.req.url).pathname.split("/").filter(Boolean)[3] ?? "";
  return isHash(name) ? name : null;
}

/** Of a reader's headers those the room answers to. */
function conditionsOf(headers: Headers): Headers {
  const conditions = new Headers();
  for (const name of ["Range", "If-Range", "If-None-Match"]) {
    const value = headers.get(name);
    if (value !== null) conditions.set(name, value);
  }
  return conditions;
}
