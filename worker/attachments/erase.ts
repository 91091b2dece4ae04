/** What erasing a vault means for its attachments in R2. What lies in the room's database goes with the room. */
import type { Env } from "../env.ts";
import { eraseFromBucket } from "./bucket.ts";
import { callRoom, forgetVault } from "./room-calls.ts";

/** Removes everything of the vault that lies in R2, and returns how many objects went. @throws what R2 throws; call it again then */
export async function eraseBlobs(env: Env, vaultId: string): Promise<number> {
  forgetVault(vaultId);
  return env.YAOS_BUCKET === undefined ? 0 : eraseFromBucket(env.YAOS_BUCKET, vaultId);
}

/** Before a vault begins anew: what an erasure left in R2, because R2 failed, must not come with it. Of a vault that is not erased nothing is removed. */
export async function eraseLeftBlobs(env: Env, vaultId: string): Promise<void> {
  if (env.YAOS_BUCKET === undefined) return;
  const asked = await callRoom(env, vaultId, "exists", { method: "POST", body: JSON.stringify({ hashes: [] }) });
  if (asked.status === 410) await eraseBlobs(env, vaultId);
}
