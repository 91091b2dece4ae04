import { evictDurableObject } from "cloudflare:test";
import { env as anyEnv } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { issueTicket } from "../../src/access/ticket.ts";
import { sha256Hex } from "../../src/access/digest.ts";
import type { Env } from "../../worker/env.ts";
import { handleRequest } from "../../worker/routes.ts";
import { RoomSocket } from "../kit/room-socket.ts";

const real = anyEnv as unknown as Env;
const OWNER = "owner-token-of-thirty-two-chars-or-more";
const UPGRADE = { Upgrade: "websocket" };
const UNAUTHORIZED = '{"type":"error","code":"unauthorized"}';
const UNCLAIMED = '{"type":"error","code":"unclaimed"}';

let number = 0;
let install: string;
/** What was asked of which object, in order. */
let asked: string[] = [];
const open: RoomSocket[] = [];

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  install = `install-${number++}`;
  asked = [];
});

afterEach(() => {
  vi.restoreAllMocks();
  for (const client of open.splice(0)) client.close();
});

/** An isolate of this test's install: real objects, counted, and a memory of its own. */
function isolate(variables: Partial<Env> = {}): Env {
  const counted = (namespace: DurableObjectNamespace, kind: string, rename: (name: string) => string): DurableObjectNamespace =>
    ({
      idFromName: (name: string) => name,
      get: (id: unknown) => ({
        fetch: (url: string, init?: RequestInit) => {
          asked.push(`${kind} ${init?.method ?? "GET"} ${new URL(url).pathname}`);
          return namespace.get(namespace.idFromName(rename(String(id)))).fetch(url, init);
        },
      }),
    }) as unknown as DurableObjectNamespace;
  const config = counted(real.YAOS_CONFIG, "config", () => install);
  return { YAOS_CONFIG: config, YAOS_SYNC: counted(real.YAOS_SYNC, "room", (name) => name), ...variables };
}

/** One whose rooms throw when touched, and whose config object does when told to. */
function untouchable(variables: Partial<Env> = {}): Env {
  const rooms = { idFromName: (name: string) => name, get: () => { throw new Error("a room was touched before admission"); } };
  return { ...isolate(variables), YAOS_SYNC: rooms as unknown as DurableObjectNamespace };
}

function call(env: Env, path: string, init: RequestInit = {}): Promise<Response> {
  return handleRequest(new Request(`https://host${path}`, init), env);
}

async function post(env: Env, path: string, body: unknown, token = OWNER): Promise<Record<string, unknown>> {
  const answer = await call(env, path, { method: "POST", body: JSON.stringify(body), headers: { Authorization: `Bearer ${token}` } });
  expect(answer.status, path).toBe(200);
  return answer.json<Record<string, unknown>>();
}

async function claim(env: Env): Promise<void> {
  await post(env, "/claim", { token: OWNER });
  asked = [];
}

async function makeDevice(env: Env, grant: Record<string, unknown> = {}): Promise<{ id: string; credential: string }> {
  const body = await post(env, "/api/devices", { name: "laptop", ...grant });
  asked = [];
  return { id: (body["device"] as { id: string }).id, credential: String(body["credential"]) };
}

async function ticketFor(env: Env, vault: string, token = OWNER): Promise<string> {
  return String((await post(env, `/vault/${vault}/auth/ticket`, {}, token))["ticket"]);
}

/** Everything a client hears until the close. */
async function hear(env: Env, path: string, headers: Record<string, string> = {}): Promise<{ texts: string[]; code: number; reason: string }> {
  const response = await call(env, path, { headers: { ...UPGRADE, ...headers } });
  const socket = response.webSocket;
  if (socket === null) throw new Error(`no socket: status ${response.status}`);
  const texts: string[] = [];
  return new Promise((resolve) => {
    socket.addEventListener("message", (event) => void (typeof event.data === "string" && texts.push(event.data)));
    socket.addEventListener("close", (event) => resolve({ texts, code: event.code, reason: event.reason }));
    socket.accept();
  });
}

/** The first text frame a client hears. */
async function firstText(env: Env, path: string): Promise<string> {
  const { webSocket: socket, status } = await call(env, path, { headers: UPGRADE });
  if (socket === null) throw new Error(`no socket: status ${status}`);
  const text = new Promise<string>((resolve) => {
    socket.addEventListener("message", (event) => {
      if (typeof event.data === "string") resolve(event.data);
    });
  });
  socket.accept();
  const heard = await text;
  socket.close(1000);
  return heard;
}

