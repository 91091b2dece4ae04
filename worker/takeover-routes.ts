/** Routes about the storage an older server left. The owner's; those that change anything are dark unless switched on, as compaction is. */
import type { Hono } from "hono";
import { LIMITS } from "../src/limits.ts";
import { type Call, guardOwner, pathVault, queryVault } from "./access/guard.ts";
import { errorAnswer, withCors } from "./answers.ts";
import type { RoomId } from "./doors.ts";
import type { Env } from "./env.ts";
import { readOptionalJsonBody } from "./json-body.ts";

export function takeoverRoutes(app: Hono<{ Bindings: Env }>): void {
  for (const act of ["cleanup-kv", "takeover"] as const) {
    app.post(`/vault/:id/debug/${act}`, (call) => change(call, pathVault(call), act));
    app.post(`/__yaos/${act}`, (call) => change(call, queryVault(call), act));
  }
  app.get("/vault/:id/debug/legacy-document", (call) => readDocument(call, pathVault(call)));
  app.get("/__yaos/legacy-document", (call) => readDocument(call, queryVault(call)));
}

async function change(call: Call, vault: RoomId, act: string): Promise<Response> {
  const guarded = await guardOwner(call);
  if (!guarded.ok) return guarded.answer;
  if (!call.env.YAOS_ENABLE_ADMIN_ROUTES) return errorAnswer(404, "not found");
  if (!vault.ok) return errorAnswer(400, vault.fault);
  // Looked at before an object is.
  const body = await readOptionalJsonBody(call.req.raw, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return errorAnswer(body.status, body.error);
  return withCors(await roomOf(call, vault.roomId).fetch(`https://internal/__yaos/${act}`, { method: "POST", body: JSON.stringify(body.value) }));
}

async function readDocument(call: Call, vault: RoomId): Promise<Response> {
  const guarded = await guardOwner(call);
  if (!guarded.ok) return guarded.answer;
  if (!vault.ok) return errorAnswer(400, vault.fault);
  return withCors(await roomOf(call, vault.roomId).fetch("https://internal/__yaos/legacy-document"));
}

function roomOf(call: Call, roomId: string): DurableObjectStub {
  const rooms = call.env.YAOS_SYNC;
  return rooms.get(rooms.idFromName(roomId));
}
