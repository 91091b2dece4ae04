import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { sha256Hex } from "../../src/access/digest.ts";
import { verifyTicket } from "../../src/access/ticket.ts";
import { LIMITS } from "../../src/limits.ts";
import { type Answer, OWNER, quiet, standStill, TestInstall, type TestIsolate } from "../kit/test-install.ts";

let install: TestInstall;
let isolate: TestIsolate;
let pass: (ms: number) => void;

beforeEach(() => {
  quiet();
  pass = standStill();
  install = new TestInstall();
  isolate = install.isolate();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const CORS = "Access-Control-Allow-Origin";

async function claimed(): Promise<void> {
  expect((await isolate.call("POST", "/claim", { body: { token: OWNER } })).status).toBe(200);
  install.takeConfigCalls();
}

async function makeDevice(grant: Record<string, unknown> = {}): Promise<{ id: string; credential: string }> {
  const { status, body } = await isolate.call("POST", "/api/devices", { token: OWNER, body: { name: "laptop", ...grant } });
  expect(status).toBe(200);
  install.takeConfigCalls();
  return { id: (body["device"] as { id: string }).id, credential: String(body["credential"]) };
}

test("[AC3] the first claim wins, and its answer connects a client", async () => {
  const answer = await isolate.call("POST", "/claim", { body: { token: ` ${OWNER} `, vaultId: "a vault/1" } });
  expect(answer.status).toBe(200);
  expect(answer.headers.get(CORS)).toBeNull();
  expect(answer.body).toMatchObject({
    ok: true,
    host: "https://host",
    obsidianUrl: `obsidian://yaos?action=setup&host=https%3A%2F%2Fhost&token=${OWNER}&vaultId=a+vault%2F1`,
    capabilities: { claimed: true, authMode: "claim", updateProvider: null },
  });
  expect(Object.fromEntries(install.kv)).toEqual({ claimed: true, tokenHash: await sha256Hex(OWNER) });
  expect(await isolate.call("POST", "/claim", { body: { token: OWNER } })).toMatchObject({ status: 403, body: { error: "already_claimed" } });
  expect(await install.isolate().call("POST", "/claim", { body: "{" }), "before the body is looked at").toMatchObject({ status: 403 });
  expect(install.roomCalls).toEqual([]);
});

test("[AC3] a claim without a vault id, or a blank one, names none", async () => {
  for (const vaultId of [undefined, null]) {
    install = new TestInstall();
    const { body } = await install.isolate().call("POST", "/claim", { body: { token: OWNER, vaultId } });
    expect(body["obsidianUrl"]).toBe(`obsidian://yaos?action=setup&host=https%3A%2F%2Fhost&token=${OWNER}`);
  }
});

test("[AC3] what is no claim is refused in this order", async () => {
  const cases: [unknown, number, string][] = [
    ["", 400, "invalid json"], ["{", 400, "invalid json"], ["null", 400, "invalid json"], ["[]", 400, "invalid json"], ["5", 400, "invalid json"],
    [{}, 400, "invalid token"], [{ token: 5 }, 400, "invalid token"], [{ token: "x".repeat(31) }, 400, "invalid token"],
    [{ token: ` ${"x".repeat(31)} ` }, 400, "invalid token"], [{ token: `yd1.${"a".repeat(12)}.${"b".repeat(43)}` }, 400, "invalid token"],
    [{ token: "x".repeat(1_025) }, 400, "invalid token"],
    [{ token: OWNER, vaultId: "short" }, 400, "invalid vaultId"], [{ token: OWNER, vaultId: 5 }, 400, "invalid vaultId"],
    [{ token: "x".repeat(LIMITS.maxJsonBodyBytes) }, 413, "body too large"],
  ];
  for (const [body, status, error] of cases) {
    expect(await isolate.call("POST", "/claim", { body }), JSON.stringify(body).slice(0, 80)).toMatchObject({ status, body: { error } });
  }
  expect(await isolate.call("POST", "/claim", { body: { token: OWNER }, headers: { "Sec-Fetch-Site": "cross-site" } })).toMatchObject({ status: 403, body: { error: "cross-site claim" } });
  expect(install.kv.size).toBe(0);
});

test("[AC3] of two claims at once in two isolates one wins", async () => {
  const other = install.isolate();
  const answers = await Promise.all([isolate.call("POST", "/claim", { body: { token: OWNER } }), other.call("POST", "/claim", { body: { token: `${OWNER}2` } })]);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
});

test("[AC6] with a claim code nobody claims without it", async () => {
  const guarded = install.isolate({ YAOS_CLAIM_CODE: " 1234-5678 " });
  expect((await guarded.call("GET", "/api/capabilities")).body).toMatchObject({ authMode: "unclaimed", claimCodeRequired: true });
  for (const claimCode of [undefined, "", "1234-5679", 12345678, null]) {
    expect(await guarded.call("POST", "/claim", { body: { token: OWNER, claimCode } })).toMatchObject({ status: 403, body: { error: "invalid claim code" } });
  }
  expect(await guarded.call("POST", "/claim", { body: { claimCode: "wrong" } }), "the shape comes first").toMatchObject({ status: 400 });
  expect((await guarded.call("POST", "/claim", { body: { token: OWNER, claimCode: "1234-5678" } })).status).toBe(200);
  expect((await guarded.call("GET", "/api/capabilities")).body).toMatchObject({ authMode: "claim", claimCodeRequired: false });
});

test("[AC4] capabilities, in each mode and for each caller", async () => {
  const asked = await isolate.call("GET", "/api/capabilities?device=x");
  expect([asked.status, asked.headers.get(CORS), asked.headers.get("Cache-Control")]).toEqual([200, "*", "no-store"]);
  expect(asked.body).toEqual({
    claimed: false, authMode: "unclaimed", attachments: true, snapshots: false, maxBlobUploadBytes: 10_485_760, socketTicketAuth: true,
    serverVersion: "0.4.0", minPluginVersion: null, recommendedPluginVersion: "1.5.0", minSchemaVersion: 1, maxSchemaVersion: 3, migrationRequired: false,
    updateProvider: null, updateRepoUrl: null, updateRepoBranch: null, deviceAuth: true, claimCodeRequired: false,
  });
  await claimed();
  install.kv.set("updateProvider", "github");
  const env = install.isolate({ SYNC_TOKEN: "env" });
  const cases: [TestIsolate, string | undefined, string, string | null][] = [
    [install.isolate(), undefined, "claim", null], [install.isolate(), "wrong", "claim", null], [install.isolate(), OWNER, "claim", "github"],
    [env, undefined, "env", null], [env, "wrong", "env", null], [env, OWNER, "env", null], [env, "env", "env", "github"],
  ];
  for (const [where, token, authMode, updateProvider] of cases) {
    const answer = await where.call("GET", "/api/capabilities", token === undefined ? {} : { token });
    expect(answer, `${authMode} ${token}`).toMatchObject({ status: 200, body: { claimed: true, authMode, updateProvider } });
  }
  expect(install.roomCalls).toEqual([]);
});

test("[AC5] update metadata is the owner's to set", async () => {
  const path = "/api/update-metadata";
  expect(await isolate.call("POST", path, { token: OWNER, body: {} })).toMatchObject({ status: 503, body: { error: "unclaimed" } });
  await claimed();
  expect(await isolate.call("POST", path, { body: {} })).toMatchObject({ status: 401, body: { error: "unauthorized" } });
  expect(await isolate.call("POST", path, { token: OWNER, body: "null" })).toMatchObject({ status: 400, body: { error: "invalid json" } });
  expect(await isolate.call("POST", path, { token: OWNER, body: { updateProvider: "x" } })).toMatchObject({
    status: 400,
    body: { error: 'update metadata write failed (400): {"error":"invalid updateProvider"}' },
  });
  const answer = await isolate.call("POST", path, { token: OWNER, body: { updateProvider: "github", updateRepoUrl: "https://github.com/a/b/", updateRepoBranch: "main" } });
  expect(answer).toMatchObject({ status: 200, body: { ok: true, capabilities: { updateProvider: "github", updateRepoUrl: "https://github.com/a/b", updateRepoBranch: "main" } } });
  expect(answer.headers.get(CORS)).toBe("*");
});

test("[AC7] two isolates around a claim: the other one knows at once", async () => {
  const other = install.isolate();
  expect((await other.call("GET", "/api/capabilities")).body["authMode"]).toBe("unclaimed");
  await claimed();
  expect((await other.call("GET", "/api/capabilities")).body["authMode"]).toBe("claim");
  expect((await other.call("POST", "/vault/v/auth/ticket", { token: OWNER })).status).toBe(200);
});

test("[AC17] vault routes: unclaimed, wrong, missing; a token in the query is none; no room is touched", async () => {
  for (const [method, path] of [["POST", "/vault/v/auth/ticket"], ["GET", "/vault/v/debug/recent"], ["POST", "/vault/v/blobs/exists"], ["POST", "/vault/v/debug/compact"]] as const) {
    install = new TestInstall();
    isolate = install.isolate();
    expect(await isolate.call(method, path, { token: OWNER }), path).toMatchObject({ status: 503, body: { error: "unclaimed" } });
    await claimed();
    for (const options of [{}, { token: "wrong" }, { headers: { Authorization: `bearer ${OWNER}` } }, { headers: { Authorization: "Bearer " } }]) {
      const answer = await isolate.call(method, path, options);
      expect(answer, path).toMatchObject({ status: 401, body: { error: "unauthorized" } });
      expect(answer.headers.get(CORS)).toBe("*");
    }
    expect((await isolate.call(method, `${path}?token=${OWNER}`)).status, path).toBe(401);
    expect(await isolate.call(method, path, { headers: { Authorization: `Bearer ${OWNER}, Bearer ${OWNER}` } }), "two headers").toMatchObject({ status: 401 });
    expect(install.roomCalls, path).toEqual([]);
  }
});

test("[AC18] wrong credentials share one read, and a good one needs no other", async () => {
  await claimed();
  pass(LIMITS.configRecheckMs + 1);
  for (let i = 0; i < 10; i++) await isolate.call("GET", "/vault/v/debug/recent", { token: "wrong" });
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: OWNER })).status).toBe(200);
  expect(install.takeConfigCalls()).toEqual(["GET /__yaos/config"]);
});

