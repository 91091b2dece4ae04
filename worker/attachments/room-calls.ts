/** What the attachment routes ask of a vault's room, and what an isolate remembers of the answers. */
import type { Env } from "../env.ts";
import { blobBackend } from "./backend.ts";

/**
 * When this isolate last heard of a vault, by a room that noted its use of R2, that it is not erased; epoch milliseconds.
 * Bounds what an R2 that cannot be emptied may still serve of an erased vault, at one room request a minute for those who read.
 */
const standing = new Map<string, number>();
const STANDING_MS = 60_000;
const MAX_STANDING = 1_000;

/** Whether this install has no bucket and its owner did not choose the database by name: then a vault that may have attachments in R2 must not seem empty. */
export function lacksBucket(env: Env): boolean {
  const backend = blobBackend(env);
  return env.YAOS_BUCKET === undefined && !(backend.kind === "sql" && backend.isChosen);
}

export async function callRoom(env: Env, vaultId: string, name: string, init: RequestInit, query = ""): Promise<Response> {
  const auto = lacksBucket(env) ? "auto=1&" : "";
  const room = env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vaultId));
  return room.fetch(`https://internal/__yaos/blobs/${name}?${auto}${query}`, init);
}

/**
 * Has the room note that its vault has attachments in R2. Returns since when, or the room's refusal: 410 when the vault is erased.
 * An erased vault forgets it, so another time than before says that it was erased in between. @throws what the room's stub throws
 */
export async function noteBucketUse(env: Env, vaultId: string): Promise<number | Response> {
  const answer = await callRoom(env, vaultId, "r2-used", { method: "POST" });
  if (!answer.ok) {
    standing.delete(vaultId);
    return answer;
  }
  const { since } = await answer.json<{ since: number }>();
  if (standing.size >= MAX_STANDING) standing.clear();
  standing.set(vaultId, Date.now());
  return since;
}

/** Before anything found in R2 is given out: null, or the room's refusal. An older server perhaps left it there, so its use is noted. */
export async function refusalOfRoom(env: Env, vaultId: string): Promise<Response | null> {
  if (Date.now() - (standing.get(vaultId) ?? 0) < STANDING_MS) return null;
  const noted = await noteBucketUse(env, vaultId);
  return noted instanceof Response ? noted : null;
}

/** This isolate is about to erase the vault. */
export function forgetVault(vaultId: string): void {
  standing.delete(vaultId);
}
