import { expect, test } from "vitest";
import type { Env } from "../../worker/env.ts";
import { handleRequest } from "../../worker/routes.ts";

type Seen = { name: string; url: string; method: string };

/** An environment whose rooms record what reaches them, and answer as told. */
function world(vars: Partial<Env> = {}, room: (request: Request) => Response = () => Response.json({ ok: 1 })): { env: Env; seen: Seen[] } {
  const seen: Seen[] = [];
  const namespace = {
    idFromName: (name: string) => name,
    get: (name: string) => ({
      fetch: async (url: string, init?: RequestInit) => {
        const request = new Request(url, init);
        seen.push({ name, url, method: request.method });
        return room(request);
      },
    }),
  };
  // Asked in claim mode only, and here always unclaimed.
  const config = { idFromName: (name: string) => name, get: () => ({ fetch: async () => Response.json({ claimed: false, tokenHash: null }) }) };
  const env = { YAOS_SYNC: namespace, YAOS_CONFIG: config, SYNC_TOKEN: " secret ", ...vars } as unknown as Env;
  return { env, seen };
}

const BEARER = { Authorization: "Bearer secret" };
const UPGRADE = { Upgrade: "websocket" };

function call(env: Env, path: string, init: RequestInit = {}): Promise<Response> {
  return handleRequest(new Request(`https://host${path}`, init), env);
}

async function errorOf(response: Response): Promise<[number, string]> {
  return [response.status, (await response.json<{ error: string }>()).error];
}

/** Everything a refused or accepted client hears until the close. */
function hear(response: Response): Promise<{ texts: string[]; code: number; reason: string }> {
  const socket = response.webSocket;
  if (socket === null) throw new Error(`no socket: status ${response.status}`);
  const texts: string[] = [];
  return new Promise((resolve) => {
    socket.addEventListener("message", (event) => {
      texts.push(String(event.data));
    });
    socket.addEventListener("close", (event) => {
      resolve({ texts, code: event.code, reason: event.reason });
    });
    socket.accept();
  });
}

function acceptingRoom(): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  server.close(4999, "reached");
  return new Response(null, { status: 101, webSocket: client });
}

test("[AU2] the YAOS door refuses with two text frames and 1008", async () => {
  const cases: [Partial<Env>, string, string, string][] = [
    [{}, "", '{"type":"error","code":"unauthorized"}', "unauthorized"],
    [{}, "?token=wrong", '{"type":"error","code":"unauthorized"}', "unauthorized"],
    [{ SYNC_TOKEN: "  " }, "?token=x", '{"type":"error","code":"unclaimed"}', "server unclaimed"],
    [
      {},
      "?token=secret&schemaVersion=1.5",
      '{"type":"error","code":"update_required","reason":"invalid_client_schema","clientSchemaVersion":null,"roomSchemaVersion":null}',
      "update required",
    ],
  ];
  for (const [vars, query, json, reason] of cases) {
    const { env, seen } = world(vars);
    const response = await call(env, `/vault/sync/v${query}`, { headers: UPGRADE });
    expect(response.status).toBe(101);
    expect(await hear(response)).toEqual({ texts: [json, `__YPS:${json}`], code: 1008, reason });
    expect(seen).toEqual([]);
  }
});

test("[AU3] the stock doors refuse with a close code and no text", async () => {
  for (const path of ["/sync/a/b", "/parties/main/a/b"]) {
    const { env, seen } = world();
    expect(await hear(await call(env, path, { headers: UPGRADE }))).toEqual({ texts: [], code: 4401, reason: "unauthorized" });
    expect(await hear(await call(env, `${path}?token=secret&schemaVersion=x`, { headers: UPGRADE }))).toEqual({ texts: [], code: 4426, reason: "update required" });
    const unclaimed = world({ SYNC_TOKEN: "" });
    expect(await hear(await call(unclaimed.env, path, { headers: UPGRADE }))).toEqual({ texts: [], code: 4401, reason: "server unclaimed" });
    expect([...seen, ...unclaimed.seen]).toEqual([]);
  }
});