test("[AC11] a ticket is issued without asking a room, in both modes", async () => {
  await claimed();
  const answer = await isolate.call("POST", "/vault/a%2Fb/auth/ticket", { token: OWNER, body: "ignored" });
  expect(answer.body).toEqual({ ticket: expect.any(String) as unknown, expiresAt: Date.now() + 300_000, ttlMs: 300_000 });
  expect(await verifyTicket(String(answer.body["ticket"]), await sha256Hex(OWNER), "a/b", Date.now())).toEqual({ device: null });
  const env = install.isolate({ SYNC_TOKEN: " secret ", YAOS_TICKET_TTL_MS: "8000" });
  const other = await env.call("POST", "/vault//v/auth/ticket/?device=x", { token: "secret" });
  expect(other.body["ttlMs"]).toBe(8_000);
  expect(await verifyTicket(String(other.body["ticket"]), "secret", "v", Date.now())).toEqual({ device: null });
  expect(install.roomCalls).toEqual([]);
});

test("[AC16] a device's ticket names the device, and costs one admission", async () => {
  await claimed();
  const { id, credential } = await makeDevice({ vault: "v", mode: "ro" });
  const answer = await isolate.call("POST", "/vault/v/auth/ticket", { token: credential });
  expect(await verifyTicket(String(answer.body["ticket"]), await sha256Hex(OWNER), "v", Date.now())).toEqual({ device: id });
  expect(install.takeConfigCalls()).toEqual(["POST /__yaos/devices/admit"]);
  expect((await isolate.call("POST", "/vault/w/auth/ticket", { token: credential })).status).toBe(401);
});

