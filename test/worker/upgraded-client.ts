/** Clients on real upgrades through the Worker's own fetch, inside workerd; each test's are closed after it. */
import { env as anyEnv, exports } from "cloudflare:workers";
import { afterEach, expect } from "vitest";
import type { Env } from "../../worker/env.ts";
import { RoomSocket } from "../kit/room-socket.ts";

export const env = anyEnv as unknown as Env;
export const worker = (exports as unknown as { default: Fetcher }).default;
export const BEARER = { Authorization: "Bearer test-token" };
const open: RoomSocket[] = [];

afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

export function stubOf(vault: string): DurableObjectStub {
  return env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vault));
}

/** @param schema what the client announces, as released plugins do by default */
export async function join(vault: string, schema = 2): Promise<RoomSocket> {
  return take(await worker.fetch(`https://host/vault/sync/${vault}?token=test-token&schemaVersion=${schema}`, { headers: { Upgrade: "websocket" } }));
}

/** A client on the socket of an answered upgrade, once it is synced. */
export async function take(answer: Response): Promise<RoomSocket> {
  expect(answer.status).toBe(101);
  const socket = answer.webSocket!;
  socket.binaryType = "arraybuffer";
  const client = new RoomSocket(socket);
  open.push(client);
  socket.addEventListener("message", (event) => {
    client.hear(event.data);
  });
  socket.addEventListener("close", (event) => {
    client.hearClose(event.code, event.reason);
  });
  socket.accept();
  client.start();
  await client.until(() => client.synced);
  return client;
}

/** Closes one and waits until that is over. */
export async function leave(client: RoomSocket): Promise<void> {
  open.splice(open.indexOf(client), 1);
  client.close();
  await client.until(() => client.closed !== null);
}
