/** Devices and pairings: `GET`/`POST /api/devices`, `DELETE /api/devices/:id`, `POST /api/pairings` for the owner; `POST /api/pair` for whoever has a code. */

import type { Hono } from "hono";
import { isDeviceId } from "../../src/access/device-credential.ts";
import { readPairingCode } from "../../src/access/pairing-code.ts";
import type { RoomToTell } from "../../src/access/room-list.ts";
import { LIMITS } from "../../src/limits.ts";
import { errorAnswer, jsonAnswer } from "../answers.ts";
import type { Env } from "../env.ts";
import { readJsonBody } from "../json-body.ts";
import { noteAuthFailure, tooManyAnswer } from "../limits/gate.ts";
import { callConfig } from "./config-calls.ts";
import { type Call, guardOwner } from "./guard.ts";
import type { Owner } from "./owner.ts";
import { tellRooms } from "./tell-rooms.ts";

export function deviceRoutes(app: Hono<{ Bindings: Env }>): void {
  app.get("/api/devices", list);
  app.post("/api/devices", (call) => make(call, "/__yaos/devices/create"));
  app.delete("/api/devices/:id", revoke);
  app.post("/api/pairings", (call) => make(call, "/__yaos/pairings"));
  app.post("/api/pair", redeem);
}

async function list(call: Call): Promise<Response> {
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  const { status, body } = await callConfig(call.env, "GET", "/__yaos/devices");
  return jsonAnswer(body, status);
}

/** Makes a device, or a code for one, of the same body: `{name, vault?, mode?}`. */
async function make(call: Call, path: "/__yaos/devices/create" | "/__yaos/pairings"): Promise<Response> {
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  const body = await readJsonBody(call.req.raw, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return errorAnswer(body.status, body.error);
  const { name, vault, mode } = body.value as Record<"name" | "vault" | "mode", unknown>;
  const answer = await callConfig(call.env, "POST", path, { name, vault, mode, ownerHash: proofOf(guarded.owner) });
  return jsonAnswer(answer.body, answer.status);
}

/** Answered when the rooms the device had sockets in have closed them, or are named. A repeat goes on with those not told. */
async function revoke(call: Call): Promise<Response> {
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  const id = new URL(call.req.url).pathname.split("/")[3];
  if (!isDeviceId(id)) return errorAnswer(404, "not found");
  const { status, body } = await callConfig(call.env, "POST", "/__yaos/devices/revoke", { id, ownerHash: proofOf(guarded.owner) });
  if (status !== 200) return jsonAnswer(body, status);
  const { rooms, epoch } = body as { rooms: readonly RoomToTell[]; epoch: number };
  return jsonAnswer({ ok: true, ...(await tellRooms(call.env, rooms, { by: id, below: epoch + 1 })) });
}

async function redeem(call: Call): Promise<Response> {
  const body = await readJsonBody(call.req.raw, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return errorAnswer(body.status, body.error);
  const code = readPairingCode(body.value["code"]);
  if (code === null) return errorAnswer(400, "invalid code");
  const { status, body: answer } = await callConfig(call.env, "POST", "/__yaos/pairings/redeem", { code });
  // Only once it is known to be wrong: whoever has a right one gets in, whatever was tried before it.
  const tooMany = status === 403 ? await noteAuthFailure(call.env, call.req.raw) : null;
  return tooMany === null ? jsonAnswer(answer, status) : tooManyAnswer(tooMany);
}

/** The digest the config object compares once more in its own turn; null in env mode, where it has none. */
function proofOf(owner: Owner): string | null {
  return owner.mode === "claim" ? owner.key : null;
}