test("[AC28] a read-only device reads and does not write; a device is not the owner", async () => {
  await claimed();
  const { credential } = await makeDevice({ mode: "ro" });
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: credential })).status).toBe(200);
  expect(await isolate.call("PUT", `/vault/v/blobs/${"a".repeat(64)}`, { token: credential, body: "x" })).toMatchObject({ status: 403, body: { error: "read-only credential" } });
  install.takeConfigCalls();
  for (const [method, path] of [["GET", "/api/devices"], ["POST", "/api/devices"], ["POST", "/api/pairings"], ["POST", "/api/rotate"], ["POST", "/api/update-metadata"], ["POST", "/vault/v/debug/compact"], ["DELETE", "/vault/v"]] as const) {
    expect((await isolate.call(method, path, { token: credential, ...(method === "GET" ? {} : { body: {} }) })).status, path).toBe(401);
  }
  expect(install.takeConfigCalls()).toEqual([]);
});

test("[AC18] a device credential that was refused costs nothing the next time", async () => {
  await claimed();
  const { credential } = await makeDevice({ vault: "v" });
  const wrong = `${credential.slice(0, -1)}${credential.endsWith("A") ? "B" : "A"}`;
  for (let i = 0; i < 5; i++) expect((await isolate.call("GET", "/vault/v/debug/recent", { token: wrong })).status).toBe(401);
  for (let i = 0; i < 5; i++) expect((await isolate.call("GET", "/vault/w/debug/recent", { token: credential })).status).toBe(401);
  expect(install.takeConfigCalls()).toEqual(["POST /__yaos/devices/admit", "POST /__yaos/devices/admit"]);
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: credential })).status).toBe(200);
});