test("[DR1] [DR2] an admitted upgrade reaches the room of its decoded id, with door and text in the internal URL", async () => {
  const cases = [
    ["/vault/sync/a%2Fb?token=secret&schemaVersion=2&_pk=1", "a/b", `door=vault&text=1&room=a%2Fb&by=owner&mode=rw&epoch=${Number.MAX_SAFE_INTEGER}&schema=2`],
    ["/vault/sync/v?token=secret", "v", `door=vault&text=1&room=v&by=owner&mode=rw&epoch=${Number.MAX_SAFE_INTEGER}&schema=1`],
    ["/sync/a/b?token=secret", "a/b", `door=sync&text=0&room=a%2Fb&by=owner&mode=rw&epoch=${Number.MAX_SAFE_INTEGER}&schema=`],
    ["/parties/x/r%20s?token=secret&_pk=1", "r s", `door=parties&text=1&room=r%20s&by=owner&mode=rw&epoch=${Number.MAX_SAFE_INTEGER}&schema=`],
  ] as const;
  for (const [path, name, query] of cases) {
    const { env, seen } = world({}, acceptingRoom);
    expect((await hear(await call(env, path, { headers: UPGRADE }))).code).toBe(4999);
    expect(seen).toEqual([{ name, url: `https://internal/__yaos/connect?${query}`, method: "GET" }]);
  }
});

test("[AU1] a Bearer header opens a door and goes before the parameter", async () => {
  const { env } = world({}, acceptingRoom);
  expect((await hear(await call(env, "/sync/r", { headers: { ...UPGRADE, ...BEARER } }))).code).toBe(4999);
  expect((await hear(await call(env, "/sync/r?token=secret", { headers: { ...UPGRADE, Authorization: "Bearer other" } }))).code).toBe(4401);
});

test("an offered subprotocol is named in the 101", async () => {
  const { env } = world({}, acceptingRoom);
  for (const query of ["?token=secret", ""]) {
    const response = await call(env, `/sync/r${query}`, { headers: { ...UPGRADE, "Sec-WebSocket-Protocol": "yjs, other" } });
    expect(response.headers.get("Sec-WebSocket-Protocol")).toBe("yjs");
    await hear(response);
  }
});

test("[AU5] requests at a door that are no upgrade get HTTP answers; only the YAOS door asks the room, for its schema", async () => {
  const { env, seen } = world();
  expect(await errorOf(await call(env, "/vault/sync/v"))).toEqual([401, "unauthorized"]);
  expect(await errorOf(await call(world({ SYNC_TOKEN: "" }).env, "/vault/sync/v"))).toEqual([503, "unclaimed"]);
  expect(await errorOf(await call(env, "/vault/sync/v?token=secret&schemaVersion=-1"))).toEqual([426, "update_required"]);
  const notImplemented = await call(env, "/vault/sync/v?token=secret");
  expect([notImplemented.status, await notImplemented.text()]).toEqual([404, "Not implemented"]);
  expect(await errorOf(await call(env, "/sync/r"))).toEqual([401, "unauthorized"]);
  expect(await errorOf(await call(env, "/sync/r?token=secret"))).toEqual([426, "upgrade required"]);
  expect(seen.map(({ name, url }) => [name, url])).toEqual([["v", "https://internal/__yaos/meta"]]);
});

test("[AU2] a request that is no upgrade, by a client older than the room, is 426", async () => {
  const rooms = { idFromName: (name: string) => name, get: () => ({ fetch: () => Promise.resolve(Response.json({ roomId: "v", meta: { schemaVersion: 3, updatedAt: "" } })) }) };
  const env = { ...world().env, YAOS_SYNC: rooms } as unknown as Env;
  expect(await errorOf(await call(env, "/vault/sync/v?token=secret&schemaVersion=2"))).toEqual([426, "update_required"]);
  const notImplemented = await call(env, "/vault/sync/v?token=secret&schemaVersion=3");
  expect([notImplemented.status, await notImplemented.text()]).toEqual([404, "Not implemented"]);
});

