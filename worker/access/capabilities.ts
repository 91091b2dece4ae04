/** What the server says it can do, to plugins that ask before they connect (compat sheet, 2.4). */

import type { OwnerConfig } from "../../src/access/owner-record.ts";
import { LIMITS } from "../../src/limits.ts";
import type { Env } from "../env.ts";
import { SERVER_VERSION } from "../version.ts";
import { configReader, memoryOf } from "./config-calls.ts";
import { envToken } from "./owner.ts";

/** Every released plugin falls within these; the room's own schema decides who must update (SPEC, AU). */
const MIN_SCHEMA = 1;
const MAX_SCHEMA = 3;

/** Whether and how the server is owned. */
export type OwnerState = { readonly authMode: "env" | "claim" | "unclaimed"; readonly claimCodeNeeded: boolean };

/** At most one cached read of the config object. @throws when it cannot be read */
export async function readAccess(env: Env, request: Request): Promise<OwnerState> {
  if (envToken(env) !== null) return { authMode: "env", claimCodeNeeded: false };
  const config = await memoryOf(env).cache.get(configReader(env, request));
  return config.claimed ? { authMode: "claim", claimCodeNeeded: false } : { authMode: "unclaimed", claimCodeNeeded: claimCode(env) !== null };
}

/** The code a claim must name, or null when anybody may be first. */
export function claimCode(env: Env): string | null {
  const code = (env.YAOS_CLAIM_CODE ?? "").trim();
  return code === "" ? null : code;
}

/** Where updates come from, for the owner's eyes; null: the caller is not the owner. */
type Updates = Pick<OwnerConfig, "updateProvider" | "updateRepoUrl" | "updateRepoBranch"> | null;

export function capabilities(state: OwnerState, updates: Updates, attachments: boolean): Record<string, unknown> {
  return {
    claimed: state.authMode !== "unclaimed",
    authMode: state.authMode,
    attachments,
    snapshots: false,
    maxBlobUploadBytes: LIMITS.maxBlobUploadBytes,
    socketTicketAuth: true,
    serverVersion: SERVER_VERSION,
    minPluginVersion: null,
    recommendedPluginVersion: "1.5.0",
    minSchemaVersion: MIN_SCHEMA,
    maxSchemaVersion: MAX_SCHEMA,
    migrationRequired: false,
    updateProvider: updates?.updateProvider ?? null,
    updateRepoUrl: updates?.updateRepoUrl ?? null,
    updateRepoBranch: updates?.updateRepoBranch ?? null,
    deviceAuth: true,
    claimCodeRequired: state.claimCodeNeeded,
  };
}
