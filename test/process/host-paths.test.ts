/** Paths sent as they are, which no ordinary client does: what becomes of dots on the way to a door. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";

let dataDir: string;
let host: HostProcess;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-paths-"));
  host = await startHost({ dataDir });
});
afterAll(async () => {
  await host.stop();
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Asks for a WebSocket at `path`, without normalizing it. */
async function knock(path: string): Promise<{ status: number; socket: Socket }> {
  const asked = request({
    host: "127.0.0.1",
    port: host.port,
    path: `${path}?token=${host.token}`,
    agent: false,
    headers: { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==" },
  });
  asked.end();
  const [answer] = (await Promise.race([once(asked, "upgrade"), once(asked, "response")])) as [IncomingMessage];
  answer.resume();
  return { status: answer.statusCode ?? 0, socket: answer.socket };
}

/** Sockets open in the room of this very id. */
async function sessionsOf(vault: string): Promise<number> {
  const answer = await fetch(`${host.url}/__yaos/debug?vault=${encodeURIComponent(vault)}`, { headers: { Authorization: `Bearer ${host.token}` } });
  return ((await answer.json()) as { sessions: { count: number } }).sessions.count;
}

it("[DR3] no door leads to a room called . or .., escaped or not", async () => {
  for (const dots of [".", "..", "%2e", "%2E%2e", ".%2e"]) {
    for (const door of ["/sync/", "/parties/p/", "/vault/sync/"]) {
      const { status, socket } = await knock(door + dots);
      expect(status, door + dots).not.toBe(101);
      socket.destroy();
    }
  }
});

it("[DR3] raw dots between slashes lead elsewhere, and with escaped slashes they are part of the id", async () => {
  const raw = await knock("/sync/a/../b");
  expect([raw.status, await sessionsOf("b"), await sessionsOf("a/../b")]).toEqual([101, 1, 0]);
  const escaped = await knock("/sync/a%2F..%2Fb");
  expect([escaped.status, await sessionsOf("b"), await sessionsOf("a/../b")]).toEqual([101, 1, 1]);
  raw.socket.destroy();
  escaped.socket.destroy();
});
