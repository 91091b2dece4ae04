/** Limits at the edge through the whole Worker: who is put off, who never is, and that no room hears of it. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import type { Env } from "../../worker/env.ts";
import { handleRequest } from "../../worker/routes.ts";

const UPGRADE = { Upgrade: "websocket" };
const DOORS = ["/vault/sync/v", "/sync/v", "/parties/main/v"];

// A line per request would bury the results.
beforeEach(() => void vi.spyOn(console, "log").mockImplementation(() => undefined));
afterEach(() => void vi.restoreAllMocks());

/** Env mode; rooms count who reaches them, the config object must not be asked. */
function world(vars: Partial<Env> = {}): { env: Env; reached: () => number } {
  let reached = 0;
  const rooms = {
    idFromName: (name: string) => name,
    get: () => ({
      fetch: () => {
        reached++;
        const { 0: client, 1: server } = new WebSocketPair();
        server.accept();
        server.close(4999, "reached");
        return Promise.resolve(new Response(null, { status: 101, webSocket: client }));
      },
    }),
  };
  const config = {
    idFromName: (name: string) => name,
    get: () => {
      throw new Error("the config object was asked");
    },
  };
  return { env: { YAOS_SYNC: rooms, YAOS_CONFIG: config, SYNC_TOKEN: "secret", ...vars } as unknown as Env, reached: () => reached };
}

/** As a client at `ip` on one machine would come. */
function from(ip: string, path: string, headers: Record<string, string> = {}): Request {
  return new Request(`https://host${path}`, { headers, cf: { clientIp: `${ip}:${1_024 + (ip.length % 100)}` } as unknown as CfProperties });
}

function hear(response: Response): Promise<{ texts: number; code: number; reason: string }> {
  const socket = response.webSocket;
  if (socket === null) throw new Error(`no socket: status ${response.status}`);
  let texts = 0;
  return new Promise((resolve) => {
    socket.addEventListener("message", () => void texts++);
    socket.addEventListener("close", ({ code, reason }) => resolve({ texts, code, reason }));
    socket.accept();
  });
}

async function failUntilPutOff(env: Env, ip: string): Promise<void> {
  for (let n = 0; n < LIMITS.authFailuresPerMinute; n++) {
    const answer = await handleRequest(from(ip, "/vault/v/debug/recent", { Authorization: `Bearer wrong-${n}` }), env);
    expect([answer.status, await answer.json()]).toEqual([401, { error: "unauthorized" }]);
  }
}

test("[LT3] an address that keeps getting it wrong is put off, on HTTP and at every door", async () => {
  const { env, reached } = world();
  await failUntilPutOff(env, "192.0.2.1");
  const answer = await handleRequest(from("192.0.2.1", "/vault/v/debug/recent", { Authorization: "Bearer wrong" }), env);
  expect([answer.status, await answer.json()]).toEqual([429, { error: "too many wrong credentials" }]);
  expect(Number(answer.headers.get("Retry-After"))).toBeGreaterThan(0);
  for (const door of DOORS) {
    const plain = await handleRequest(from("192.0.2.1", `${door}?token=wrong`), env);
    expect([plain.status, await plain.json()]).toEqual([429, { error: "too many wrong credentials" }]);
    const upgrade = await handleRequest(from("192.0.2.1", `${door}?token=wrong`, UPGRADE), env);
    expect([upgrade.status, await upgrade.json()]).toEqual([429, { error: "too many wrong credentials" }]);
  }
  expect((await handleRequest(from("192.0.2.2", "/vault/v/debug/recent", { Authorization: "Bearer wrong" }), env)).status).toBe(401);
  expect(reached()).toBe(0);
});