test("[DR3] ids that name no room are a 400 in JSON", async () => {
  const { env, seen } = world();
  for (const headers of [UPGRADE, {}]) {
    expect(await errorOf(await call(env, "/sync/%zz?token=secret", { headers }))).toEqual([400, "malformed room id"]);
    expect(await errorOf(await call(env, "/vault/sync/%zz?token=secret", { headers }))).toEqual([400, "malformed room id"]);
    expect(await errorOf(await call(env, "/sync/?token=secret", { headers }))).toEqual([400, "empty room id"]);
    expect(await errorOf(await call(env, `/parties/m/${"x".repeat(1_025)}?token=secret`, { headers }))).toEqual([400, "room id too long"]);
  }
  expect(await errorOf(await call(env, "/vault/%zz/debug/recent", { headers: BEARER }))).toEqual([400, "malformed room id"]);
  expect(await errorOf(await call(env, "/__yaos/debug", { headers: BEARER }))).toEqual([400, "empty room id"]);
  expect(seen).toEqual([]);
});

test("[DB1] debug is for Bearer only and goes to the room named", async () => {
  const { env, seen } = world();
  for (const path of ["/vault/v/debug/recent", "/__yaos/debug?vault=v"]) {
    expect(await errorOf(await call(env, path))).toEqual([401, "unauthorized"]);
    expect(await errorOf(await call(env, `${path}${path.includes("?") ? "&" : "?"}token=secret`))).toEqual([401, "unauthorized"]);
    expect(await errorOf(await call(world({ SYNC_TOKEN: "" }).env, path, { headers: BEARER }))).toEqual([503, "unclaimed"]);
  }
  expect(seen).toEqual([]);
  for (const path of ["/vault/a%2Fb/debug/recent", "/vault//a%2Fb/debug/recent/?device=x", "/__yaos/debug?vault=a%2Fb"]) {
    const answer = await call(env, path, { headers: BEARER });
    expect([answer.status, await answer.json()]).toEqual([200, { ok: 1 }]);
    expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect(answer.headers.get("Cache-Control")).toBe("no-store");
    expect(seen.pop()).toEqual({ name: "a/b", url: "https://internal/__yaos/debug", method: "GET" });
  }
  await call(env, "/vault/sync/debug/recent", { headers: BEARER });
  expect(seen.pop()?.name).toBe("sync");
});

