import { beforeEach, expect, test } from "vitest";
import { ConfigCore } from "../../src/access/config-core.ts";
import { sha256Hex } from "../../src/access/digest.ts";
import { LIMITS } from "../../src/limits.ts";
import { NodeSql } from "../kit/node-sql.ts";

const HASH = "a".repeat(64);
const OTHER = "b".repeat(64);
let kv: Map<string, unknown>;
let sql: NodeSql;
let now: number;
let seed: number;
let core: ConfigCore;

/** Bytes that repeat only after four thousand million. */
function nextByte(): number {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed >>> 24;
}

/** The object after a restart: same storage, nothing remembered. */
function reopen(): ConfigCore {
  return new ConfigCore({
    sql,
    kv: { get: (key) => kv.get(key), put: (key, value) => void kv.set(key, value) },
    nowMs: () => now,
    randomBytes: (count) => Uint8Array.from({ length: count }, () => nextByte()),
  });
}

beforeEach(() => {
  kv = new Map();
  sql = new NodeSql();
  now = 1_700_000_000_000;
  seed = 0;
  core = reopen();
});

const get = (path: string): Promise<{ status: number; body: unknown }> => core.answer("GET", path, null);
const post = async (path: string, body: Record<string, unknown> | null): Promise<{ status: number; body: Record<string, unknown> }> =>
  (await core.answer("POST", path, body)) as { status: number; body: Record<string, unknown> };

async function device(grant: Record<string, unknown> = {}): Promise<{ id: string; secretHash: string; credential: string }> {
  const { status, body } = await post("/__yaos/devices/create", { name: "laptop", ...grant });
  expect(status).toBe(200);
  const credential = String(body["credential"]);
  const [, id, secret] = credential.split(".");
  return { id: id!, secretHash: await sha256Hex(secret!), credential };
}

test("[AC1] an install without entries is unclaimed, and reading it writes nothing", async () => {
  expect(await get("/__yaos/config")).toEqual({
    status: 200,
    body: { claimed: false, tokenHash: null, updateProvider: null, updateRepoUrl: null, updateRepoBranch: null, ownerEpoch: 0 },
  });
  await get("/__yaos/devices");
  await get("/__yaos/rooms");
  expect([kv.size, sql.rowsWritten]).toEqual([0, 0]);
});

test("[AC1] the entries of an existing install are read as they are", async () => {
  for (const [key, value] of Object.entries({ claimed: true, tokenHash: HASH, updateProvider: "github", updateRepoUrl: "https://github.com/a/b", updateRepoBranch: "main" })) kv.set(key, value);
  expect((await get("/__yaos/config")).body).toEqual({ claimed: true, tokenHash: HASH, updateProvider: "github", updateRepoUrl: "https://github.com/a/b", updateRepoBranch: "main", ownerEpoch: 0 });
  expect(sql.rowsWritten).toBe(0);
});

test("[AC2] half a claim is none: both entries count", async () => {
  for (const [claimed, tokenHash] of [[true, undefined], [true, ""], [false, HASH], ["true", HASH], [true, 5]] as const) {
    kv.clear();
    kv.set("claimed", claimed);
    if (tokenHash !== undefined) kv.set("tokenHash", tokenHash);
    expect((await get("/__yaos/config")).body).toMatchObject({ claimed: false });
    expect((await post("/__yaos/claim", { tokenHash: OTHER })).status).toBe(200);
  }
});

test("[AC2] a claim writes the two entries, once", async () => {
  expect(await post("/__yaos/claim", null)).toEqual({ status: 400, body: { error: "invalid json" } });
  for (const tokenHash of [undefined, null, "", "  ", 5, []]) expect(await post("/__yaos/claim", { tokenHash })).toEqual({ status: 400, body: { error: "missing tokenHash" } });
  expect(await post("/__yaos/claim", { tokenHash: "short" })).toEqual({ status: 400, body: { error: "invalid tokenHash" } });
  expect(await post("/__yaos/claim", { tokenHash: HASH })).toEqual({ status: 200, body: { ok: true } });
  expect(Object.fromEntries(kv)).toEqual({ claimed: true, tokenHash: HASH });
  expect(await post("/__yaos/claim", { tokenHash: OTHER })).toEqual({ status: 403, body: { error: "already_claimed" } });
  expect(kv.get("tokenHash")).toBe(HASH);
});

