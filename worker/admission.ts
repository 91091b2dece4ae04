/** What a request presents: its credential and its schema. Who holds the credential is decided in `access/`, before any room is touched. */

import type { VaultRefusal } from "../src/protocol/close-codes.ts";
import type { SchemaMismatch } from "../src/protocol/custom.ts";

/** Out, with the code the wire spells and, for schemas, the details. */
export type Refusal = { readonly ok: false; readonly code: VaultRefusal; readonly schema?: SchemaMismatch };

/** A client's schema version; null: it sent none and need not have one. */
export type ClientSchema = { readonly ok: true; readonly version: number | null } | Refusal;

/** The Bearer token of a request, trimmed, or null. The scheme is case-sensitive and followed by one space (compat sheet, 2.1). */
export function bearerToken(headers: Headers): string | null {
  const header = headers.get("Authorization");
  if (header === null || !header.startsWith("Bearer ")) return null;
  // Two headers arrive joined by a comma, and no token equals the two: refused, whichever of them is right.
  const token = header.slice("Bearer ".length).trim();
  return token === "" ? null : token;
}

/** The credential of a WebSocket request: the header when it is there, else `?token=`, which is all that browsers can send. */
export function doorCredential(headers: Headers, query: URLSearchParams): string | null {
  return bearerToken(headers) ?? query.get("token");
}

/**
 * Checks the client's schema parameter. `required` false (stock doors): a client that sends none speaks no YAOS schema and is let in.
 * True (the YAOS door): missing or blank counts as 1, as the oldest plugins send none.
 */
export function checkClientSchema(query: URLSearchParams, required: boolean): ClientSchema {
  const raw = query.get("schemaVersion") ?? query.get("schema");
  if (raw === null && !required) return { ok: true, version: null };
  const version = raw === null || raw.trim() === "" ? 1 : Number(raw);
  if (Number.isSafeInteger(version) && version >= 0) return { ok: true, version };
  return { ok: false, code: "update_required", schema: { reason: "invalid_client_schema", clientSchemaVersion: null, roomSchemaVersion: null } };
}
