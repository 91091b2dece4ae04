/** Where an install keeps new attachments, decided from its bindings and `YAOS_BLOB_BACKEND` alone. */
import { LIMITS } from "../../src/limits.ts";
import type { Env } from "../env.ts";

/**
 * `r2`: the bucket; the room's database is read too, for what came before the bucket.
 * `sql`: the room's database. `isChosen`: the owner said so, and a vault that used R2 before goes on in its database all the same. `bucket`, when there is one, is read too.
 * `none`: R2 was asked for by name and is not bound, or the variable says something unknown.
 */
export type BlobBackend =
  | { readonly kind: "r2"; readonly bucket: R2Bucket }
  | { readonly kind: "sql"; readonly isChosen: boolean; readonly bucket: R2Bucket | null }
  | { readonly kind: "none" };

export function blobBackend(env: Env): BlobBackend {
  const bucket = env.YAOS_BUCKET ?? null;
  switch ((env.YAOS_BLOB_BACKEND ?? "").trim().toLowerCase()) {
    case "":
    case "auto":
      return bucket === null ? { kind: "sql", isChosen: false, bucket } : { kind: "r2", bucket };
    case "r2":
      return bucket === null ? { kind: "none" } : { kind: "r2", bucket };
    case "sql":
      return { kind: "sql", isChosen: true, bucket };
    default:
      return { kind: "none" };
  }
}

/** What capabilities say: whether this install takes attachments at all. */
export function attachmentsCapability(env: Env): boolean {
  return blobBackend(env).kind !== "none";
}

/** Bytes of attachments a room's database may hold: `YAOS_BLOB_QUOTA_BYTES` when it is a whole number from 0 on, else `maxVaultBlobBytes`. */
export function blobQuotaBytes(env: Env): number {
  const text = (env.YAOS_BLOB_QUOTA_BYTES ?? "").trim();
  const bytes = Number(text);
  return /^\d+$/.test(text) && Number.isSafeInteger(bytes) ? bytes : LIMITS.maxVaultBlobBytes;
}
