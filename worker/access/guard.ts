/** The credential of HTTP routes: Bearer only, never a query parameter. */

import type { Context } from "hono";
import { bearerToken } from "../admission.ts";
import { errorAnswer } from "../answers.ts";
import { checkRoomId, decodeRoomId, type RoomId } from "../doors.ts";
import type { Env } from "../env.ts";
import { noteAuthFailure, tooManyAnswer } from "../limits/gate.ts";
import { noteOf } from "../request-note.ts";
import { type AccessRefusal, checkOwner, checkOwnerNow, checkToken, type Holder } from "./check.ts";
import type { Owner } from "./owner.ts";

export type Call = Context<{ Bindings: Env }>;

type Guarded<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly answer: Response };

/** Whoever may do this to the vault, or the answer: 401, 503 `unclaimed`, 403 for writes of a read-only device, 400 for an id that is none, 429. */
export async function guardVault(call: Call, act: "read" | "write", vault: RoomId): Promise<Guarded<{ readonly holder: Holder; readonly vaultId: string }>> {
  const token = bearerToken(call.req.raw.headers);
  if (!vault.ok) {
    // The credential comes first, and devices are admitted to vaults only: for an id that is none, an owner's is the only valid one.
    const owner = await guardOwner(call);
    return owner.ok ? { ok: false, answer: errorAnswer(400, vault.fault) } : owner;
  }
  noteOf(call.req.raw).vault = vault.roomId;
  const access = await checkToken(call.env, call.req.raw, token, vault.roomId, "request");
  if (!access.ok) return { ok: false, answer: await refusal(call, access) };
  if (act === "write" && access.holder.mode === "ro") return { ok: false, answer: errorAnswer(403, "read-only credential") };
  return { ok: true, holder: access.holder, vaultId: vault.roomId };
}

/** The owner, or the answer. `now`: a token replaced a moment ago does not do, wherever it was replaced. */
export async function guardOwner(call: Call, now: "now" | "cached" = "cached"): Promise<Guarded<{ readonly owner: Owner }>> {
  const check = now === "now" ? checkOwnerNow : checkOwner;
  const access = await check(call.env, call.req.raw, bearerToken(call.req.raw.headers));
  return access.ok ? access : { ok: false, answer: await refusal(call, access) };
}

/** 503 or 401, or 429 when this address got it wrong too often. */
async function refusal(call: Call, refused: AccessRefusal): Promise<Response> {
  if (refused.code === "unclaimed") return errorAnswer(503, refused.code);
  const tooMany = await noteAuthFailure(call.env, call.req.raw);
  return tooMany === null ? errorAnswer(401, refused.code) : tooManyAnswer(tooMany);
}

/** The path as it stands, undecoded; under `/vault/` empty segments are dropped, as existing servers accept doubled and trailing slashes there. */
export function rawPath(request: Request): string {
  const { pathname } = new URL(request.url);
  return pathname.startsWith("/vault/") ? `/${pathname.split("/").filter(Boolean).join("/")}` : pathname;
}

/** The vault named in the path. Hono's own decoding lets malformed escapes pass, so the raw segment is decoded here. */
export function pathVault(call: Call): RoomId {
  return decodeRoomId(rawPath(call.req.raw).split("/")[2] ?? "");
}

/** The vault named by `?vault=`, for ids that no path segment can hold. */
export function queryVault(call: Call): RoomId {
  return checkRoomId(new URL(call.req.url).searchParams.get("vault") ?? "");
}
