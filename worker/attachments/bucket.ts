/** Attachments in R2, under the keys existing servers use (compat sheet, 6). */
import { joinParts } from "../../src/storage/parts.ts";
import { blobError, contentAnswer, emptyAnswer, isHash } from "./blob-answer.ts";
import { entityTag, isPlain, planRead } from "./read-plan.ts";
import { takeBody } from "./take-body.ts";

/** R2 refuses longer keys. */
const MAX_KEY_BYTES = 1_024;
/** Simultaneous requests; a Worker has six connections. */
const HEADS_AT_ONCE = 4;
/** Keys R2 deletes in one call, and lists on one page. */
const KEYS_AT_ONCE = 1_000;

/** R2 did not do what it was asked. */
export class BucketFailedError extends Error {
  readonly code = "bucket-failed";
  constructor(cause: unknown) {
    super(`Cannot read from R2: ${cause instanceof Error ? cause.name : typeof cause}`);
  }
}

/** @throws {BucketFailedError} */
async function ask<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw new BucketFailedError(error);
  }
}

/** The vault id goes in as it is, decoded. */
export function blobKey(vaultId: string, hash: string): string {
  return `v1/${vaultId}/blobs/${hash}`;
}

/** Whether R2 can hold attachments of this vault at all. */
export function fitsBucket(vaultId: string): boolean {
  return new TextEncoder().encode(blobKey(vaultId, "0".repeat(64))).byteLength <= MAX_KEY_BYTES;
}

/** Those of `hashes` that the bucket has. @throws {BucketFailedError} */
export async function presentInBucket(bucket: R2Bucket, vaultId: string, hashes: readonly string[]): Promise<Set<string>> {
  const present = new Set<string>();
  if (!fitsBucket(vaultId)) return present;
  const queue = [...new Set(hashes)];
  const askOneByOne = async (): Promise<void> => {
    for (let hash = queue.pop(); hash !== undefined; hash = queue.pop()) {
      if ((await ask(bucket.head(blobKey(vaultId, hash)))) !== null) present.add(hash);
    }
  };
  await Promise.all(Array.from({ length: HEADS_AT_ONCE }, askOneByOne));
  return present;
}

/** The answer to a GET, or null when the bucket does not have it. @throws {BucketFailedError} */
export async function readFromBucket(bucket: R2Bucket, vaultId: string, hash: string, headers: Headers): Promise<Response | null> {
  if (!fitsBucket(vaultId)) return null;
  const key = blobKey(vaultId, hash);
  // A condition or a range needs the size first; the content of a key never changes.
  const known = isPlain(headers) ? null : await ask(bucket.head(key));
  if (known === null && !isPlain(headers)) return null;
  const plan = known === null ? null : planRead(headers, entityTag(hash), known.size);
  if (known !== null && (plan?.kind === "not-modified" || plan?.kind === "unsatisfiable")) return emptyAnswer(hash, known.size, plan.kind);
  const isPart = plan?.kind === "part";
  const found = await ask(bucket.get(key, isPart ? { range: { offset: plan.start, length: plan.end - plan.start } } : {}));
  if (found === null) return null;
  const type = found.httpMetadata?.contentType ?? "application/octet-stream";
  return contentAnswer(hash, found.size, type, isPart ? plan : { kind: "whole", start: 0, end: found.size }, found.body);
}

/**
 * Stores an attachment. R2 itself compares the SHA-256 it was given and stores nothing when it differs; our own digest only names the fault.
 * With an announced length the body streams through, but for its last piece, which waits for `mayPublish`; R2 takes streams of a known length only, so without one it is held, up to the largest attachment.
 * @param mayPublish asked when everything came and has this hash; an answer is a refusal, and nothing is stored
 */
export async function storeInBucket(
  bucket: R2Bucket,
  vaultId: string,
  hash: string,
  contentType: string,
  body: ReadableStream<Uint8Array>,
  announced: number | null,
  mayPublish: () => Promise<Response | null>,
): Promise<Response> {
  const key = blobKey(vaultId, hash);
  const options: R2PutOptions = { sha256: hash, httpMetadata: { contentType } };
  if ((await bucket.head(key)) !== null) {
    // The same bytes again: looked at, so that the answer does not depend on who came first, and not written.
    const fault = await takeBody(body, announced, hash, () => undefined);
    if (fault !== null) return blobError(fault);
    // Erased meanwhile: whoever hears 204 would not bring it again.
    return (await bucket.head(key)) === null ? blobError("storage") : new Response(null, { status: 204 });
  }
  if (announced === null) {
    const pieces: Uint8Array[] = [];
    const fault = await takeBody(body, null, hash, (bytes) => void pieces.push(bytes));
    const refusal = fault === null ? await mayPublish() : blobError(fault);
    if (refusal !== null) return refusal;
    await bucket.put(key, joinParts(pieces), options);
    return new Response(null, { status: 204 });
  }
  const through = new FixedLengthStream(announced);
  const stored = bucket.put(key, through.readable, options).then(
    () => null,
    (error: unknown) => ({ error }),
  );
  const writer = through.writable.getWriter();
  let refusal: Response | null = null;
  // The announced length is not reached without the last piece, so R2 stores nothing before it comes.
  const held: Uint8Array[] = [];
  try {
    const fault = await takeBody(body, announced, hash, async (bytes) => {
      held.push(bytes);
      if (held.length > 1) await writer.write(held.shift());
    });
    refusal = fault === null ? await mayPublish() : blobError(fault);
    if (refusal !== null) throw new Error("refused");
    await writer.write(held.shift());
    await writer.close();
  } catch (error) {
    // When the bucket stopped reading, its own error says more.
    await writer.abort(error).catch(() => undefined);
  }
  const failed = await stored;
  if (refusal !== null) return refusal;
  if (failed !== null) throw failed.error;
  return new Response(null, { status: 204 });
}

/** Removes what this server or an older one put under these prefixes for the vault, and nothing of a vault whose id begins with this one's path. */
export async function eraseFromBucket(bucket: R2Bucket, vaultId: string): Promise<number> {
  const isOurs: readonly (readonly [prefix: string, rest: (rest: string) => boolean])[] = [
    [`v1/${vaultId}/blobs/`, isHash],
    [`v1/${vaultId}/snapshots/`, (rest) => /^(?:latest-index\.json|\d{4}-\d{2}-\d{2}\/[^/]+\/(?:crdt\.bin\.gz|index\.json))$/.test(rest)],
  ];
  let erased = 0;
  for (const [prefix, matches] of isOurs) {
    let cursor: string | undefined;
    do {
      const page: R2Objects = await bucket.list({ prefix, limit: KEYS_AT_ONCE, ...(cursor === undefined ? {} : { cursor }) });
      const keys = page.objects.map((object) => object.key).filter((key) => matches(key.slice(prefix.length)));
      if (keys.length > 0) await bucket.delete(keys);
      erased += keys.length;
      cursor = page.truncated ? page.cursor : undefined;
    } while (cursor !== undefined);
  }
  return erased;
}