test("[AC5] update metadata is checked field by field, normalized, and never cleared", async () => {
  const cases: [Record<string, unknown>, number, string | null][] = [
    [{ updateProvider: "svn" }, 400, "invalid updateProvider"],
    [{ updateProvider: 1 }, 400, "invalid updateProvider"],
    [{ updateRepoUrl: "ftp://h/a/b" }, 400, "invalid updateRepoUrl"],
    [{ updateRepoUrl: "https://h/a" }, 400, "invalid updateRepoUrl"],
    [{ updateRepoUrl: "https://user:pw@h/a/b" }, 400, "invalid updateRepoUrl"],
    [{ updateRepoUrl: "nonsense" }, 400, "invalid updateRepoUrl"],
    [{ updateRepoBranch: "a..b" }, 400, "invalid updateRepoBranch"],
    [{ updateRepoBranch: "a b" }, 400, "invalid updateRepoBranch"],
    [{ updateRepoBranch: "x".repeat(121) }, 400, "invalid updateRepoBranch"],
    [{ updateProvider: "gitlab", updateRepoUrl: " https://h/a/b.git/?q=1#x ", updateRepoBranch: "release/1.x" }, 200, null],
    [{ updateProvider: null, updateRepoUrl: " ", updateRepoBranch: undefined }, 200, null],
  ];
  for (const [body, status, error] of cases) {
    const answer = await post("/__yaos/update-metadata", body);
    expect([answer.status, answer.body["error"] ?? null], JSON.stringify(body)).toEqual([status, error]);
  }
  expect((await get("/__yaos/config")).body).toMatchObject({ updateProvider: "gitlab", updateRepoUrl: "https://h/a/b", updateRepoBranch: "release/1.x" });
  expect(await post("/__yaos/update-metadata", null)).toEqual({ status: 400, body: { error: "invalid json" } });
});

test("[AC8] a rotation needs the present token, raises the epoch, and names the rooms", async () => {
  expect((await post("/__yaos/rotate", { oldHash: HASH, newHash: OTHER })).status).toBe(401);
  await post("/__yaos/claim", { tokenHash: HASH });
  await post("/__yaos/rooms", { vaultId: "v2" });
  await post("/__yaos/rooms", { vaultId: "v1" });
  expect(await post("/__yaos/rotate", { oldHash: OTHER, newHash: HASH })).toMatchObject({ status: 401 });
  expect(await post("/__yaos/rotate", { oldHash: HASH, newHash: HASH })).toMatchObject({ status: 400 });
  expect(await post("/__yaos/rotate", { oldHash: HASH, newHash: "x" })).toMatchObject({ status: 400 });
  expect(await post("/__yaos/rotate", { oldHash: HASH, newHash: OTHER })).toEqual({ status: 200, body: { ok: true, ownerEpoch: 1, rooms: [{ number: 2, vault: "v1" }, { number: 1, vault: "v2" }] } });
  expect((await get("/__yaos/config")).body).toMatchObject({ claimed: true, tokenHash: OTHER, ownerEpoch: 1 });
  expect(await post("/__yaos/rotate", { oldHash: HASH, newHash: "c".repeat(64) })).toMatchObject({ status: 401 });
});

test("[AC20] a device's secret is stored as its digest only", async () => {
  const { id, credential } = await device();
  expect(credential).toMatch(/^yd1\.[A-Za-z0-9_-]{12}\.[A-Za-z0-9_-]{43}$/);
  const secret = credential.split(".")[2]!;
  const stored = JSON.stringify(sql.exec("SELECT * FROM access_devices"));
  expect(stored).toContain(id);
  expect(stored).not.toContain(secret);
  expect(JSON.stringify(await get("/__yaos/devices"))).not.toContain(await sha256Hex(secret));
});