test("[AC18] whoever guesses device credentials costs a request in two seconds, and refuses nobody", async () => {
  await claimed();
  const { credential } = await makeDevice();
  const guess = (i: number): string => `yd1.${String(i).padStart(12, "x")}.${"b".repeat(43)}`;
  for (let i = 0; i < LIMITS.blindAdmissionsPerMinute + 1; i++) expect((await isolate.call("GET", "/vault/v/debug/recent", { token: guess(i) })).status).toBe(401);
  expect(install.takeConfigCalls()).toHaveLength(LIMITS.blindAdmissionsPerMinute + 1);
  // The first look at what exists; the clock stands still, so the next must wait and is not awaited here.
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: guess(1_000) })).status).toBe(401);
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: credential })).status).toBe(200);
  expect(install.takeConfigCalls()).toEqual(["GET /__yaos/devices", "POST /__yaos/devices/admit"]);
});

test("[AC17] a device at an unclaimed server is told so", async () => {
  const credential = `yd1.${"a".repeat(12)}.${"b".repeat(43)}`;
  expect(await isolate.call("GET", "/vault/v/debug/recent", { token: credential })).toMatchObject({ status: 503, body: { error: "unclaimed" } });
  await claimed();
  expect(await isolate.call("GET", "/vault/v/debug/recent", { token: credential })).toMatchObject({ status: 401 });
});

test("[AC23] a revoked device is out at the next request, in every isolate, and its rooms are told", async () => {
  await claimed();
  const other = install.isolate();
  const { id, credential } = await makeDevice();
  for (const vault of ["a", "b"]) {
    expect((await other.call("GET", `/vault/${vault}/debug/recent`, { token: credential })).status).toBe(200);
    await install.core.answer("POST", "/__yaos/devices/admit", { id, secretHash: null, vault, socket: true });
  }
  install.closes = new Map([["a", 2], ["b", null]]);
  install.roomCalls.length = 0;
  const answer = await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER });
  expect(answer).toMatchObject({ status: 200, body: { ok: true, closed: 2, notReached: ["b"] } });
  expect(install.roomCalls).toContainEqual({ vault: "a", path: "/__yaos/revoke", body: { by: id, below: 1 } });
  expect((await other.call("GET", "/vault/a/debug/recent", { token: credential })).status).toBe(401);
  install.closes = new Map([["b", 1]]);
  expect((await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER })).body, "again, for the rooms not reached").toEqual({ ok: true, closed: 1, notReached: [] });
  install.roomCalls.length = 0;
  expect((await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER })).body, "none is left").toEqual({ ok: true, closed: 0, notReached: [] });
  expect(install.roomCalls).toEqual([]);
  for (const wrong of ["AAAAAAAAAAAA", "x", "%zz"]) expect((await isolate.call("DELETE", `/api/devices/${wrong}`, { token: OWNER })).status).toBe(404);
});

test("[AC20] the owner lists and makes devices, without their secrets", async () => {
  await claimed();
  const { id, credential } = await makeDevice({ name: "phone", vault: "v", mode: "ro" });
  const listed = await isolate.call("GET", "/api/devices", { token: OWNER });
  expect(listed.body).toEqual({ devices: [{ id, name: "phone", vault: "v", mode: "ro", createdAt: Date.now(), lastSeenAt: null, revokedAt: null }] });
  expect(JSON.stringify(listed.body)).not.toContain(credential.split(".")[2]);
  for (const body of ["null", "[]", "", { name: "" }, { name: "x", mode: "w" }]) expect((await isolate.call("POST", "/api/devices", { token: OWNER, body })).status).toBe(400);
  for (const [method, path] of [["GET", "/api/devices"], ["POST", "/api/devices"], ["DELETE", `/api/devices/${id}`], ["POST", "/api/pairings"]] as const) {
    expect((await isolate.call(method, path, { token: "wrong" })).status).toBe(401);
    expect((await new TestInstall().isolate().call(method, path, { token: OWNER })).status).toBe(503);
  }
});

