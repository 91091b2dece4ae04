/** Secrets made in the browser, so that the server never chooses them. `getRandomValues` works without TLS too, unlike `crypto.subtle`. */

/** An owner token: 32 random bytes as 64 hex digits. */
export function makeToken(): string {
  return Array.from(randomBytes(32), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A vault id: 16 random bytes as base64url without padding, 22 characters. */
export function makeVaultId(): string {
  return btoa(String.fromCharCode(...randomBytes(16)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}
