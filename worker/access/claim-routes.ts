/** `POST /claim`, `GET /api/capabilities`, `POST /api/update-metadata`, `POST /api/rotate` (compat sheet, 2.4; rotation is ours). */

import type { Hono } from "hono";
import * as v from "valibot";
import { readDeviceCredential } from "../../src/access/device-credential.ts";
import { sameSecret, sha256Hex } from "../../src/access/digest.ts";
import type { RoomToTell } from "../../src/access/room-list.ts";
import { LIMITS } from "../../src/limits.ts";
import { bearerToken } from "../admission.ts";
import { errorAnswer, jsonAnswer, ownJsonAnswer } from "../answers.ts";
import { attachmentsCapability } from "../attachments/backend.ts";
import type { Env } from "../env.ts";
import { readJsonBody } from "../json-body.ts";
import { noteAuthFailure, tooManyAnswer } from "../limits/gate.ts";
import { capabilities, claimCode, readAccess } from "./capabilities.ts";
import { checkOwner } from "./check.ts";
import { callConfig, type ConfigAnswer, configReader, memoryOf } from "./config-calls.ts";
import { type Call, guardOwner } from "./guard.ts";
import { envToken } from "./owner.ts";
import { tellRooms } from "./tell-rooms.ts";

const MIN_TOKEN_CHARS = 32;
const MIN_VAULT_ID_CHARS = 8;
/** A token travels in URLs and headers. */
const MAX_TOKEN_CHARS = 1_024;

/** A token somebody chose. Device credentials have a form of their own, which an owner's token must not have. */
const TOKEN = v.pipe(
  v.string(),
  v.trim(),
  v.minLength(MIN_TOKEN_CHARS),
  v.maxLength(MAX_TOKEN_CHARS),
  // Others cannot stand in a header, and are lost on the way through a form.
  v.regex(/^[\x21-\x7e]+$/),
  v.check((token) => readDeviceCredential(token) === null),
);

const VAULT_ID = v.nullish(v.pipe(v.string(), v.trim(), v.minLength(MIN_VAULT_ID_CHARS), v.maxLength(LIMITS.maxRoomIdBytes)));

export function claimRoutes(app: Hono<{ Bindings: Env }>): void {
  app.post("/claim", claim);
  app.get("/api/capabilities", answerCapabilities);
  app.post("/api/update-metadata", updateMetadata);
  app.post("/api/rotate", rotate);
  app.post("/api/rotate/resume", resumeRotation);
}