test("[AC8] [AC10] a rotation: the old token is out, the new one in, in every isolate, and all rooms are told", async () => {
  await claimed();
  const other = install.isolate();
  expect((await other.call("POST", "/vault/v/auth/ticket", { token: OWNER })).status).toBe(200);
  for (const vaultId of ["a", "b", "c"]) await install.core.answer("POST", "/__yaos/rooms", { vaultId });
  install.closes = new Map([["a", 3], ["b", null], ["c", 1]]);
  const next = "the-next-token-of-thirty-two-characters";
  for (const token of ["short", 5, `yd1.${"a".repeat(12)}.${"b".repeat(43)}`]) expect(await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token } })).toMatchObject({ status: 400, body: { error: "invalid token" } });
  expect(await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token: OWNER } })).toMatchObject({ status: 400, body: { error: "same token" } });
  expect(await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token: next } })).toMatchObject({ status: 200, body: { ok: true, closed: 4, notReached: ["b"] } });
  expect(install.roomCalls).toContainEqual({ vault: "a", path: "/__yaos/revoke", body: { by: "owner", below: 1 } });
  expect((await isolate.call("POST", "/vault/v/auth/ticket", { token: OWNER })).status).toBe(401);
  expect((await isolate.call("POST", "/vault/v/auth/ticket", { token: next })).status).toBe(200);
  pass(LIMITS.configRecheckMs + 1);
  expect((await other.call("GET", "/api/devices", { token: OWNER })).status, "what manages access asks again").toBe(401);
  expect((await other.call("POST", "/vault/v/auth/ticket", { token: next })).status).toBe(200);
});

test("[AC8] an isolate that has not heard of the rotation takes the new token at once, from two seconds on", async () => {
  await claimed();
  const other = install.isolate();
  await other.call("POST", "/vault/v/auth/ticket", { token: OWNER });
  const next = "the-next-token-of-thirty-two-characters";
  await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token: next } });
  pass(LIMITS.configRecheckMs + 1);
  expect((await other.call("POST", "/vault/v/auth/ticket", { token: next })).status).toBe(200);
});

test("[AC8] in env mode the token is the variable's", async () => {
  const env = install.isolate({ SYNC_TOKEN: "secret" });
  expect(await env.call("POST", "/api/rotate", { token: "secret", body: { token: OWNER } })).toMatchObject({ status: 409, body: { error: "env_mode" } });
  expect((await env.call("POST", "/claim", { body: { token: OWNER } })).body).toEqual({ error: "already_claimed" });
  expect(install.takeConfigCalls()).toEqual([]);
});

test("[AC20] env mode has devices too", async () => {
  const env = install.isolate({ SYNC_TOKEN: "secret" });
  const made = await env.call("POST", "/api/devices", { token: "secret", body: { name: "x" } });
  expect(made.status).toBe(200);
  expect((await env.call("GET", "/vault/v/debug/recent", { token: String(made.body["credential"]) })).status).toBe(200);
});

test("[AC25] a code of the owner's becomes a credential for whoever types it", async () => {
  await claimed();
  const { body } = await isolate.call("POST", "/api/pairings", { token: OWNER, body: { name: "phone", vault: "v" } });
  expect(body).toEqual({ code: expect.stringMatching(/^.{4}-.{4}-.{4}$/) as unknown, expiresAt: Date.now() + LIMITS.pairingLifeMs });
  const paired = await isolate.call("POST", "/api/pair", { body: { code: body["code"] } });
  expect(paired).toMatchObject({ status: 200, body: { device: { name: "phone", vault: "v", mode: "rw" } } });
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: String(paired.body["credential"]) })).status).toBe(200);
  expect(await isolate.call("POST", "/api/pair", { body: { code: body["code"] } })).toMatchObject({ status: 403, body: { error: "invalid code" } });
});

