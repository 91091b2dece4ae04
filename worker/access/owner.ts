/** The owner's credential: `SYNC_TOKEN` when it is set (env mode), else the token somebody claimed the server with (claim mode). */

import { sameDigest, sameSecret, sha256Hex } from "../../src/access/digest.ts";
import type { OwnerConfig } from "../../src/access/owner-record.ts";
import type { Env } from "../env.ts";
import { configReader, memoryOf } from "./config-calls.ts";

/** Who owns the server, as far as this isolate knows. */
export type Owner = {
  readonly mode: "env" | "claim";
  /** Signs tickets: the token in env mode, its digest in claim mode (compat sheet, 3.2). */
  readonly key: string;
  /** Raised by every rotation; in env mode above all of them. */
  readonly epoch: number;
  /** What it was read from; null in env mode. */
  readonly config: OwnerConfig | null;
};

/**
 * What rooms remember of rotations belongs to claim mode. An install that sets `SYNC_TOKEN` later must not be refused by them; and when the variable
 * changes, the restart that brings it ends every socket.
 */
const ENV_EPOCH = Number.MAX_SAFE_INTEGER;

/** The token of env mode, or null: an unset and a blank one both mean claim mode. */
export function envToken(env: Env): string | null {
  const token = (env.SYNC_TOKEN ?? "").trim();
  return token === "" ? null : token;
}

/** The owner, or null while nobody claimed the server. At most one cached read of the config object; none in env mode. */
export async function readOwner(env: Env, request: Request): Promise<Owner | null> {
  const token = envToken(env);
  if (token !== null) return { mode: "env", key: token, epoch: ENV_EPOCH, config: null };
  return ownerOf(await memoryOf(env).cache.get(configReader(env, request)));
}

/** Tries `right` on the owner this isolate knows, and once more on a newer one before it is false: the token may have changed elsewhere. */
export async function tryOwner<T>(env: Env, request: Request, owner: Owner, right: (owner: Owner) => Promise<T | null>): Promise<{ readonly owner: Owner; readonly found: T } | null> {
  const found = await right(owner);
  if (found !== null) return { owner, found };
  if (owner.config === null) return null;
  const config = await memoryOf(env).cache.recheck(owner.config, configReader(env, request));
  const newer = config === null ? null : ownerOf(config);
  if (newer === null) return null;
  const foundNow = await right(newer);
  return foundNow === null ? null : { owner: newer, found: foundNow };
}

/** Whether `token` is the owner's. Compared as digests, in time that tells nothing. */
export async function isOwnersToken(owner: Owner, token: string): Promise<true | null> {
  const right = owner.mode === "env" ? await sameSecret(token, owner.key) : sameDigest(await sha256Hex(token), owner.key);
  return right ? true : null;
}

function ownerOf(config: OwnerConfig): Owner | null {
  return config.claimed && config.tokenHash !== null ? { mode: "claim", key: config.tokenHash, epoch: config.ownerEpoch, config } : null;
}