test("[AC21] a device is admitted with its secret, or by a ticket, to the vaults it covers", async () => {
  const everywhere = await device();
  const one = await device({ vault: "v", mode: "ro" });
  const admit = (id: string, secretHash: unknown, vault: unknown): Promise<unknown> => post("/__yaos/devices/admit", { id, secretHash, vault }).then((answer) => answer.body);
  const refused = { ok: false, claimed: false };
  expect(await admit(everywhere.id, everywhere.secretHash, "any")).toEqual({ ok: true, mode: "rw", epoch: 0, ownerEpoch: 0 });
  expect(await admit(one.id, one.secretHash, "v")).toEqual({ ok: true, mode: "ro", epoch: 0, ownerEpoch: 0 });
  expect(await admit(one.id, null, "v")).toEqual({ ok: true, mode: "ro", epoch: 0, ownerEpoch: 0 });
  expect(await admit(one.id, one.secretHash, "w")).toEqual(refused);
  expect(await admit(one.id, null, "w")).toEqual(refused);
  expect(await admit(one.id, everywhere.secretHash, "v"), "the right digest, for the Worker to know other wrong ones by").toEqual({ ...refused, secretHash: one.secretHash });
  expect(await admit("AAAAAAAAAAAA", null, "v")).toEqual(refused);
  for (const [id, secretHash, vault] of [["x", null, "v"], [one.id, "x", "v"], [one.id, undefined, "v"], [one.id, null, ""], [one.id, null, 5]]) {
    expect((await post("/__yaos/devices/admit", { id, secretHash, vault })).status).toBe(400);
  }
});

test("[AC22] an admission is noted once per vault, and seen once a minute", async () => {
  const { id, secretHash } = await device();
  await post("/__yaos/devices/admit", { id, secretHash, vault: "v", socket: true });
  const before = sql.rowsWritten;
  for (let i = 0; i < 50; i++) await post("/__yaos/devices/admit", { id, secretHash, vault: "v", socket: true });
  expect(sql.rowsWritten).toBe(before);
  now += LIMITS.lastSeenStepMs;
  await post("/__yaos/devices/admit", { id, secretHash, vault: "v", socket: true });
  expect((await get("/__yaos/devices")).body).toMatchObject({ devices: [{ id, name: "laptop", vault: null, mode: "rw", lastSeenAt: now, revokedAt: null }] });
  expect((await get("/__yaos/rooms")).body).toEqual({ rooms: ["v"] });
});

test("[AC22] what is no socket notes no vault, and what asks for junk keeps no place from the real one", async () => {
  const { id, secretHash } = await device();
  for (let i = 0; i < 5; i++) expect((await post("/__yaos/devices/admit", { id, secretHash: i % 2 === 0 ? secretHash : null, vault: `junk${i}` })).body).toMatchObject({ ok: true });
  await post("/__yaos/devices/admit", { id, secretHash, vault: "real", socket: true });
  expect((await get("/__yaos/rooms")).body).toEqual({ rooms: ["real"] });
  expect((await post("/__yaos/devices/revoke", { id })).body).toEqual({ rooms: [{ number: 1, vault: "real" }], epoch: 0 });
});