test("[LT4] a valid credential passes from an address that is put off", async () => {
  const { env, reached } = world();
  await failUntilPutOff(env, "192.0.2.3");
  for (const door of DOORS) {
    expect((await handleRequest(from("192.0.2.3", `${door}?token=wrong`), env)).status).toBe(429);
    expect((await hear(await handleRequest(from("192.0.2.3", `${door}?token=secret`, UPGRADE), env))).code).toBe(4999);
  }
  expect(reached()).toBe(DOORS.length);
});

test("[LT5] headers that anybody can send do not spread failures over addresses", async () => {
  const { env } = world();
  await failUntilPutOff(env, "192.0.2.4");
  for (const name of ["X-Forwarded-For", "CF-Connecting-IP", "X-Real-IP", "Forwarded"]) {
    expect((await handleRequest(from("192.0.2.4", "/vault/v/debug/recent", { Authorization: "Bearer wrong", [name]: "203.0.113.9" }), env)).status).toBe(429);
  }
  const behindProxy = world({ YAOS_TRUSTED_IP_HEADER: "X-Forwarded-For" });
  const named = from("192.0.2.4", "/vault/v/debug/recent", { Authorization: "Bearer wrong", "X-Forwarded-For": "192.0.2.4, 203.0.113.9" });
  expect((await handleRequest(named, behindProxy.env)).status).toBe(401);
});

test("[LT6] the platform's limiter decides where it is bound", async () => {
  const keys: string[] = [];
  const { env } = world({ YAOS_RATE_LIMIT: { limit: ({ key }: { key: string }) => Promise.resolve({ success: keys.push(key) < 3 }) } as unknown as RateLimit });
  const statuses: number[] = [];
  for (let n = 0; n < 4; n++) statuses.push((await handleRequest(from("192.0.2.5", "/sync/v?token=wrong"), env)).status);
  expect(statuses).toEqual([401, 401, 429, 429]);
  expect(new Set(keys)).toEqual(new Set(["auth:192.0.2.5"]));
  expect((await handleRequest(from("192.0.2.5", "/sync/v?token=secret"), env)).status).toBe(426);
});

test("[LT8] long and unreadable URLs are refused in JSON before anything else", async () => {
  const { env, reached } = world();
  const cases: [path: string, status: number, error: string][] = [
    [`/vault/sync/${"v".repeat(LIMITS.maxPathBytes)}?token=secret`, 414, "path too long"],
    [`/sync/v?token=secret&x=${"x".repeat(LIMITS.maxQueryBytes)}`, 414, "query too long"],
    ["/vault/sync/%zz?token=secret", 400, "malformed room id"],
    ["/vault/%E0%A4%A/debug/recent", 401, "unauthorized"],
  ];
  for (const [path, status, error] of cases) {
    const answer = await handleRequest(from("192.0.2.6", path, path.includes("sync") ? UPGRADE : {}), env);
    expect([path.slice(0, 30), answer.status, await answer.json()]).toEqual([path.slice(0, 30), status, { error }]);
  }
  expect(reached()).toBe(0);
});

test("[LT1] a credential connects only so often, whichever door it takes; HTTP goes on", async () => {
  const { env, reached } = world();
  const before = reached();
  let passed = 0;
  let refused = null;
  // Other tests of this file came with the same credential and were counted too.
  while (refused === null && passed <= LIMITS.connectsPerMinute) {
    const answer = await handleRequest(from("192.0.2.7", `${DOORS[passed % 3]}?token=secret`, UPGRADE), env);
    if (answer.status === 429) refused = answer;
    else if ((await hear(answer)).code === 4999) passed++;
  }
  expect(await refused?.json()).toEqual({ error: "too many connects" });
  expect(passed).toBe(LIMITS.connectsPerMinute - DOORS.length);
  expect(reached() - before).toBe(passed);
  for (const door of DOORS) {
    expect((await handleRequest(from("192.0.2.7", `${door}?token=secret`, UPGRADE), env)).status).toBe(429);
  }
  expect((await handleRequest(from("192.0.2.7", "/sync/v?token=secret"), env)).status).toBe(426);
  expect(reached() - before).toBe(passed);
});