const fatal = (json: string, reason: string): { texts: string[]; code: number; reason: string } => ({ texts: [json, `__YPS:${json}`], code: 1008, reason });

/** A synced client, or one that was closed. */
async function join(env: Env, path: string): Promise<RoomSocket> {
  const answer = await call(env, path, { headers: UPGRADE });
  const socket = answer.webSocket;
  if (socket === null) throw new Error(`no socket: status ${answer.status}`);
  socket.binaryType = "arraybuffer";
  const client = new RoomSocket(socket);
  open.push(client);
  socket.addEventListener("message", (event) => client.hear(event.data));
  socket.addEventListener("close", (event) => client.hearClose(event.code, event.reason));
  socket.accept();
  client.start();
  await client.until(() => client.synced || client.closed !== null);
  return client;
}

test("[AC1] [AC2] the object keeps a claim over an eviction, under the keys existing servers read", async () => {
  await claim(isolate());
  const stub = real.YAOS_CONFIG.get(real.YAOS_CONFIG.idFromName(install));
  await evictDurableObject(stub);
  const config = await (await stub.fetch("https://internal/__yaos/config")).json();
  expect(config).toMatchObject({ claimed: true, tokenHash: await sha256Hex(OWNER), ownerEpoch: 0 });
});

test("[AU2] [AC7] an unclaimed install says so at every door, in every isolate, until it is claimed", async () => {
  const [here, there] = [untouchable(), untouchable()];
  for (const env of [here, there]) {
    for (const query of ["", "?token=x", "?ticket=x.y", `?token=yd1.${"a".repeat(12)}.${"b".repeat(43)}`]) {
      expect(await hear(env, `/vault/sync/v${query}`), query).toEqual(fatal(UNCLAIMED, "server unclaimed"));
    }
    expect(await hear(env, "/sync/v?token=x")).toEqual({ texts: [], code: 4401, reason: "server unclaimed" });
  }
  await claim(here);
  for (const env of [here, there]) expect(await hear(env, "/vault/sync/v")).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
});

test("[AC14] a ticket parameter is all that counts", async () => {
  const env = untouchable();
  await claim(env);
  const expired = await issueTicket({ key: await sha256Hex(OWNER), vaultId: "v", device: null, nowMs: Date.now() - 10_000, ttlMs: 1_000, nonce: new Uint8Array(16) });
  const ofOther = await ticketFor(env, "w");
  for (const ticket of ["", "x", "x.y", expired.ticket, ofOther]) {
    expect(await hear(env, `/vault/sync/v?ticket=${ticket}&token=${OWNER}`, { Authorization: `Bearer ${OWNER}` }), ticket).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
    expect((await hear(env, `/sync/v?ticket=${ticket}&token=${OWNER}`)).code).toBe(4401);
  }
});

test("[AC11] [AC19] tickets open all doors, in both modes", async () => {
  const claimed = isolate();
  await claim(claimed);
  for (const [env, token] of [[claimed, OWNER], [isolate({ SYNC_TOKEN: "secret" }), "secret"]] as const) {
    const ticket = await ticketFor(env, "tickets", token);
    for (const path of ["/vault/sync/tickets", "/sync/tickets", "/parties/main/tickets"]) expect((await join(env, `${path}?ticket=${ticket}`)).closed, path).toBeNull();
  }
});

