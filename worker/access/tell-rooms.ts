/** Tells rooms that access ended, so that sockets already open end too. */

import type { RoomToTell } from "../../src/access/room-list.ts";
import { LIMITS } from "../../src/limits.ts";
import type { Env } from "../env.ts";
import { callConfig } from "./config-calls.ts";

/** Which credential (`owner` or a device id), and below which epoch it is no longer good. */
export type Revocation = { readonly by: string; readonly below: number };

/** Sockets closed, and the vaults whose room has not been told: their sockets may be open still. */
export type Told = { readonly closed: number; readonly notReached: readonly string[] };

/**
 * Tells `rooms` in their order, a few at once, wave by wave, while this request may make calls. After each wave the config object keeps which were told:
 * the same question asked again goes on with the rest, also when this request is cut off. A room that fails is tried twice. Never throws.
 */
export async function tellRooms(env: Env, rooms: readonly RoomToTell[], revocation: Revocation): Promise<Told> {
  const told = new Set<number>();
  let closed = 0;
  let calls = 0;
  const tell = async (vault: string): Promise<number | null> => (calls++ < LIMITS.maxRoomCalls ? tellRoom(env, vault, revocation) : null);
  for (let begin = 0; begin < rooms.length && calls < LIMITS.maxRoomCalls; begin += LIMITS.roomCallsPerWave) {
    const wave = rooms.slice(begin, begin + LIMITS.roomCallsPerWave);
    const failed: number[] = [];
    const waiting = wave.values();
    const worker = async (): Promise<void> => {
      for (const { vault, number } of waiting) {
        if (calls >= LIMITS.maxRoomCalls) return;
        const count = (await tell(vault)) ?? (await tell(vault));
        if (count === null) failed.push(number);
        else told.add(number);
        closed += count ?? 0;
      }
    };
    await Promise.all(Array.from({ length: LIMITS.roomCallsAtOnce }, worker));
    const report = { ...revocation, told: wave.map(({ number }) => number).filter((number) => told.has(number)), failed };
    // What is not kept is told once more next time.
    await callConfig(env, "POST", "/__yaos/told", report).catch(() => undefined);
  }
  return { closed, notReached: rooms.filter(({ number }) => !told.has(number)).map(({ vault }) => vault).sort() };
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