test("[AC26] wrong codes are put off by address, and a right one is taken all the same; malformed ones cost nothing", async () => {
  await claimed();
  const { code } = (await isolate.call("POST", "/api/pairings", { token: OWNER, body: { name: "phone" } })).body;
  install.takeConfigCalls();
  for (const body of ["null", {}, { code: 5 }, { code: "short" }, { code: "x".repeat(1_000) }]) expect((await isolate.call("POST", "/api/pair", { body })).status).toBe(400);
  expect(install.takeConfigCalls()).toEqual([]);
  const proxied = install.isolate({ YAOS_TRUSTED_IP_HEADER: "X-Test-Address" });
  const pair = (from: string, typed: unknown): Promise<Answer> => proxied.call("POST", "/api/pair", { body: { code: typed }, headers: { "X-Test-Address": from } });
  for (let i = 0; i < LIMITS.authFailuresPerMinute; i++) expect((await pair("198.51.100.26", "ZZZZ-ZZZZ-ZZZZ")).status).toBe(403);
  const late = await pair("198.51.100.26", "ZZZZ-ZZZZ-ZZZZ");
  expect([late.status, late.body, late.headers.get("Retry-After")]).toEqual([429, { error: "too many wrong credentials" }, "65"]);
  expect((await pair("198.51.100.27", "ZZZZ-ZZZZ-ZZZZ")).status, "another address").toBe(403);
  expect((await pair("198.51.100.26", code)).status).toBe(200);
});

test("[AC16] a device's ticket is signed with the key of now, in an isolate that has not heard of the rotation", async () => {
  await claimed();
  const { id, credential } = await makeDevice();
  const other = install.isolate();
  await other.call("POST", "/vault/v/auth/ticket", { token: OWNER });
  const next = "the-next-token-of-thirty-two-characters";
  await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token: next } });
  install.takeConfigCalls();
  for (let i = 0; i < 2; i++) {
    const { body } = await other.call("POST", "/vault/v/auth/ticket", { token: credential });
    expect(await verifyTicket(String(body["ticket"]), await sha256Hex(next), "v", Date.now())).toEqual({ device: id });
  }
  const admit = "POST /__yaos/devices/admit";
  expect(install.takeConfigCalls(), "read again once").toEqual([admit, "GET /__yaos/config", admit]);
});

test("[AC18] wrong secrets for a device that exists cost one request, and do not refuse the right one", async () => {
  await claimed();
  const { id, credential } = await makeDevice();
  for (let i = 0; i < 100; i++) expect((await isolate.call("GET", "/vault/v/debug/recent", { token: `yd1.${id}.${String(i).padStart(43, "x")}` })).status).toBe(401);
  expect(install.takeConfigCalls()).toEqual(["POST /__yaos/devices/admit"]);
  expect((await isolate.call("GET", "/vault/v/debug/recent", { token: credential })).status).toBe(200);
});

test("[AC3] [AC8] a token is printable ASCII without spaces", async () => {
  const wrong = ["a".repeat(40) + "\u00e9", "a".repeat(20) + " " + "a".repeat(20), "a".repeat(20) + "\n" + "a".repeat(20), "\u0000" + "a".repeat(40), "\u65e5".repeat(40), "a".repeat(40) + "\u007f"];
  for (const token of wrong) expect(await isolate.call("POST", "/claim", { body: { token } }), JSON.stringify(token)).toMatchObject({ status: 400, body: { error: "invalid token" } });
  await claimed();
  for (const token of wrong) expect(await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token } })).toMatchObject({ status: 400, body: { error: "invalid token" } });
});

