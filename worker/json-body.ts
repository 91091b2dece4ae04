/** The one way a JSON request body comes in: bounded while it streams, and an object or nothing. Never throws, whatever the client sent. */

/** An object, or why there is none: the status and the `error` text of the answer. */
export type JsonBody =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly status: 400 | 413; readonly error: "invalid json" | "body too large" };

const INVALID: JsonBody = { ok: false, status: 400, error: "invalid json" };
const TOO_LARGE: JsonBody = { ok: false, status: 413, error: "body too large" };

/**
 * Reads the body of `request` as one JSON object of at most `maxBytes` bytes.
 * 413 `body too large` as soon as the announced or the received length is over; nothing more is read then.
 * 400 `invalid json` for no body, bytes that are no UTF-8, no JSON, a body that broke off, and for `null`, arrays, numbers, strings, booleans.
 */
export async function readJsonBody(request: Request, maxBytes: number): Promise<JsonBody> {
  return readBody(request, maxBytes, false);
}

/** The same where nothing is as good as `{}`: a request without a body, or with one of no bytes. */
export async function readOptionalJsonBody(request: Request, maxBytes: number): Promise<JsonBody> {
  return request.body === null ? { ok: true, value: {} } : readBody(request, maxBytes, true);
}

async function readBody(request: Request, maxBytes: number, mayBeEmpty: boolean): Promise<JsonBody> {
  if (Number(request.headers.get("Content-Length") ?? 0) > maxBytes) return TOO_LARGE;
  const bytes = await readBounded(request, maxBytes);
  if (bytes === null) return INVALID;
  if (bytes === "too large") return TOO_LARGE;
  if (mayBeEmpty && bytes.byteLength === 0) return { ok: true, value: {} };
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    return INVALID;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return INVALID;
  return { ok: true, value: value as Record<string, unknown> };
}

/** The whole body, or null when it is absent, already used or cut off. */
async function readBounded(request: Request, maxBytes: number): Promise<Uint8Array | "too large" | null> {
  if (request.body === null || request.bodyUsed) return null;
  const reader = request.body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const part = (await reader.read()) as { readonly done: boolean; readonly value?: Uint8Array };
      if (part.done || part.value === undefined) break;
      length += part.value.byteLength;
      if (length > maxBytes) {
        // Cancelled, so that the platform need not take in the rest; its outcome changes no answer.
        reader.cancel().catch(() => undefined);
        return "too large";
      }
      parts.push(part.value);
    }
  } catch {
    return null;
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
