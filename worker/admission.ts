/**
 * Who may come in: the credential, then the client's schema. Decided before any room object is touched.
 * Claiming, tickets and devices will join `checkCredential`; the room's own schema joins through `olderThanRoom`.
 */

import type { VaultRefusal } from "../src/protocol/close-codes.ts";
import type { SchemaMismatch } from "../src/protocol/custom.ts";

/** Either in, or out with the code the wire spells and, for schemas, the details. */
export type Admission = { readonly ok: true } | { readonly ok: false; readonly code: VaultRefusal; readonly schema?: SchemaMismatch };

const ADMITTED: Admission = { ok: true };

/** The Bearer token of a request, trimmed, or null. The scheme is case-sensitive and followed by one space (compat sheet, 2.1). */
export function bearerToken(headers: Headers): string | null {
  const header = headers.get("Authorization");
  if (header === null || !header.startsWith("Bearer ")) return null;
  const token = header.slice("Bearer ".length).trim();
  return token === "" ? null : token;
}

/** Compares the presented token with the server's, in time that tells nothing of either. */
export async function checkCredential(presented: string | null, syncToken: string | undefined): Promise<Admission> {
  const expected = (syncToken ?? "").trim();
  if (expected === "") return { ok: false, code: "unclaimed" };
  const given = (presented ?? "").trim();
  if (given === "" || !(await sameText(given, expected))) return { ok: false, code: "unauthorized" };
  return ADMITTED;
}

/** The credential of a WebSocket request: the header when it is there, else `?token=`, which is all that browsers can send. */
export function doorCredential(headers: Headers, query: URLSearchParams): string | null {
  return bearerToken(headers) ?? query.get("token");
}

/**
 * Checks the client's schema parameter. `required` false (stock doors): a client that sends none speaks no YAOS schema and is let in.
 * True (the YAOS door): missing or blank counts as 1, as the oldest plugins send none.
 */
export function checkClientSchema(query: URLSearchParams, required: boolean): Admission {
  const raw = query.get("schemaVersion") ?? query.get("schema");
  if (raw === null && !required) return ADMITTED;
  const version = raw === null || raw.trim() === "" ? 1 : Number(raw);
  if (Number.isSafeInteger(version) && version >= 0) return ADMITTED;
  return { ok: false, code: "update_required", schema: { reason: "invalid_client_schema", clientSchemaVersion: null, roomSchemaVersion: null } };
}

/** Refuses a client whose schema is older than the room's. A room without one admits everybody, and a newer client is always let in. */
export function olderThanRoom(clientSchemaVersion: number, roomSchemaVersion: number | null): Admission {
  if (roomSchemaVersion === null || clientSchemaVersion >= roomSchemaVersion) return ADMITTED;
  return { ok: false, code: "update_required", schema: { reason: "client_schema_older_than_room", clientSchemaVersion, roomSchemaVersion } };
}

/** Equality of digests: neither length nor common prefix of the texts shows in the time. */
async function sameText(a: string, b: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const [left, right] = await Promise.all([
    crypto.subtle.digest("SHA-256", encoder.encode(a)),
    crypto.subtle.digest("SHA-256", encoder.encode(b)),
  ]);
  const l = new Uint8Array(left);
  const r = new Uint8Array(right);
  let difference = 0;
  for (let i = 0; i < l.length; i++) difference |= (l[i] ?? 0) ^ (r[i] ?? 0);
  return difference === 0;
}