test("[AC10] [AC23] what was told is not told again; the latest come first, those that failed last", async () => {
  await post("/__yaos/claim", { tokenHash: HASH });
  const { id, secretHash } = await device({ ownerHash: HASH });
  for (const vault of ["a", "b", "c", "d"]) {
    now += 1;
    await post("/__yaos/devices/admit", { id, secretHash, vault, socket: true });
  }
  now += LIMITS.lastSeenStepMs;
  await post("/__yaos/devices/admit", { id, secretHash, vault: "b", socket: true });
  const left = async (path: string, body: Record<string, unknown>): Promise<string> => ((await post(path, body)).body["rooms"] as { vault: string }[]).map(({ vault }) => vault).join("");
  const tell = (by: string, told: number[], failed: number[], below = 1): Promise<unknown> => post("/__yaos/told", { by, below, told, failed });

  expect(await left("/__yaos/devices/revoke", { id })).toBe("bdca");
  await tell(id, [2], [4]);
  expect(await left("/__yaos/devices/revoke", { id })).toBe("cad");
  await tell(id, [], [3]);
  expect(await left("/__yaos/devices/revoke", { id })).toBe("adc");
  await tell("AAAAAAAAAAAA", [1, 2, 3, 4], []);
  core = reopen();
  expect(await left("/__yaos/devices/revoke", { id })).toBe("adc");

  expect(await left("/__yaos/rotate", { oldHash: HASH, newHash: OTHER })).toBe("dcba");
  await tell("owner", [1, 2], [4]);
  expect(await left("/__yaos/rotate/resume", { ownerHash: OTHER })).toBe("cd");
  expect((await post("/__yaos/rotate/resume", { ownerHash: HASH })).status).toBe(401);
  expect(await left("/__yaos/rotate", { oldHash: OTHER, newHash: HASH }), "a new rotation is told to all").toBe("cbad");
  await tell("owner", [1, 2, 3, 4], [], 1);
  expect(await left("/__yaos/rotate/resume", { ownerHash: HASH }), "a late report of the one before").toBe("cbad");
  await tell("owner", [1, 2, 3, 4], [], 2);
  expect(await left("/__yaos/rotate/resume", { ownerHash: HASH })).toBe("");
  for (const body of [{}, { by: "x" }, { below: 0.5 }, { told: 5 }, { failed: ["a"] }]) {
    const whole = { by: "owner", below: 1, told: [], failed: [], ...body };
    expect((await post("/__yaos/told", Object.keys(body).length === 0 ? {} : whole)).status, JSON.stringify(body)).toBe(400);
  }
});

test("[AC23] a revocation is final, names the rooms, and may be repeated, restarts between", async () => {
  const { id, secretHash } = await device();
  for (const vault of ["b", "a"]) await post("/__yaos/devices/admit", { id, secretHash, vault, socket: true });
  const rooms = [{ number: 2, vault: "a" }, { number: 1, vault: "b" }];
  expect(await post("/__yaos/devices/revoke", { id })).toEqual({ status: 200, body: { rooms, epoch: 0 } });
  core = reopen();
  expect((await post("/__yaos/devices/admit", { id, secretHash, vault: "a" })).body["ok"]).toBe(false);
  expect((await post("/__yaos/devices/admit", { id, secretHash: null, vault: "a" })).body["ok"]).toBe(false);
  expect(await post("/__yaos/devices/revoke", { id })).toEqual({ status: 200, body: { rooms, epoch: 0 } });
  expect((await get("/__yaos/devices")).body).toMatchObject({ devices: [{ id, revokedAt: now }] });
  for (const wrong of ["AAAAAAAAAAAA", "x", 5, null]) expect((await post("/__yaos/devices/revoke", { id: wrong })).status).toBe(404);
});

test("[AC24] a device carries the owner's epoch of its making, and a rotation leaves it in force", async () => {
  await post("/__yaos/claim", { tokenHash: HASH });
  const old = await device({ ownerHash: HASH });
  await post("/__yaos/rotate", { oldHash: HASH, newHash: OTHER });
  const young = await device({ ownerHash: OTHER });
  expect((await post("/__yaos/devices/admit", { id: old.id, secretHash: old.secretHash, vault: "v" })).body).toMatchObject({ ok: true, epoch: 0 });
  expect((await post("/__yaos/devices/admit", { id: young.id, secretHash: young.secretHash, vault: "v" })).body).toMatchObject({ ok: true, epoch: 1 });
});

test("[AC24] a pairing code made before a rotation is good no longer", async () => {
  await post("/__yaos/claim", { tokenHash: HASH });
  const { code } = (await post("/__yaos/pairings", { name: "x", ownerHash: HASH })).body;
  expect((await post("/__yaos/rotate", { oldHash: OTHER, newHash: HASH })).status).toBe(401);
  const { code: kept } = (await post("/__yaos/pairings", { name: "y", ownerHash: HASH })).body;
  expect((await post("/__yaos/pairings/redeem", { code: kept })).status, "one that fails changes nothing").toBe(200);
  await post("/__yaos/rotate", { oldHash: HASH, newHash: OTHER });
  expect(await post("/__yaos/pairings/redeem", { code })).toEqual({ status: 403, body: { error: "invalid code" } });
});