async function claim(call: Call): Promise<Response> {
  const { env } = call;
  const request = call.req.raw;
  const state = await readAccess(env, request);
  if (state.authMode !== "unclaimed") return refused(403, "already_claimed");
  // A page of somebody else's, open in a browser that reaches this server, must not claim it.
  if (request.headers.get("Sec-Fetch-Site") === "cross-site") return refused(403, "cross-site claim");
  const body = await readJsonBody(request, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return refused(body.status, body.error);
  const token = v.safeParse(TOKEN, body.value["token"]);
  if (!token.success) return refused(400, "invalid token");
  const vaultId = v.safeParse(VAULT_ID, body.value["vaultId"]);
  if (!vaultId.success) return refused(400, "invalid vaultId");
  const code = claimCode(env);
  if (code !== null) {
    const given = body.value["claimCode"];
    if (typeof given !== "string" || !(await sameSecret(given.trim(), code))) {
      const tooMany = await noteAuthFailure(env, request);
      return tooMany === null ? refused(403, "invalid claim code") : tooManyAnswer(tooMany);
    }
  }

  const answer = await callConfig(env, "POST", "/__yaos/claim", { tokenHash: await sha256Hex(token.output) });
  memoryOf(env).cache.drop();
  if (answer.status === 403) return refused(403, "already_claimed");
  if (answer.status !== 200) throw new Error(`Cannot claim: status ${answer.status}`);
  const host = new URL(request.url).origin;
  const link = new URLSearchParams({ action: "setup", host, token: token.output, ...(vaultId.output ? { vaultId: vaultId.output } : {}) });
  const now = { authMode: "claim", claimCodeNeeded: false } as const;
  const updates = await memoryOf(env).cache.get(configReader(env, request));
  return ownJsonAnswer({ ok: true, host, obsidianUrl: `obsidian://yaos?${link}`, capabilities: capabilities(now, updates, attachmentsCapability(env)) });
}

function refused(status: number, error: string): Response {
  return ownJsonAnswer({ error }, status);
}

/** Always 200, also for a wrong Bearer, which only goes without the owner's part. */
async function answerCapabilities(call: Call): Promise<Response> {
  const { env } = call;
  const request = call.req.raw;
  const state = await readAccess(env, request);
  const presented = bearerToken(request.headers);
  const isOwner = state.authMode !== "unclaimed" && presented !== null && (await checkOwner(env, request, presented)).ok;
  const updates = isOwner ? await memoryOf(env).cache.get(configReader(env, request)) : null;
  return jsonAnswer(capabilities(state, updates, attachmentsCapability(env)));
}

async function updateMetadata(call: Call): Promise<Response> {
  const { env } = call;
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  const body = await readJsonBody(call.req.raw, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return errorAnswer(body.status, body.error);
  const { updateProvider, updateRepoUrl, updateRepoBranch } = body.value as Record<"updateProvider" | "updateRepoUrl" | "updateRepoBranch", unknown>;
  const answer = await callConfig(env, "POST", "/__yaos/update-metadata", { updateProvider, updateRepoUrl, updateRepoBranch });
  memoryOf(env).cache.drop();
  if (answer.status !== 200) {
    const status = answer.status === 400 || answer.status === 403 ? answer.status : 500;
    return errorAnswer(status, `update metadata write failed (${answer.status}): ${JSON.stringify(answer.body)}`);
  }
  const updates = await memoryOf(env).cache.get(configReader(env, call.req.raw));
  return jsonAnswer({ ok: true, capabilities: capabilities(await readAccess(env, call.req.raw), updates, attachmentsCapability(env)) });
}

/** Replaces the owner's token. Tickets signed with the old one end with it; so do the owner's sockets, which the rooms are told to close. */
async function rotate(call: Call): Promise<Response> {
  const { env } = call;
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  if (envToken(env) !== null) return errorAnswer(409, "env_mode");
  const body = await readJsonBody(call.req.raw, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return errorAnswer(body.status, body.error);
  const token = v.safeParse(TOKEN, body.value["token"]);
  if (!token.success) return errorAnswer(400, "invalid token");
  const newHash = await sha256Hex(token.output);
  const answer = await callConfig(env, "POST", "/__yaos/rotate", { oldHash: guarded.owner.key, newHash });
  memoryOf(env).cache.drop();
  return tellOfRotation(env, answer);
}

/** Goes on telling rooms of the last rotation, those that have not been told. Repeatable. */
async function resumeRotation(call: Call): Promise<Response> {
  const { env } = call;
  const guarded = await guardOwner(call, "now");
  if (!guarded.ok) return guarded.answer;
  if (envToken(env) !== null) return errorAnswer(409, "env_mode");
  return tellOfRotation(env, await callConfig(env, "POST", "/__yaos/rotate/resume", { ownerHash: guarded.owner.key }));
}

async function tellOfRotation(env: Env, answer: ConfigAnswer): Promise<Response> {
  const { error, rooms, ownerEpoch } = answer.body as { error?: string; rooms?: readonly RoomToTell[]; ownerEpoch?: number };
  if (answer.status !== 200 || rooms === undefined || ownerEpoch === undefined) return errorAnswer(answer.status === 401 ? 401 : 400, error ?? "invalid request");
  return jsonAnswer({ ok: true, ...(await tellRooms(env, rooms, { by: "owner", below: ownerEpoch })) });
}
