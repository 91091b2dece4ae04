/** A request body, chunk by chunk: bounded, hashed as it passes, and given up when nothing comes any more. */
import { createHash } from "node:crypto";
import { LIMITS } from "../../src/limits.ts";
import { release } from "../../src/release.ts";

/** Why a body is not the attachment its address names. */
export type BodyFault = "missingBody" | "tooLarge" | "lengthMismatch" | "hashMismatch" | "cutOff" | "stalled";

/**
 * Reads `body` to its end and hands every piece to `take` before the next is read.
 * @param announced the length the sender named, or null
 * @returns null when everything came and has this hash; else what is wrong.
 * @throws what `take` throws, after the rest has been read and dropped: a sender that is refused in the middle sees a broken pipe and not the answer.
 */
export async function takeBody(
  body: ReadableStream<Uint8Array>,
  announced: number | null,
  hash: string,
  take: (bytes: Uint8Array) => void | Promise<void>,
  stallMs: number = LIMITS.blobStallMs,
): Promise<BodyFault | null> {
  const digest = createHash("sha256");
  const reader = body.getReader();
  let received = 0;
  let ended = false;
  let refusal: { readonly error: unknown } | null = null;
  try {
    for (;;) {
      const next = await nextPiece(reader, stallMs);
      if (next === "cutOff" || next === "stalled") return next;
      if (next === null) break;
      received += next.byteLength;
      if (received > LIMITS.maxBlobUploadBytes) return "tooLarge";
      if (announced !== null && received > announced) return "lengthMismatch";
      if (refusal !== null) {
        release(next);
        continue;
      }
      digest.update(next);
      try {
        await take(next);
      } catch (error) {
        refusal = { error };
      }
    }
    ended = true;
    if (refusal !== null) throw refusal.error;
  } finally {
    // Its outcome changes no answer.
    if (!ended) reader.cancel().catch(() => undefined);
  }
  if (announced !== null && received !== announced) return "lengthMismatch";
  if (received === 0) return "missingBody";
  return digest.digest("hex") === hash ? null : "hashMismatch";
}

/** Reads a body to its end, up to the largest attachment, for an answer that does not depend on it. */
export async function drainBody(body: ReadableStream<Uint8Array>): Promise<void> {
  const refuse = (): never => {
    throw new Error("unwanted");
  };
  await takeBody(body, null, "", refuse).catch(() => undefined);
}

/** The next piece, null at the end. */
async function nextPiece(reader: ReadableStreamDefaultReader<Uint8Array>, stallMs: number): Promise<Uint8Array | "cutOff" | "stalled" | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stalled = new Promise<"stalled">((resolve) => {
    timer = setTimeout(() => {
      resolve("stalled");
    }, stallMs);
  });
  try {
    const next = await Promise.race([reader.read(), stalled]);
    if (next === "stalled") return next;
    return next.done ? null : next.value;
  } catch {
    return "cutOff";
  } finally {
    clearTimeout(timer);
  }
}

/** `Content-Length` as the sender gave it: absent, a number of bytes, or not all digits. */
export function contentLength(headers: Headers): number | null | "invalid" {
  const text = headers.get("Content-Length")?.trim() ?? null;
  if (text === null) return null;
  const bytes = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(bytes) ? bytes : "invalid";
}
