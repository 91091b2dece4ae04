/** Which answers a fuzz run takes. */
import type { RawAnswer, RawRequest } from "./http-request.ts";

/** The 503s and the 507 that SPEC.md names. */
const DOCUMENTED_FAILURES = new Set(["503 unclaimed", "503 attachments_unavailable", "503 snapshots_unavailable", "503 room unavailable", "507 quota exceeded"]);

/** Said by the runtime itself, as plain text: what is no HTTP or WebSocket handshake, which the Worker cannot answer. */
const BY_RUNTIME = /^(ERROR: |Bad Request|invalid URI|URI Too Long|Request Header Fields Too Large|$)/i;

/** A body up to this size is with the server before it can answer. */
const BUFFERED_BYTES = 50_000;

/**
 * Null, or what is wrong with the answer.
 * @param secrets what no answer may have
 */
export function judge(request: RawRequest, answer: RawAnswer | null, secrets: readonly string[]): string | null {
  // Who hangs up in the middle of a body need not be answered. A body too large for the socket's buffers is answered unread, and the end of the
  // connection can overtake that answer.
  if (answer === null) return request.framing === "cut-off" || (request.body?.byteLength ?? 0) > BUFFERED_BYTES ? null : "no answer";
  const { status, headers, body } = answer;
  if (!(status >= 100 && status < 600)) return `answers ${status}`;
  // What the URL itself has, as the name of a vault, may come back.
  if (secrets.some((secret) => body.includes(secret) && !request.target.includes(secret))) return `answers ${status} with a secret`;
  if ([...headers.keys()].includes("x-injected")) return "a header was injected";
  if (status < 400 || request.method === "HEAD") return status < 500 ? null : `answers ${status}`;
  const error = errorOf(body);
  if (status >= 500) return error !== null && DOCUMENTED_FAILURES.has(`${status} ${error}`) ? null : `answers ${status} ${body.slice(0, 200)}`;
  if (error !== null || BY_RUNTIME.test(body)) return null;
  return status === 404 && body === "Not implemented" ? null : `answers ${status} without the error shape: ${body.slice(0, 200)}`;
}

function errorOf(body: string): string | null {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === "string" ? error : null;
  } catch {
    return null;
  }
}