test("[CP6] compact is dark unless switched on, after the credential", async () => {
  for (const path of ["/vault/v/debug/compact", "/__yaos/compact?vault=v"]) {
    const dark = world({ YAOS_ENABLE_ADMIN_ROUTES: "" });
    expect(await errorOf(await call(dark.env, path, { method: "POST" }))).toEqual([401, "unauthorized"]);
    expect(await errorOf(await call(dark.env, path, { method: "POST", headers: BEARER }))).toEqual([404, "not found"]);
    expect(dark.seen).toEqual([]);
    const lit = world({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
    expect((await call(lit.env, path, { method: "POST", headers: BEARER })).status).toBe(200);
    expect(lit.seen).toEqual([{ name: "v", url: "https://internal/__yaos/compact", method: "POST" }]);
    expect(await errorOf(await call(lit.env, path, { headers: BEARER }))).toEqual([404, "not found"]);
  }
});

test("[TK13] [TK16] clean-up and decisions about a takeover are the owner's, dark unless switched on, and read their body first", async () => {
  for (const act of ["cleanup-kv", "takeover"]) {
    for (const path of [`/vault/v/debug/${act}`, `/__yaos/${act}?vault=v`]) {
      const dark = world({ YAOS_ENABLE_ADMIN_ROUTES: "" });
      expect(await errorOf(await call(dark.env, path, { method: "POST" }))).toEqual([401, "unauthorized"]);
      expect(await errorOf(await call(dark.env, path, { method: "POST", headers: BEARER }))).toEqual([404, "not found"]);
      const lit = world({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
      expect(await errorOf(await call(lit.env, path, { method: "POST" }))).toEqual([401, "unauthorized"]);
      expect(await errorOf(await call(lit.env, path, { method: "POST", headers: BEARER, body: "[]" }))).toEqual([400, "invalid json"]);
      expect([...dark.seen, ...lit.seen]).toEqual([]);
      expect((await call(lit.env, path, { method: "POST", headers: BEARER, body: "{}" })).status).toBe(200);
      expect(lit.seen).toEqual([{ name: "v", url: `https://internal/__yaos/${act}`, method: "POST" }]);
      expect(await errorOf(await call(lit.env, path, { headers: BEARER }))).toEqual([404, "not found"]);
    }
  }
});

test("[TK18] the pre-chunk document is handed to the owner alone, admin routes or not", async () => {
  for (const path of ["/vault/v/debug/legacy-document", "/__yaos/legacy-document?vault=v"]) {
    const { env, seen } = world({}, () => new Response("bytes"));
    expect(await errorOf(await call(env, path))).toEqual([401, "unauthorized"]);
    expect(await errorOf(await call(env, `${path}${path.includes("?") ? "&" : "?"}token=secret`))).toEqual([401, "unauthorized"]);
    expect(seen).toEqual([]);
    expect(await (await call(env, path, { headers: BEARER })).text()).toBe("bytes");
    expect(seen).toEqual([{ name: "v", url: "https://internal/__yaos/legacy-document", method: "GET" }]);
  }
});

test("[DR4] everything else is a 404 in JSON with CORS, and touches nothing", async () => {
  const { env, seen } = world();
  const init = { headers: { ...BEARER } };
  for (const path of ["/sync", "/parties/m", "/vault", "/vault/", "/vault/sync/", "/vault/v", "/vault/v/debug", "/vault/v/debug/recent/x", "/%zz", "/favicon.ico", "/__yaos/meta", "/api/x", "/api/devices/x", "/claim", "/vault/v/auth/ticket"]) {
    const answer = await call(env, path, init);
    expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect([path, ...(await errorOf(answer))]).toEqual([path, 404, "not found"]);
  }
  expect((await call(env, "/", { method: "HEAD" })).status).toBe(404);
  expect((await call(env, "/vault/v/debug/recent", { ...init, method: "DELETE" })).status).toBe(404);
  expect(seen).toEqual([]);
});

test("preflight is answered under /vault/ and /api/ only", async () => {
  const { env } = world();
  for (const path of ["/vault/sync/v", "/vault/v/debug/recent", "/api/x"]) {
    const answer = await call(env, path, { method: "OPTIONS" });
    expect([answer.status, answer.headers.get("Access-Control-Allow-Methods")]).toEqual([204, "GET, POST, PUT, OPTIONS"]);
  }
  expect((await call(env, "/sync/r", { method: "OPTIONS" })).status).toBe(404);
});

test("what a room throws becomes JSON, retryable when it is the room's", async () => {
  const broken = world({}, () => {
    throw Object.assign(new Error("secret"), { remote: true });
  });
  expect(await errorOf(await call(broken.env, "/sync/r?token=secret", { headers: UPGRADE }))).toEqual([503, "room unavailable"]);
  expect(await errorOf(await call(broken.env, "/vault/v/debug/recent", { headers: BEARER }))).toEqual([503, "room unavailable"]);
  const bug = world({}, () => {
    throw new TypeError("secret");
  });
  expect(await errorOf(await call(bug.env, "/vault/v/debug/recent", { headers: BEARER }))).toEqual([500, "internal error"]);
});
