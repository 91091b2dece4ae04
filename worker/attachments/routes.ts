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
import { blobKey, eraseFromBucket, fitsBucket, presentInBucket, readFromBucket, storeInBucket } from "./bucket.ts";
import { contentLength } from "./take-body.ts";

type Call = Context<{ Bindings: Env }>;
type Backend = Exclude<BlobBackend, { kind: "none" }>;

/** Who may do this: the vault's decoded id, or the refusal. Asked before anything else. */
export type AttachmentGuard = (
  call: Call,
  act: "read" | "write",
) => Promise<{ readonly ok: true; readonly vaultId: string } | { readonly ok: false; readonly answer: Response }>;

/** Body of `exists`: 50 hashes are 3.4 KB; more of them are ignored, not refused, as existing servers do. */
const MAX_QUESTION_BYTES = 64 * 1024;
/** Longer than any media type with its parameters; it is stored with each attachment. */
const MAX_TYPE_CHARS = 255;
/** Vaults whose use of R2 this isolate has reported to their rooms. */
const reported = new Set<string>();
const MAX_REPORTED = 1_000;

export function attachmentRoutes(app: Hono<{ Bindings: Env }>, guard: AttachmentGuard): void {
  const guarded =
    (act: "read" | "write", run: (call: Call, vaultId: string, backend: Backend) => Promise<Response>) =>
    async (call: Call): Promise<Response> => {
      const admitted = await guard(call, act);
      if (!admitted.ok) return admitted.answer;
      const backend = blobBackend(call.env);
      const answer = backend.kind === "none" ? blobError("unavailable") : await run(call, admitted.vaultId, backend);
      const exposed = answer.headers.get("Access-Control-Expose-Headers");
      const withOurs = withCors(answer);
      if (exposed !== null) withOurs.headers.set("Access-Control-Expose-Headers", exposed);
      return withOurs;
    };
  app.post("/vault/:id/blobs/exists", guarded("read", answerExists));
  app.put("/vault/:id/blobs/:hash", guarded("write", answerPut));
  app.get("/vault/:id/blobs/:hash", guarded("read", answerGet));
}

/** Removes everything of the vault that lies in R2, and returns how many objects went. What lies in the room's database goes with the room. */
export async function eraseBlobs(env: Env, vaultId: string): Promise<number> {
  return env.YAOS_BUCKET === undefined ? 0 : eraseFromBucket(env.YAOS_BUCKET, vaultId);
}

async function answerExists(call: Call, vaultId: string, backend: Backend): Promise<Response> {
  const body = await readJsonBody(call.req.raw, MAX_QUESTION_BYTES);
  if (!body.ok) return errorAnswer(body.status, body.error);
  const given = body.value["hashes"];
  if (!Array.isArray(given)) return errorAnswer(400, "missing hashes array");
  const hashes = (given as unknown[]).slice(0, LIMITS.maxExistsHashes).filter((hash): hash is string => typeof hash === "string" && isHash(hash));
  const present = new Set<string>();
  const askBucket = async (bucket: R2Bucket): Promise<void> => {
    for (const hash of await presentInBucket(bucket, vaultId, hashes.filter((hash) => !present.has(hash)))) present.add(hash);
  };
  const askRoom = async (): Promise<Response | null> => {
    const missing = hashes.filter((hash) => !present.has(hash));
    if (missing.length === 0) return null;
    const answer = await toRoom(call.env, vaultId, backend, "exists", { method: "POST", body: JSON.stringify({ hashes: missing }) });
    if (!answer.ok) return answer;
    for (const hash of (await answer.json<{ present: string[] }>()).present) present.add(hash);
    return null;
  };
  if (backend.kind === "r2") {
    await askBucket(backend.bucket);
    if (present.size > 0) await reportBucketUse(call.env, vaultId, backend);
  }
  const refusal = await askRoom();
  if (refusal !== null) return refusal;
  if (backend.kind === "sql" && backend.bucket !== null) await askBucket(backend.bucket);
  return jsonAnswer({ present: hashes.filter((hash) => present.has(hash)) });
}

async function answerPut(call: Call, vaultId: string, backend: Backend): Promise<Response> {
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
    const query = `quota=${blobQuotaBytes(call.env)}&length=${announced ?? ""}`;
    return toRoom(call.env, vaultId, backend, hash, { method: "PUT", headers: { "Content-Type": contentType }, body }, query);
  }
  if (!fitsBucket(vaultId)) return errorAnswer(400, "room id too long");
  // Before the first byte lies there: a room that does not know of it would later answer for the attachments without them. An erased one refuses.
  const noted = await toRoom(call.env, vaultId, backend, "r2-used", { method: "POST" });
  if (!noted.ok) return noted;
  try {
    const stored = await storeInBucket(backend.bucket, vaultId, hash, contentType, body, announced);
    if (!stored.ok) return stored;
    // Erased while the bytes were under way: whoever removed the vault's attachments did not see this one.
    const still = await toRoom(call.env, vaultId, backend, "r2-used", { method: "POST" });
    if (still.status !== 410) return stored;
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
    if (found !== null) {
      await reportBucketUse(call.env, vaultId, backend);
      return found;
    }
  }
  const answer = await toRoom(call.env, vaultId, backend, hash, { headers: conditionsOf(headers) });
  if (answer.status !== 404 || backend.kind === "r2" || backend.bucket === null) return answer;
  return (await readFromBucket(backend.bucket, vaultId, hash, headers)) ?? answer;
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

async function toRoom(env: Env, vaultId: string, backend: Backend, name: string, init: RequestInit, query = ""): Promise<Response> {
  // Without a bucket and without the owner's word for the database, a vault that has attachments in R2 must not seem empty.
  const auto = backend.kind === "sql" && !backend.isChosen ? "auto=1&" : "";
  const room = env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vaultId));
  return room.fetch(`https://internal/__yaos/blobs/${name}?${auto}${query}`, init);
}

/** Tells the room once per isolate that its vault has attachments in R2, left there by an older server perhaps. Failing costs the reader nothing. */
async function reportBucketUse(env: Env, vaultId: string, backend: Backend): Promise<void> {
  if (reported.has(vaultId)) return;
  try {
    const noted = await toRoom(env, vaultId, backend, "r2-used", { method: "POST" });
    if (!noted.ok) return;
    if (reported.size >= MAX_REPORTED) reported.clear();
    reported.add(vaultId);
  } catch {
    // The next read reports it.
  }
}
