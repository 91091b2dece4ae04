/**
 * `DELETE /vault/:id` removes a vault for good and keeps its devices out; `POST /vault/:id/unerase` lets them in again, to an empty vault.
 * The owner's, and dark unless switched on.
 */

import type { Hono } from "hono";
import { LIMITS } from "../src/limits.ts";
import { callConfig } from "./access/config-calls.ts";
import { type Call, guardOwner, pathVault } from "./access/guard.ts";
import { errorAnswer, withCors } from "./answers.ts";
import { blobError } from "./attachments/blob-answer.ts";
import { eraseBlobs, eraseLeftBlobs } from "./attachments/erase.ts";
import { lacksBucket } from "./attachments/room-calls.ts";
import type { Env } from "./env.ts";
import { readJsonBody } from "./json-body.ts";

export function eraseRoutes(app: Hono<{ Bindings: Env }>): void {
  app.delete("/vault/:id", (call) => act(call, "erase"));
  app.post("/vault/:id/unerase", (call) => act(call, "unerase"));
}

async function act(call: Call, what: "erase" | "unerase"): Promise<Response> {
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  if (!call.env.YAOS_ENABLE_ADMIN_ROUTES) return errorAnswer(404, "not found");
  const vault = pathVault(call);
  if (!vault.ok) return errorAnswer(400, vault.fault);
  const body = await readJsonBody(call.req.raw, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return errorAnswer(body.status, body.error);
  // Said twice, since nothing brings it back.
  if (body.value["vaultId"] !== vault.roomId) return errorAnswer(400, "vaultId does not match");
  if (what === "unerase" && !(await emptied(eraseLeftBlobs(call.env, vault.roomId)))) return withCors(blobError("storage"));
  const room = call.env.YAOS_SYNC.get(call.env.YAOS_SYNC.idFromName(vault.roomId));
  const answer = await room.fetch(`https://internal/__yaos/${what}${lacksBucket(call.env) ? "?auto=1" : ""}`, { method: "POST", body: "{}" });
  // After the room: from then on no device brings attachments back. When R2 fails, the owner does it again.
  if (what === "erase" && answer.ok && !(await emptied(eraseBlobs(call.env, vault.roomId)))) return withCors(blobError("storage"));
  // Last, so that an erase that failed half-way is still one of a vault that everybody knows.
  if (what === "erase" && answer.ok) await callConfig(call.env, "POST", "/__yaos/rooms/forget", { vaultId: vault.roomId });
  return withCors(answer);
}

/** Whether R2 was emptied. */
async function emptied(erasing: Promise<unknown>): Promise<boolean> {
  try {
    await erasing;
    return true;
  } catch (error) {
    console.error(JSON.stringify({ event: "erase.bucket-failed", error: error instanceof Error ? error.name : typeof error }));
    return false;
  }
}
