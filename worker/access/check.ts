/**
 * Who asks: the owner or a device, by token or by ticket. Decided before any room is touched.
 * Object requests: an owner's credential and a wrong one at most a cached read of the config, a device's one admission, which notes the vault of a socket too.
 */

import type { AccessMode } from "../../src/access/device-store.ts";
import { readDeviceCredential } from "../../src/access/device-credential.ts";
import { sha256Hex } from "../../src/access/digest.ts";
import { verifyTicket } from "../../src/access/ticket.ts";
import type { Env } from "../env.ts";
import { noteOf } from "../request-note.ts";
import { callConfig, configReader, deviceIdReader, memoryOf } from "./config-calls.ts";
import { envToken, isOwnersToken, type Owner, readOwner, tryOwner } from "./owner.ts";

/** Whoever was found to hold a credential, as the room is told. */
export type Holder = {
  /** `owner`, or a device id. */
  readonly by: string;
  readonly mode: AccessMode;
  /** Of the credential: a room refuses it when a revocation came later. */
  readonly epoch: number;
};

/** What access is asked for. */
export type Use = "socket" | "request";

export type AccessRefusal = { readonly ok: false; readonly code: "unauthorized" | "unclaimed" };
export type Access = { readonly ok: true; readonly holder: Holder } | AccessRefusal;

const UNAUTHORIZED: AccessRefusal = { ok: false, code: "unauthorized" };
const UNCLAIMED: AccessRefusal = { ok: false, code: "unclaimed" };

/** Checks a Bearer or `?token=` for a vault: the owner's token, or a device's credential that covers it. @param use `socket`: noted, so that a revocation ends it */
export async function checkToken(env: Env, request: Request, presented: string | null, vault: string, use: Use): Promise<Access> {
  const token = (presented ?? "").trim();
  const device = readDeviceCredential(token);
  if (device !== null) return noted(request, await admitDevice(env, request, device.id, await sha256Hex(device.secret), vault, use));
  const owner = await checkOwner(env, request, token);
  return owner.ok ? { ok: true, holder: { by: "owner", mode: "rw", epoch: owner.owner.epoch } } : owner;
}

/** Checks a ticket for a vault and nothing else: a bad one never falls back to a token (compat sheet, 3.1). */
export async function checkTicket(env: Env, request: Request, ticket: string, vault: string, use: Use): Promise<Access> {
  const owner = await readOwner(env, request);
  if (owner === null) return noted(request, UNCLAIMED);
  const tried = await tryOwner(env, request, owner, (candidate) => verifyTicket(ticket, candidate.key, vault, Date.now()));
  if (tried === null) return noted(request, UNAUTHORIZED);
  const { device } = tried.found;
  if (device !== null) return noted(request, await admitDevice(env, request, device, null, vault, use));
  return noted(request, { ok: true, holder: { by: "owner", mode: "rw", epoch: tried.owner.epoch } });
}

/** Checks the owner's token alone: devices are refused without asking for them. */
export async function checkOwner(env: Env, request: Request, presented: string | null): Promise<{ readonly ok: true; readonly owner: Owner } | AccessRefusal> {
  const token = (presented ?? "").trim();
  const owner = await readOwner(env, request);
  if (owner === null) return refused(request, UNCLAIMED);
  const tried = token === "" ? null : await tryOwner(env, request, owner, (candidate) => isOwnersToken(candidate, token));
  if (tried === null) return refused(request, UNAUTHORIZED);
  noteOf(request).auth = "owner";
  return { ok: true, owner: tried.owner };
}

/**
 * As `checkOwner`, and against what the config object says now when this isolate's copy is older than two seconds:
 * for what hands out or takes away access, where a token replaced a moment ago must not do.
 */
export async function checkOwnerNow(env: Env, request: Request, presented: string | null): Promise<{ readonly ok: true; readonly owner: Owner } | AccessRefusal> {
  const first = await checkOwner(env, request, presented);
  if (!first.ok || first.owner.config === null) return first;
  const newer = await memoryOf(env).cache.recheck(first.owner.config, configReader(env, request));
  return newer === null ? first : checkOwner(env, request, presented);
}

/** Asks the config object whether a device may come to this vault, which notes a socket before there is one. */
async function admitDevice(env: Env, request: Request, id: string, secretHash: string | null, vault: string, use: Use): Promise<Access> {
  const { cache, refusals } = memoryOf(env);
  const key = `${id} ${secretHash ?? "ticket"} ${vault}`;
  if (refusals.has(key) || refusals.isWrong(id, secretHash)) return UNAUTHORIZED;
  const worthAsking = refusals.worthAsking(id, deviceIdReader(env, request));
  noteOf(request).keep(worthAsking.catch(() => undefined));
  if (!(await worthAsking)) return UNAUTHORIZED;
  const { status, body } = await callConfig(env, "POST", "/__yaos/devices/admit", { id, secretHash, vault, socket: use === "socket" });
  if (status !== 200) throw new Error(`Cannot admit a device: status ${status}`);
  const { ok, mode, epoch, ownerEpoch, claimed, secretHash: right } = body as Partial<Record<"ok" | "mode" | "epoch" | "ownerEpoch" | "claimed" | "secretHash", unknown>>;
  if (ok === true && (mode === "rw" || mode === "ro") && typeof epoch === "number") {
    // A ticket made for the device must be signed with the owner's key of now.
    if (typeof ownerEpoch === "number") cache.heardOf(ownerEpoch);
    return { ok: true, holder: { by: id, mode, epoch } };
  }
  if (typeof right === "string") refusals.learn(id, right);
  if (claimed === false && envToken(env) === null) return UNCLAIMED;
  refusals.add(key);
  noteOf(request).auth = "refused";
  return UNAUTHORIZED;
}

function noted(request: Request, access: Access): Access {
  noteOf(request).auth = !access.ok ? "refused" : access.holder.by === "owner" ? "owner" : "device";
  return access;
}

function refused(request: Request, refusal: AccessRefusal): AccessRefusal {
  noteOf(request).auth = "refused";
  return refusal;
}
