/** What a request asks for, when it can be read at all. First thing in every request, before anything looks at its path. */

import { LIMITS } from "../../src/limits.ts";
import { errorAnswer } from "../answers.ts";

export type Target = { readonly ok: true; readonly url: URL } | { readonly ok: false; readonly answer: Response };

/**
 * The URL of the request. 414 when path or query are over their limits, 400 `malformed request` when its text is no URL: `workerd serve` builds it
 * from the Host header as that came, so `Host: a b` gets this far (tried).
 */
export function readTarget(request: { readonly url: string }): Target {
  const text = request.url;
  const mark = text.indexOf("?");
  const pathEnd = mark === -1 ? text.length : mark;
  // Measured on the text as it came, scheme and host included: parsing shortens dot segments, and that is work already.
  if (pathEnd > LIMITS.maxPathBytes) return { ok: false, answer: errorAnswer(414, "path too long") };
  if (text.length - pathEnd > LIMITS.maxQueryBytes) return { ok: false, answer: errorAnswer(414, "query too long") };
  const url = URL.parse(text);
  return url === null ? { ok: false, answer: errorAnswer(400, "malformed request") } : { ok: true, url };
}