test("[AC30] erasing is dark without its variable, wants the id twice, and is the owner's", async () => {
  await claimed();
  const body = { vaultId: "a/b" };
  expect((await isolate.call("DELETE", "/vault/a%2Fb", { body })).status).toBe(401);
  expect((await isolate.call("DELETE", "/vault/a%2Fb", { token: OWNER, body })).status).toBe(404);
  const lit = install.isolate({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
  expect((await lit.call("DELETE", "/vault/a%2Fb", { body })).status).toBe(401);
  for (const wrong of [{}, { vaultId: "a" }, { vaultId: ["a/b"] }]) {
    expect(await lit.call("DELETE", "/vault/a%2Fb", { token: OWNER, body: wrong })).toMatchObject({ status: 400, body: { error: "vaultId does not match" } });
  }
  expect(install.roomCalls).toEqual([]);
  expect((await lit.call("DELETE", "/vault/a%2Fb", { token: OWNER, body })).status).toBe(200);
  expect((await lit.call("POST", "/vault/a%2Fb/unerase", { token: OWNER, body })).status).toBe(200);
  expect(install.roomCalls.map(({ vault, path }) => `${vault} ${path}`)).toEqual(["a/b /__yaos/erase", "a/b /__yaos/unerase"]);
});

test("[AC30] a vault named sync, or unerase, can be erased and unerased", async () => {
  await claimed();
  const lit = install.isolate({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
  for (const vaultId of ["sync", "unerase"]) {
    expect(await lit.call("DELETE", `/vault/${vaultId}`, { token: OWNER, body: { vaultId } }), vaultId).toMatchObject({ status: 200 });
    expect(await lit.call("POST", `/vault/${vaultId}/unerase`, { token: OWNER, body: { vaultId } }), vaultId).toMatchObject({ status: 200 });
  }
  expect(install.roomCalls.map(({ vault, path }) => `${vault} ${path}`)).toEqual(["sync /__yaos/erase", "sync /__yaos/unerase", "unerase /__yaos/erase", "unerase /__yaos/unerase"]);
  expect(await lit.call("GET", "/vault/sync/unerase", { token: OWNER }), "a door still").toMatchObject({ status: 404, body: { text: "Not implemented" } });
});

test("[AC30] the config object forgets an erased vault", async () => {
  await claimed();
  const { id } = await makeDevice();
  for (const vault of ["gone", "stays"]) await install.core.answer("POST", "/__yaos/devices/admit", { id, secretHash: null, vault, socket: true });
  const lit = install.isolate({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
  expect((await lit.call("POST", "/vault/stays/unerase", { token: OWNER, body: { vaultId: "stays" } })).status).toBe(200);
  expect((await lit.call("DELETE", "/vault/gone", { token: OWNER, body: { vaultId: "gone" } })).status).toBe(200);
  expect((await install.core.answer("GET", "/__yaos/rooms", null)).body).toEqual({ rooms: ["stays"] });
  expect((await install.core.answer("POST", "/__yaos/devices/revoke", { id })).body).toMatchObject({ rooms: [{ vault: "stays" }] });
  expect((await install.core.answer("POST", "/__yaos/rooms/forget", {})).status).toBe(400);
});

test("[AC29] one log line per request, without tokens and without vault ids; of 404s one in a hundred", async () => {
  await claimed();
  const lines: string[] = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  const random = vi.spyOn(Math, "random").mockReturnValue(0.5);
  await isolate.call("POST", `/vault/diary/auth/ticket?token=${OWNER}`, { token: OWNER });
  await isolate.call("GET", "/vault/diary/debug/recent", { token: "wrong" });
  await isolate.call("GET", "/junk");
  const vault = (await sha256Hex("diary")).slice(0, 8);
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { event: "request.answered", route: "/vault/:id/auth/ticket", method: "POST", status: 200, ms: 0, auth: "owner", vault },
    { event: "request.answered", route: "/vault/:id/debug/recent", method: "GET", status: 401, ms: 0, auth: "refused", vault },
  ]);
  random.mockReturnValue(0.001);
  await isolate.call("GET", "/junk");
  expect(lines).toHaveLength(3);
});

test("[AU5] junk, wrong shapes and preflights touch no object at all", async () => {
  for (const [method, path] of [
    ["GET", "/junk"], ["GET", "/vault"], ["GET", "/vault/v"], ["GET", "/vault/v/auth/ticket"], ["POST", "/vault/v/auth"], ["POST", "/vault/v/auth/ticket/x"], ["GET", "/claim"],
    ["POST", "/api/capabilities"], ["PUT", "/api/devices"], ["DELETE", "/api/devices"], ["HEAD", "/api/capabilities"], ["PATCH", "/vault/v/debug/recent"], ["OPTIONS", "/api/devices"],
    ["OPTIONS", "/vault/sync/v"], ["GET", "/mobile-setup"], ["GET", "/__yaos/config"], ["POST", "/__yaos/claim"],
  ] as const) {
    await isolate.call(method, path, { token: OWNER });
  }
  expect([...install.configCalls, ...install.roomCalls]).toEqual([]);
});
