import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { OWNER, quiet, standStill, TestInstall, type TestIsolate } from "../kit/test-install.ts";

const NEXT = "the-next-token-of-thirty-two-characters";
let install: TestInstall;
let isolate: TestIsolate;
let pass: (ms: number) => void;

beforeEach(async () => {
  quiet();
  pass = standStill();
  install = new TestInstall();
  isolate = install.isolate();
  await isolate.call("POST", "/claim", { body: { token: OWNER } });
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function makeDevice(): Promise<{ id: string; credential: string }> {
  const { body } = await isolate.call("POST", "/api/devices", { token: OWNER, body: { name: "laptop" } });
  return { id: (body["device"] as { id: string }).id, credential: String(body["credential"]) };
}

/** As a door does before it hands the socket to the room. */
async function connect(id: string, vault: string): Promise<void> {
  await install.core.answer("POST", "/__yaos/devices/admit", { id, secretHash: null, vault, socket: true });
}

const told = (): string[] => install.roomCalls.splice(0).filter(({ path }) => path === "/__yaos/revoke").map(({ vault }) => vault);

test("[AC22] [AC23] tickets for a thousand junk vaults do not keep a revocation from the real one", async () => {
  const { id, credential } = await makeDevice();
  await connect(id, "zz-real");
  for (let i = 0; i < 1_000; i++) expect((await isolate.call("POST", `/vault/a${i}/auth/ticket`, { token: credential })).status).toBe(200);
  install.closes = new Map([["zz-real", 1]]);
  expect((await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER })).body).toEqual({ ok: true, closed: 1, notReached: [] });
  expect(told()).toEqual(["zz-real"]);
});

test("[AC23] a revocation repeated reaches every room, however many sockets there were and whichever rooms fail", async () => {
  const { id } = await makeDevice();
  await connect(id, "zz-real");
  const all = ["zz-real"];
  for (let i = 0; i < 1_500; i++) {
    await connect(id, `a${i}`);
    all.push(`a${i}`);
  }
  // The latest ones, so that they come first, and more than one request may try.
  const broken = all.slice(-500);
  install.closes = new Map<string, number | null>([["zz-real", 1], ...broken.map((vault) => [vault, null] as const)]);
  let closed = 0;
  const reached = new Set<string>();
  for (let repeat = 0; repeat < 5 && closed === 0; repeat++) {
    const { body } = await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER });
    closed += Number(body["closed"]);
    const calls = told();
    expect(calls.length).toBeLessThanOrEqual(LIMITS.maxRoomCalls);
    for (const vault of calls) if (install.closes.get(vault) !== null) reached.add(vault);
    expect(new Set(body["notReached"] as string[])).toEqual(new Set(all.filter((vault) => !reached.has(vault))));
  }
  expect(closed).toBe(1);
  install.closes = new Map();
  await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER });
  expect((await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER })).body).toEqual({ ok: true, closed: 0, notReached: [] });
});

test("[AC10] a rotation is told on with the rooms that are left, by the new token only", async () => {
  for (let i = 0; i < LIMITS.maxRoomCalls + 50; i++) await install.core.answer("POST", "/__yaos/rooms", { vaultId: `v${String(i).padStart(4, "0")}` });
  install.closes = new Map([["v0000", 2]]);
  const first = await isolate.call("POST", "/api/rotate", { token: OWNER, body: { token: NEXT } });
  expect([first.body["closed"], (first.body["notReached"] as string[]).length, told().length]).toEqual([0, 50, LIMITS.maxRoomCalls]);
  expect((await isolate.call("POST", "/api/rotate/resume", { token: OWNER })).status).toBe(401);
  pass(LIMITS.configRecheckMs + 1);
  expect((await install.isolate().call("POST", "/api/rotate/resume", { token: NEXT })).body).toEqual({ ok: true, closed: 2, notReached: [] });
  expect(told()).toHaveLength(50);
  expect((await isolate.call("POST", "/api/rotate/resume", { token: NEXT })).body).toEqual({ ok: true, closed: 0, notReached: [] });
  expect(await install.isolate({ SYNC_TOKEN: "env" }).call("POST", "/api/rotate/resume", { token: "env" })).toMatchObject({ status: 409, body: { error: "env_mode" } });
});

test("[AC10] [AC23] one request stays under the platform's thousand, reports included", async () => {
  const { id } = await makeDevice();
  for (let i = 0; i < 1_000; i++) await connect(id, `a${i}`);
  install.takeConfigCalls();
  await isolate.call("DELETE", `/api/devices/${id}`, { token: OWNER });
  expect(install.takeConfigCalls().length + told().length).toBeLessThan(1_000);
});
