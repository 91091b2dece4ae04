/** Reads what the owner asks for when a device or a pairing is made. */

import * as v from "valibot";
import { LIMITS } from "../limits.ts";
import type { Grant } from "./device-store.ts";

const MAX_NAME_CHARS = 100;
const encoder = new TextEncoder();

const GRANT = v.object({
  name: v.pipe(
    v.string("invalid name"),
    v.trim(),
    v.minLength(1, "invalid name"),
    v.maxLength(MAX_NAME_CHARS, "invalid name"),
    // Names end in pages and terminals.
    v.regex(/^\P{Cc}*$/u, "invalid name"),
  ),
  vault: v.optional(
    v.nullable(
      v.pipe(
        v.string("invalid vault"),
        v.minLength(1, "invalid vault"),
        v.check((vault) => encoder.encode(vault).byteLength <= LIMITS.maxRoomIdBytes, "invalid vault"),
      ),
    ),
    null,
  ),
  mode: v.optional(v.picklist(["rw", "ro"], "invalid mode"), "rw"),
});

/** The grant of a body, or the `error` text of its first fault: `invalid name`, `invalid vault`, `invalid mode`. `vault` null or absent: all; `mode` absent: `rw`. */
export function readGrant(body: unknown): Grant | { readonly fault: string } {
  const read = v.safeParse(GRANT, body, { abortEarly: true });
  if (read.success) return read.output;
  const issue = read.issues[0];
  const key = issue.path?.[0]?.key;
  return { fault: typeof key === "string" ? `invalid ${key}` : issue.message };
}