test("[AC9] whoever manages devices must hold the token of this moment", async () => {
  await post("/__yaos/claim", { tokenHash: HASH });
  const { id } = await device({ ownerHash: HASH });
  await post("/__yaos/rotate", { oldHash: HASH, newHash: OTHER });
  for (const path of ["/__yaos/devices/create", "/__yaos/pairings", "/__yaos/devices/revoke"]) {
    expect((await post(path, { name: "x", id, ownerHash: HASH })).status, path).toBe(401);
    expect((await post(path, { name: "x", id, ownerHash: "nonsense" })).status, path).toBe(401);
    expect((await post(path, { name: "x", id, ownerHash: OTHER })).status, path).toBe(200);
  }
});

test("[AC20] what a device may be is checked", async () => {
  const cases: [Record<string, unknown>, string][] = [
    [{}, "invalid name"], [{ name: "" }, "invalid name"], [{ name: "  " }, "invalid name"], [{ name: 5 }, "invalid name"], [{ name: "a\nb" }, "invalid name"],
    [{ name: "x".repeat(101) }, "invalid name"], [{ name: "x", vault: "" }, "invalid vault"], [{ name: "x", vault: 5 }, "invalid vault"],
    [{ name: "x", vault: "ü".repeat(513) }, "invalid vault"], [{ name: "x", mode: "admin" }, "invalid mode"], [{ name: "x", mode: null }, "invalid mode"],
  ];
  for (const path of ["/__yaos/devices/create", "/__yaos/pairings"]) {
    for (const [body, error] of cases) expect(await post(path, body), JSON.stringify(body)).toEqual({ status: 400, body: { error } });
  }
});

test("[AC20] an install has only so many devices, and forgets the oldest revoked", async () => {
  const first = await device({ name: "first" });
  await post("/__yaos/devices/revoke", { id: first.id });
  // Filled directly: a thousand credentials are a thousand digests.
  const insert = "INSERT INTO access_devices (id, secret_hash, name, mode, epoch, created_ms, revoked_ms) VALUES (?, ?, 'x', 'rw', 0, 0, ?)";
  for (let i = 0; i < LIMITS.maxDevices - 1; i++) sql.exec(insert, `revoked-${i}`, HASH, now + 1 + i);
  for (let i = 0; i < LIMITS.maxDevices - 1; i++) sql.exec(insert, `live-${i}`, HASH, null);
  await device({ name: "last" });
  expect(sql.exec("SELECT id FROM access_devices WHERE id = ?", first.id)).toEqual([]);
  expect(await post("/__yaos/devices/create", { name: "one too many" })).toEqual({ status: 409, body: { error: "too many devices" } });
});

test("[AC21] one device fills no list without end", async () => {
  const { id, secretHash } = await device();
  for (let i = 0; i < LIMITS.maxRoomsPerDevice; i++) sql.exec("INSERT INTO access_device_rooms (device, vault) VALUES (?, ?)", id, `v${i}`);
  expect((await post("/__yaos/devices/admit", { id, secretHash, vault: "one more", socket: true })).body["ok"]).toBe(false);
  expect((await post("/__yaos/devices/admit", { id, secretHash, vault: "v5", socket: true })).body["ok"]).toBe(true);
});

