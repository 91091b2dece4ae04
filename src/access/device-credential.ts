/** A device's credential as text: `yd1.<id>.<secret>`. The id finds its row, the secret proves it; the server keeps only the secret's digest. */

import { toBase64url } from "./base64url.ts";

const FORM = /^yd1\.([A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{43})$/;
const ID = /^[A-Za-z0-9_-]{12}$/;

/** Random bytes behind the 12 characters of an id, and behind the 43 of a secret. */
export const DEVICE_ID_BYTES = 9;
export const DEVICE_SECRET_BYTES = 32;

export type DeviceCredential = { readonly id: string; readonly secret: string };

/** Reads a credential, or null when `text` does not have the form; then it can only be an owner's token. */
export function readDeviceCredential(text: string): DeviceCredential | null {
  const parts = FORM.exec(text);
  return parts === null ? null : { id: parts[1] ?? "", secret: parts[2] ?? "" };
}

/** @param random at least `DEVICE_ID_BYTES + DEVICE_SECRET_BYTES` random bytes */
export function makeDeviceCredential(random: Uint8Array): DeviceCredential & { readonly text: string } {
  const id = toBase64url(random.subarray(0, DEVICE_ID_BYTES));
  const secret = toBase64url(random.subarray(DEVICE_ID_BYTES, DEVICE_ID_BYTES + DEVICE_SECRET_BYTES));
  return { id, secret, text: `yd1.${id}.${secret}` };
}

export function isDeviceId(value: unknown): value is string {
  return typeof value === "string" && ID.test(value);
}