test("[AC15] with the legacy token switched off only tickets open a socket", async () => {
  const env = isolate({ SYNC_TOKEN: "secret", YAOS_DISABLE_LEGACY_WS_TOKEN: "1" });
  const made = await makeDevice2(env);
  for (const token of ["secret", made]) {
    expect(await hear(env, `/vault/sync/legacy?token=${token}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
    expect((await hear(env, "/sync/legacy", { Authorization: `Bearer ${token}` })).code).toBe(4401);
    expect((await join(env, `/vault/sync/legacy?ticket=${await ticketFor(env, "legacy", token)}`)).closed).toBeNull();
  }
});

async function makeDevice2(env: Env): Promise<string> {
  return String((await post(env, "/api/devices", { name: "x" }, "secret"))["credential"]);
}

test("[AC18] what a connect costs: owner, ticket, device, a device's ticket, a wrong one", async () => {
  const env = isolate();
  await claim(env);
  const { credential } = await makeDevice(env);
  const [ticket, ofDevice] = [await ticketFor(env, "cost"), await ticketFor(env, "cost", credential)];
  const fresh = (): Env => {
    asked = [];
    return isolate();
  };
  const room = "room GET /__yaos/connect";
  const cases: [string, string, string[]][] = [
    ["owner", `token=${OWNER}`, ["config GET /__yaos/config", room]],
    ["owner's ticket", `ticket=${ticket}`, ["config GET /__yaos/config", room]],
    ["device", `token=${credential}`, ["config POST /__yaos/devices/admit", room]],
    ["device's ticket", `ticket=${ofDevice}`, ["config GET /__yaos/config", "config POST /__yaos/devices/admit", room]],
  ];
  for (const [who, query, requests] of cases) {
    const cold = fresh();
    await join(cold, `/vault/sync/cost?${query}`);
    expect(asked, who).toEqual(requests);
    asked = [];
    await join(cold, `/vault/sync/cost?${query}`);
    expect(asked, `${who} again`).toEqual(requests.filter((request) => !request.endsWith("/config")));
  }
  const wrong = untouchable();
  asked = [];
  for (let i = 0; i < 3; i++) await hear(wrong, "/vault/sync/cost?token=wrong");
  expect(asked).toEqual(["config GET /__yaos/config"]);
  asked = [];
  await join(isolate({ SYNC_TOKEN: "secret" }), "/vault/sync/cost?token=secret");
  expect(asked).toEqual([room]);
});

test("[AC23] [RV1] revoking a device ends its sockets and its tickets, and nobody else's", async () => {
  const env = isolate();
  await claim(env);
  const { id, credential } = await makeDevice(env);
  const ticket = await ticketFor(env, "revoked", credential);
  const [owner, byToken, byTicket] = [
    await join(env, `/vault/sync/revoked?token=${OWNER}`),
    await join(env, `/vault/sync/revoked?token=${credential}`),
    await join(env, `/sync/revoked?ticket=${ticket}`),
  ];
  byToken.doc.getText("t").insert(0, "written before");
  await owner.until(() => owner.doc.getText("t").toString() === "written before");

  const other = isolate();
  const answer = await call(other, `/api/devices/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${OWNER}` } });
  expect(await answer.json()).toEqual({ ok: true, closed: 2, notReached: [] });
  asked = [];
  const again = await call(other, `/api/devices/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${OWNER}` } });
  expect([await again.json(), asked.filter((request) => request.startsWith("room"))]).toEqual([{ ok: true, closed: 0, notReached: [] }, []]);
  await byToken.until(() => byToken.closed !== null);
  await byTicket.until(() => byTicket.closed !== null);
  expect([byToken.closed?.code, byTicket.closed?.code, owner.closed]).toEqual([4403, 4403, null]);
  expect(byToken.texts.filter((text) => text.includes('"error"'))).toEqual([]);

  for (const where of [env, other]) {
    expect(await hear(where, `/vault/sync/revoked?token=${credential}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
    expect(await hear(where, `/vault/sync/revoked?ticket=${ticket}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
  }
  const late = await join(env, `/vault/sync/revoked?token=${OWNER}`);
  expect(late.doc.getText("t").toString(), "what it had sent stays").toBe("written before");
});

test("[AC8] [AC10] a rotation ends the owner's sockets and tickets, and leaves devices on", async () => {
  const env = isolate();
  await claim(env);
  const { credential } = await makeDevice(env);
  const ticket = await ticketFor(env, "rotated");
  const [owner, device] = [await join(env, `/vault/sync/rotated?token=${OWNER}`), await join(env, `/vault/sync/rotated?token=${credential}`)];
  // Real rooms register with the object of the real install; this test's has another name.
  await real.YAOS_CONFIG.get(real.YAOS_CONFIG.idFromName(install)).fetch("https://internal/__yaos/rooms", { method: "POST", body: '{"vaultId":"rotated"}' });
  const stale = isolate();
  await join(stale, `/vault/sync/rotated?token=${OWNER}`);

  const next = "the-next-token-of-thirty-two-characters";
  expect(await post(env, "/api/rotate", { token: next })).toEqual({ ok: true, closed: 2, notReached: [] });
  expect(await post(env, "/api/rotate/resume", {}, next)).toEqual({ ok: true, closed: 0, notReached: [] });
  expect(asked.filter((request) => request.endsWith("/__yaos/revoke")), "told once").toEqual(["room POST /__yaos/revoke"]);
  await owner.until(() => owner.closed !== null);
  expect([owner.closed?.code, device.closed]).toEqual([4403, null]);
  expect(await hear(env, `/vault/sync/rotated?token=${OWNER}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
  expect(await hear(env, `/vault/sync/rotated?ticket=${ticket}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
  expect((await join(env, `/vault/sync/rotated?token=${next}`)).closed).toBeNull();
  // This isolate has not heard of it and lets the old token pass: the room does not.
  const late = await join(stale, `/vault/sync/rotated?token=${OWNER}`);
  expect(late.closed?.code).toBe(1008);
  expect((await join(isolate({ SYNC_TOKEN: "secret" }), "/vault/sync/rotated?token=secret")).closed, "a variable set later is not locked out").toBeNull();
});

test("[AC16] [RO2] a ticket made by a read-only device reads and does not write", async () => {
  const env = isolate();
  await claim(env);
  const { credential } = await makeDevice(env, { vault: "readonly", mode: "ro" });
  const [owner, reader] = [await join(env, `/vault/sync/readonly?token=${OWNER}`), await join(env, `/vault/sync/readonly?ticket=${await ticketFor(env, "readonly", credential)}`)];
  owner.doc.getText("t").insert(0, "from the owner");
  await reader.until(() => reader.doc.getText("t").toString() === "from the owner");
  reader.doc.getText("t").insert(0, "not taken ");
  await reader.until(() => reader.texts.some((text) => text.includes("yaos/read-only")));
  const late = await join(env, `/vault/sync/readonly?token=${OWNER}`);
  expect(late.doc.getText("t").toString()).toBe("from the owner");
  expect(reader.closed).toBeNull();
  expect(await hear(env, `/vault/sync/other?token=${credential}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
});

test("[AC11] [AC12] the plugin's own pattern: ticket, connect, expiry while connected, sleep, a new ticket, reconnect", async () => {
  const env = isolate({ YAOS_TICKET_TTL_MS: "1000" });
  await claim(env);
  const ticket = await ticketFor(env, "pattern");
  const client = await join(env, `/vault/sync/pattern?_pk=abcdefghij&schemaVersion=3&ticket=${ticket}`);
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"], now: now + 1_001 });
  client.doc.getText("t").insert(0, "after the ticket's end");
  await client.until(() => client.isReceipted);
  await evictDurableObject(real.YAOS_SYNC.get(real.YAOS_SYNC.idFromName("pattern")), { webSockets: "hibernate" });
  client.doc.getText("t").insert(0, "after sleep, ");
  await client.until(() => client.isReceipted);
  client.close();
  open.splice(open.indexOf(client), 1);
  expect(await hear(env, `/vault/sync/pattern?ticket=${ticket}`)).toEqual(fatal(UNAUTHORIZED, "unauthorized"));
  const back = await join(env, `/vault/sync/pattern?schemaVersion=3&ticket=${await ticketFor(env, "pattern")}`);
  expect(back.doc.getText("t").toString()).toBe("after sleep, after the ticket's end");
  vi.useRealTimers();
});

test("[AC30] [ER2] an erased vault keeps owner and device out until it is lifted", async () => {
  const env = isolate({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
  await claim(env);
  const { credential } = await makeDevice(env);
  const client = await join(env, `/vault/sync/erased?token=${OWNER}`);
  client.doc.getText("t").insert(0, "gone");
  await client.until(() => client.isReceipted);
  const erase = await call(env, "/vault/erased", { method: "DELETE", body: '{"vaultId":"erased"}', headers: { Authorization: `Bearer ${OWNER}` } });
  expect(await erase.json()).toMatchObject({ erased: true });
  await client.until(() => client.closed !== null);
  expect(client.closed?.code).toBe(4404);
  // Said at once; the close comes ten seconds later and is not awaited here.
  for (const token of [OWNER, credential]) expect(await firstText(env, `/vault/sync/erased?token=${token}`)).toContain("vault erased");
  await post(env, "/vault/erased/unerase", { vaultId: "erased" });
  expect((await join(env, `/vault/sync/erased?token=${credential}`)).doc.getText("t").toString()).toBe("");
});

test("[AC25] a paired device connects", async () => {
  const env = isolate();
  await claim(env);
  const { code } = await post(env, "/api/pairings", { name: "phone", vault: "paired" });
  const { credential } = await post(env, "/api/pair", { code });
  expect((await join(env, `/vault/sync/paired?token=${String(credential)}`)).closed).toBeNull();
});
