/** Tells rooms that access ended, so that sockets already open end too. */

import { LIMITS } from "../../src/limits.ts";
import type { Env } from "../env.ts";

/** Which credential (`owner` or a device id), and below which epoch it is no longer good. */
export type Revocation = { readonly by: string; readonly below: number };

/** Sockets closed, and the vaults whose room could not be told: their sockets may be open still. */
export type Told = { readonly closed: number; readonly notReached: readonly string[] };

/** Tells all `vaults`, a few at once, and comes back when each has answered or failed twice. Never throws. */
export async function tellRooms(env: Env, vaults: readonly string[], revocation: Revocation): Promise<Told> {
  const waiting = vaults.slice(0, LIMITS.maxRoomCalls);
  const notReached = vaults.slice(LIMITS.maxRoomCalls);
  let closed = 0;
  let at = 0;
  const worker = async (): Promise<void> => {
    for (let vault = waiting[at++]; vault !== undefined; vault = waiting[at++]) {
      const count = (await tellRoom(env, vault, revocation)) ?? (await tellRoom(env, vault, revocation));
      if (count === null) notReached.push(vault);
      else closed += count;
    }
  };
  await Promise.all(Array.from({ length: LIMITS.roomCallsAtOnce }, worker));
  return { closed, notReached: notReached.sort() };
}

/** How many sockets the room closed, or null when it did not answer as it should. */
async function tellRoom(env: Env, vault: string, revocation: Revocation): Promise<number | null> {
  try {
    const room = env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vault));
    const answer = await room.fetch("https://internal/__yaos/revoke", { method: "POST", body: JSON.stringify(revocation) });
    if (!answer.ok) {
      await answer.body?.cancel();
      return null;
    }
    const { closed } = await answer.json<{ closed?: unknown }>();
    return typeof closed === "number" ? closed : null;
  } catch {
    return null;
  }
}