test("[AC25] a pairing code makes one device, once, within ten minutes", async () => {
  const { body } = await post("/__yaos/pairings", { name: "phone", vault: "v", mode: "ro" });
  const code = String(body["code"]);
  expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
  expect(body["expiresAt"]).toBe(now + LIMITS.pairingLifeMs);
  expect(JSON.stringify(sql.exec("SELECT * FROM access_pairings"))).not.toContain(code);
  core = reopen();
  const redeemed = await post("/__yaos/pairings/redeem", { code: ` ${code.toLowerCase().replaceAll("-", "")} ` });
  expect(redeemed.body).toMatchObject({ device: { name: "phone", vault: "v", mode: "ro" } });
  const [, id, secret] = String(redeemed.body["credential"]).split(".");
  expect((await post("/__yaos/devices/admit", { id, secretHash: await sha256Hex(secret!), vault: "v" })).body).toMatchObject({ ok: true, mode: "ro" });
  expect(await post("/__yaos/pairings/redeem", { code })).toEqual({ status: 403, body: { error: "invalid code" } });

  const late = String((await post("/__yaos/pairings", { name: "late" })).body["code"]);
  now += LIMITS.pairingLifeMs;
  expect(await post("/__yaos/pairings/redeem", { code: late })).toEqual({ status: 403, body: { error: "invalid code" } });
});

test("[AC26] a right code is taken after any number of wrong ones", async () => {
  const code = String((await post("/__yaos/pairings", { name: "phone" })).body["code"]);
  const before = sql.rowsWritten;
  for (let i = 0; i < 100; i++) expect((await post("/__yaos/pairings/redeem", { code: "ZZZZ-ZZZZ-ZZZZ" })).status).toBe(403);
  expect(sql.rowsWritten).toBe(before);
  expect((await post("/__yaos/pairings/redeem", { code })).status).toBe(200);
  for (const malformed of ["", "ZZZZ-ZZZZ", "ZZZZ-ZZZZ-ZZZU", 5, null]) expect((await post("/__yaos/pairings/redeem", { code: malformed })).body).toEqual({ error: "invalid code" });
});

test("[AC25] a code is not used up while there are too many devices", async () => {
  const code = String((await post("/__yaos/pairings", { name: "phone" })).body["code"]);
  const { id } = await device();
  const insert = "INSERT INTO access_devices (id, secret_hash, name, mode, epoch, created_ms) VALUES (?, ?, 'x', 'rw', 0, 0)";
  for (let i = 0; i < LIMITS.maxDevices - 1; i++) sql.exec(insert, `live-${i}`, HASH);
  expect(await post("/__yaos/pairings/redeem", { code })).toEqual({ status: 409, body: { error: "too many devices" } });
  expect((await post("/__yaos/pairings/redeem", { code: "ZZZZ-ZZZZ-ZZZZ" })).status, "a wrong one is told nothing").toBe(403);
  await post("/__yaos/devices/revoke", { id });
  expect((await post("/__yaos/pairings/redeem", { code })).status).toBe(200);
});

test("[AC25] only so many codes wait", async () => {
  for (let i = 0; i < LIMITS.maxPairings; i++) expect((await post("/__yaos/pairings", { name: "x" })).status).toBe(200);
  expect(await post("/__yaos/pairings", { name: "x" })).toEqual({ status: 409, body: { error: "too many pairings" } });
  now += LIMITS.pairingLifeMs;
  expect((await post("/__yaos/pairings", { name: "x" })).status).toBe(200);
});

test("[AC27] rooms register once, and hear the owner's epoch", async () => {
  expect(await post("/__yaos/rooms", { vaultId: "v" })).toEqual({ status: 200, body: { ok: true, ownerEpoch: 0 } });
  await post("/__yaos/rooms", { vaultId: "v" });
  expect((await get("/__yaos/rooms")).body).toEqual({ rooms: ["v"] });
  for (const vaultId of [undefined, "", 5]) expect((await post("/__yaos/rooms", { vaultId })).status).toBe(400);
});

test("anything else is not found", async () => {
  for (const [method, path] of [["GET", "/"], ["GET", "/__yaos/claim"], ["POST", "/__yaos/config"], ["PUT", "/__yaos/claim"]] as const) {
    expect(await core.answer(method, path, {})).toEqual({ status: 404, body: { error: "not found" } });
  }
});

test("tables of a newer server are not touched", async () => {
  await device();
  sql.exec("UPDATE access_meta SET schema_version = 2");
  core = reopen();
  await expect(get("/__yaos/devices")).rejects.toThrow("version 2");
});
