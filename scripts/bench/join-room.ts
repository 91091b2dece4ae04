/** Getting clients into a room the way each server expects it. */
import { BenchClient } from "./client.ts";
import type { Running } from "./servers.ts";
import { EMPTY_VECTOR } from "./wire.ts";
import type { Vault } from "./vaults.ts";

/** An update without structs and deletions: what an empty client answers to a step 1. */
export const EMPTY_UPDATE: Uint8Array = new Uint8Array([0, 0]);

/** A client that has everything the server has. The relay knows no sync, so there a client is caught up once it is connected. */
export async function joinUpToDate(server: Running, vault: Vault): Promise<BenchClient> {
  if (server.kind === "relay") return await BenchClient.open(server.url(vault.name));
  return (await BenchClient.connectAndSync(server.url(vault.name), await currentVector(server, vault), vault.upToDateAnswer)).client;
}

/** A caught-up client of a room that holds little or nothing. */
export async function joinSmall(server: Running, room: string): Promise<BenchClient> {
  if (server.kind === "relay") return await BenchClient.open(server.url(room));
  return (await BenchClient.connectAndSync(server.url(room), EMPTY_VECTOR, EMPTY_UPDATE)).client;
}

/**
 * The vector of a client that has the vault and everything typed into it by earlier cases: the server's own, from its step 1.
 * Claiming it is honest enough: the answer to a step 1 is then the vault's deletions, and the bench never deletes.
 */
export async function currentVector(server: Running, vault: Vault): Promise<Uint8Array> {
  const client = await BenchClient.open(server.url(vault.name));
  if (client.serverVector === null) await client.waitFrame((frame) => frame.kind === "step1");
  const vector = client.serverVector;
  await client.close();
  if (vector === null) throw new Error("bench: the server sent no step 1");
  return vector.slice();
}
