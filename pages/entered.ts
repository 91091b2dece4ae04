/** What somebody may have typed wrong, found before the server is asked: of some ids and tokens it could never hear. */

/** Bytes of UTF-8 a vault id has at most; `maxRoomIdBytes` of the server, and a test compares the two. */
export const MAX_VAULT_ID_BYTES = 1_024;

/** Why no server can be asked about what was entered; the page has words for each. */
export type EntryFault = "nothing" | "unsendable token" | "long vault id" | "dots" | "broken vault id";

/** The first fault of a token and a vault id, both trimmed, or null. */
export function entryFault(token: string, vaultId: string): EntryFault | null {
  if (token === "" || vaultId === "") return "nothing";
  // A header carries bytes; beyond ASCII browser and server do not agree which, and beyond Latin-1 `fetch` throws.
  if (!/^[\x20-\x7e]+$/.test(token)) return "unsendable token";
  if (new TextEncoder().encode(vaultId).byteLength > MAX_VAULT_ID_BYTES) return "long vault id";
  // Every URL parser takes these two segments out of a path, percent-encoded or not (URL standard, "double-dot URL path segment").
  if (vaultId === "." || vaultId === "..") return "dots";
  if (/\p{Surrogate}/u.test(vaultId)) return "broken vault id";
  return null;
}
