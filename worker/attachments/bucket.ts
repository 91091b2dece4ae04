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

/** The vault id goes in as it is, decoded. */
export function blobKey(vaultId: string, hash: string): string {
  return `v1/${vaultId}/blobs/${hash}`;
}

/** Whether R2 can hold attachments of this vault at all. */
export function fitsBucket(vaultId: string): boolean {
  return new TextEncoder().encode(blobKey(vaultId, "0".repeat(64))).byteLength <= MAX_KEY_BYTES;
}

/** Those of `hashes` that the bucket has. */
export async function presentInBucket(bucket: R2Bucket, vaultId: string, hashes: readonly string[]): Promise<Set<string>> {
  const present = new Set<string>();
  if (!fitsBucket(vaultId)) return present;
  const queue = [...new Set(hashes)];
  const ask = async (): Promise<void> => {
    for (let hash = queue.pop(); hash !== undefined; hash = queue.pop()) {
      if ((await bucket.head(blobKey(vaultId, hash))) !== null) present.add(hash);
    }
  };
  await Promise.all(Array.from({ length: HEADS_AT_ONCE }, ask));
  return present;
}

/** The answer to a GET, or null when the bucket does not have it. */
export async function readFromBucket(bucket: R2Bucket, vaultId: string, hash: string, headers: Headers): Promise<Response | null> {
  if (!fitsBucket(vaultId)) return null;
  const key = blobKey(vaultId, hash);
  // A condition or a range needs the size first; the content of a key never changes.
  const known = isPlain(headers) ? null : await bucket.head(key);
  if (known === null && !isPlain(headers)) return null;
  const plan = known === null ? null : planRead(headers, entityTag(hash), known.size);
  if (known !== null && (plan?.kind === "not-modified" || plan?.kind === "unsatisfiable")) return emptyAnswer(hash, known.size, plan.kind);
  const isPart = plan?.kind === "part";
  const found = await bucket.get(key, isPart ? { range: { offset: plan.start, length: plan.end - plan.start } } : {});
  if (found === null) return null;
  const type = found.httpMetadata?.contentType ?? "application/octet-stream";
  return contentAnswer(hash, found.size, type, isPart ? plan : { kind: "whole", start: 0, end: found.size }, found.body);
}

/**
 * Stores an attachment. R2 itself compares the SHA-256 it was given and stores nothing when it differs; our own digest only names the fault.
 * With an announced length the body streams through; R2 takes streams of a known length only, so without one it is held, up to the largest attachment.
 */
export async function storeInBucket(
  bucket: R2Bucket,
  vaultId: string,
  hash: string,
  contentType: string,
  body: ReadableStream<Uint8Array>,
  announced: number | null,
): Promise<Response> {
  const key = blobKey(vaultId, hash);
  const options: R2PutOptions = { sha256: hash, httpMetadata: { contentType } };
  if ((await bucket.head(key)) !== null) {
    // The same bytes again: looked at, so that the answer does not depend on who came first, and not written.
    const fault = await takeBody(body, announced, hash, () => undefined);
    return fault === null ? new Response(null, { status: 204 }) : blobError(fault);
  }
  if (announced === null) {
    const pieces: Uint8Array[] = [];
    const fault = await takeBody(body, null, hash, (bytes) => void pieces.push(bytes));
    if (fault !== null) return blobError(fault);
    await bucket.put(key, joinParts(pieces), options);
    return new Response(null, { status: 204 });
  }
  const through = new FixedLengthStream(announced);
  const stored = bucket.put(key, through.readable, options).then(
    () => null,
    (error: unknown) => ({ error }),
  );
  const writer = through.writable.getWriter();
  let fault: Awaited<ReturnType<typeof takeBody>> = null;
  try {
    fault = await takeBody(body, announced, hash, (bytes) => writer.write(bytes));
    if (fault === null) await writer.close();
    else await writer.abort(new Error(fault));
  } catch {
    // The bucket stopped reading: its own error says more.
  }
  const failed = await stored;
  if (fault !== null) return blobError(fault);
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

