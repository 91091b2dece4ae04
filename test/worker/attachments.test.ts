/** The attachment routes through the Worker's own entry, into real room objects and the local R2. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env as anyEnv } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { eraseEverything } from "../../src/storage/tombstone.ts";
import { attachmentsCapability, blobBackend, blobQuotaBytes } from "../../worker/attachments/backend.ts";
import { storeInBucket } from "../../worker/attachments/bucket.ts";
import { eraseBlobs } from "../../worker/attachments/erase.ts";
import { RoomBlobs } from "../../worker/attachments/room-blobs.ts";
import type { Env } from "../../worker/env.ts";
import type { VaultSyncServer } from "../../worker/room-object.ts";
import { handleRequest } from "../../worker/routes.ts";
import { DurableSql } from "../../worker/sql.ts";

const env = anyEnv as unknown as Env;
const bucket = (anyEnv as unknown as { TEST_BUCKET: R2Bucket }).TEST_BUCKET;
const SQL: Env = { ...env };
const R2: Env = { ...env, YAOS_BUCKET: bucket };
const BEARER = { Authorization: "Bearer test-token" };

function content(byteLength: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteLength);
  let state = seed;
  for (let i = 0; i < byteLength; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const room = (vault: string): DurableObjectStub<VaultSyncServer> => {
  const rooms = env.YAOS_SYNC as unknown as DurableObjectNamespace<VaultSyncServer>;
  return rooms.get(rooms.idFromName(vault));
};

let made = 0;
const newVault = (): string => `attachments ${(made += 1)}`;

function call(at: Env, vault: string, name: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has("Authorization")) headers.set("Authorization", "Bearer test-token");
  return handleRequest(new Request(`https://host/vault/${encodeURIComponent(vault)}/blobs/${name}`, { ...init, headers }), at);
}

const put = (at: Env, vault: string, bytes: Uint8Array<ArrayBuffer>, hash = hashOf(bytes), headers: Record<string, string> = {}): Promise<Response> =>
  call(at, vault, hash, { method: "PUT", body: bytes, headers });

/** A body of unknown length, in pieces. */
function streamed(bytes: Uint8Array, pieceBytes: number, end: "close" | "error" = "close"): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < bytes.byteLength) controller.enqueue(bytes.slice(at, (at += pieceBytes)));
      else if (end === "close") controller.close();
      else controller.error(new Error("connection lost"));
    },
  });
}

async function exists(at: Env, vault: string, hashes: unknown): Promise<string[]> {
  const answer = await call(at, vault, "exists", { method: "POST", body: JSON.stringify({ hashes }) });
  expect(answer.status).toBe(200);
  return (await answer.json<{ present: string[] }>()).present;
}

async function errorOf(answer: Response | Promise<Response>): Promise<[number, string]> {
  const response = await answer;
  expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  expect(response.headers.get("Content-Type")).toBe("application/json; charset=utf-8");
  return [response.status, (await response.json<{ error: string }>()).error];
}

const isSame = async (answer: Response, bytes: Uint8Array): Promise<boolean> => hashOf(new Uint8Array(await answer.arrayBuffer())) === hashOf(bytes);
const rowsOf = (vault: string, table: string): Promise<number> =>
  runInDurableObject(room(vault), (_room, state) => {
    if (state.storage.sql.exec(`SELECT 1 FROM sqlite_schema WHERE name = ?`, table).toArray().length === 0) return 0;
    return Number(state.storage.sql.exec(`SELECT count(*) AS n FROM ${table}`).one()["n"]);
  });

for (const [name, at] of [["the room's database", SQL], ["R2", R2]] as const) {
  describe(`attachments in ${name}`, () => {
    test("[AT6] PUT, exists and GET", async () => {
      const vault = newVault();
      for (const byteLength of [1, 70_000, LIMITS.blobPartBytes, 3 * LIMITS.blobPartBytes + 5, LIMITS.maxBlobUploadBytes]) {
        const bytes = content(byteLength, byteLength);
        const hash = hashOf(bytes);
        expect(await exists(at, vault, [hash])).toEqual([]);
        const stored = await put(at, vault, bytes, hash, { "Content-Type": "image/png" });
        expect([stored.status, await stored.text(), stored.headers.get("Access-Control-Allow-Origin")]).toEqual([204, "", "*"]);
        expect(await exists(at, vault, [hash])).toEqual([hash]);
        const answer = await call(at, vault, hash);
        expect([answer.status, answer.headers.get("Content-Type"), answer.headers.get("Cache-Control")]).toEqual([200, "image/png", "no-store"]);
        expect([answer.headers.get("ETag"), answer.headers.get("Accept-Ranges"), answer.headers.get("Content-Length")]).toEqual([`"${hash}"`, "bytes", String(byteLength)]);
        expect(await isSame(answer, bytes)).toBe(true);
      }
    });

    test("[AT6] a body of unknown length, and one without a type", async () => {
      const vault = newVault();
      const bytes = content(2 * LIMITS.blobPartBytes + 77);
      const stored = await call(at, vault, hashOf(bytes), { method: "PUT", body: streamed(bytes, 100_000) });
      expect(stored.status).toBe(204);
      const answer = await call(at, vault, hashOf(bytes));
      expect(answer.headers.get("Content-Type")).toBe("application/octet-stream");
      expect(await isSame(answer, bytes)).toBe(true);
      const odd = content(3, 99);
      await put(at, vault, odd, hashOf(odd), { "Content-Type": `a/${"b".repeat(300)}` });
      expect((await call(at, vault, hashOf(odd))).headers.get("Content-Type")).toBe("application/octet-stream");
    });

    test("[AT2] exists: order kept, what is no hash dropped, 50 looked at, other vaults not seen", async () => {
      const vault = newVault();
      const [a, b] = [content(10, 1), content(10, 2)];
      await put(at, vault, a);
      await put(at, vault, b);
      const other = "f".repeat(64);
      expect(await exists(at, vault, [hashOf(b), other, 5, null, {}, hashOf(a).toUpperCase(), "x", hashOf(a), hashOf(b)])).toEqual([hashOf(b), hashOf(a), hashOf(b)]);
      expect(await exists(at, vault, [...Array.from({ length: 50 }, () => other), hashOf(a)])).toEqual([]);
      expect(await exists(at, vault, [...Array.from({ length: 49 }, () => other), hashOf(a), hashOf(b)])).toEqual([hashOf(a)]);
      expect(await exists(at, newVault(), [hashOf(a)])).toEqual([]);
    });

    test("[AT2] exists: bodies that are no question", async () => {
      const post = (body: string): Promise<Response> => call(at, newVault(), "exists", { method: "POST", body });
      for (const body of ["", "{", "null", "[]", "5", '"x"']) expect([body, ...(await errorOf(post(body)))]).toEqual([body, 400, "invalid json"]);
      for (const body of ["{}", '{"hashes":null}', '{"hashes":"a"}', '{"hashes":{"0":1}}']) expect([body, ...(await errorOf(post(body)))]).toEqual([body, 400, "missing hashes array"]);
      expect(await errorOf(post(`{"hashes":["${"x".repeat(70_000)}"]}`))).toEqual([413, "body too large"]);
    });

    test("[AT2] addresses that are no hash, lengths that are none, bodies that are missing", async () => {
      const vault = newVault();
      const text = "invalid hash: must be 64 hex chars (SHA-256)";
      for (const name of ["exists", "abc", "F".repeat(64), "g".repeat(64), "0".repeat(63), `${"0".repeat(63)}%30`]) {
        expect([name, ...(await errorOf(call(at, vault, name)))]).toEqual([name, 400, text]);
        expect([name, ...(await errorOf(call(at, vault, name, { method: "PUT", body: "x" })))]).toEqual([name, 400, text]);
      }
      const hash = hashOf(content(5));
      expect(await errorOf(call(at, vault, hash))).toEqual([404, "not found"]);
      expect(await errorOf(call(at, vault, hash, { method: "PUT" }))).toEqual([400, "missing request body"]);
      expect(await errorOf(call(at, vault, hash, { method: "PUT", body: "" }))).toEqual([400, "missing request body"]);
      expect(await errorOf(call(at, vault, hash, { method: "DELETE" }))).toEqual([404, "not found"]);
      expect(await errorOf(call(at, vault, hash, { method: "POST", body: "x" }))).toEqual([404, "not found"]);
    });

    test("[AT7] what has another hash is refused and leaves nothing", async () => {
      const vault = newVault();
      for (const byteLength of [100, 2 * LIMITS.blobPartBytes + 9]) {
        const bytes = content(byteLength);
        const hash = hashOf(content(byteLength, 2));
        expect(await errorOf(put(at, vault, bytes, hash))).toEqual([400, "hash mismatch"]);
        expect(await errorOf(call(at, vault, hash, { method: "PUT", body: streamed(bytes, 99_999) }))).toEqual([400, "hash mismatch"]);
        expect([await exists(at, vault, [hash, hashOf(bytes)]), (await call(at, vault, hash)).status]).toEqual([[], 404]);
      }
      expect([await rowsOf(vault, "room_blob_part"), await rowsOf(vault, "room_blob_staged")]).toEqual([0, 0]);
      expect((await bucket.list({ prefix: `v1/${vault}/` })).objects).toEqual([]);
    });

    test("[AT7] an upload that is cut off leaves nothing, and the next one works", async () => {
      const vault = newVault();
      const bytes = content(3 * LIMITS.blobPartBytes);
      const cut = await call(at, vault, hashOf(bytes), { method: "PUT", body: streamed(bytes.slice(0, -7), 100_000, "error") }).catch(() => null);
      if (cut !== null) expect(cut.ok).toBe(false);
      expect([await exists(at, vault, [hashOf(bytes)]), await rowsOf(vault, "room_blob_part")]).toEqual([[], 0]);
      expect((await put(at, vault, bytes)).status).toBe(204);
      expect(await isSame(await call(at, vault, hashOf(bytes)), bytes)).toBe(true);
    });

    test("[AT3] the largest attachment, announced or not", async () => {
      const vault = newVault();
      const bytes = content(LIMITS.maxBlobUploadBytes + 1);
      const refused = [413, `contentLength exceeds max upload size (${LIMITS.maxBlobUploadBytes} bytes)`];
      expect(await errorOf(put(at, vault, bytes))).toEqual(refused);
      expect(await errorOf(call(at, vault, hashOf(bytes), { method: "PUT", body: streamed(bytes, 1_000_000) }))).toEqual(refused);
      expect([await exists(at, vault, [hashOf(bytes)]), await rowsOf(vault, "room_blob_part")]).toEqual([[], 0]);
    });

    test("[AT8] the same content again is 204 and not written, even at once; wrong content under its name is still refused", async () => {
      const vault = newVault();
      const bytes = content(2 * LIMITS.blobPartBytes + 1);
      const statuses = await Promise.all(Array.from({ length: 4 }, async () => (await put(at, vault, bytes)).status));
      expect(statuses).toEqual([204, 204, 204, 204]);
      const before = await runInDurableObject(room(vault), (_room, state) => state.storage.sql.exec(`SELECT 1 FROM sqlite_schema WHERE name = 'room_blob'`).toArray().length);
      const uploaded = (await bucket.head(`v1/${vault}/blobs/${hashOf(bytes)}`))?.uploaded.getTime();
      expect((await put(at, vault, bytes)).status).toBe(204);
      expect((await bucket.head(`v1/${vault}/blobs/${hashOf(bytes)}`))?.uploaded.getTime()).toBe(uploaded);
      expect(await errorOf(put(at, vault, content(10), hashOf(bytes)))).toEqual([400, "hash mismatch"]);
      expect([before, await rowsOf(vault, "room_blob"), await rowsOf(vault, "room_blob_part"), await rowsOf(vault, "room_blob_staged")]).toEqual(at === SQL ? [1, 1, 3, 0] : [1, 0, 0, 0]);
      expect(await isSame(await call(at, vault, hashOf(bytes)), bytes)).toBe(true);
    });

    test("[AT5] ranges and conditions", async () => {
      const vault = newVault();
      const bytes = content(3 * LIMITS.blobPartBytes);
      const hash = hashOf(bytes);
      await put(at, vault, bytes, hash, { "Content-Type": "video/mp4" });
      const get = (headers: Record<string, string>): Promise<Response> => call(at, vault, hash, { headers });
      for (const [range, start, end] of [
        ["bytes=0-0", 0, 1],
        ["bytes=1048570-1048585", 1_048_570, 1_048_586],
        ["bytes=-5", bytes.byteLength - 5, bytes.byteLength],
        ["bytes=100-", 100, bytes.byteLength],
      ] as const) {
        const answer = await get({ Range: range });
        expect([range, answer.status, answer.headers.get("Content-Range")]).toEqual([range, 206, `bytes ${start}-${end - 1}/${bytes.byteLength}`]);
        expect([answer.headers.get("Content-Length"), answer.headers.get("Content-Type")]).toEqual([String(end - start), "video/mp4"]);
        expect(await isSame(answer, bytes.subarray(start, end))).toBe(true);
      }
      const beyond = await get({ Range: `bytes=${bytes.byteLength}-` });
      expect([beyond.status, beyond.headers.get("Content-Range"), await beyond.json()]).toEqual([416, `bytes */${bytes.byteLength}`, { error: "range not satisfiable" }]);
      const known = await get({ "If-None-Match": `"${hash}"` });
      expect([known.status, known.headers.get("ETag"), await known.text()]).toEqual([304, `"${hash}"`, ""]);
      const several = await get({ Range: "bytes=0-1,5-6" });
      expect([several.status, await isSame(several, bytes)]).toEqual([200, true]);
      expect((await get({ Range: "bytes=0-1", "If-Range": '"other"' })).status).toBe(200);
      expect(await errorOf(call(at, vault, "0".repeat(64), { headers: { Range: "bytes=0-1" } }))).toEqual([404, "not found"]);
      expect(await errorOf(call(at, vault, "0".repeat(64), { headers: { "If-None-Match": "*" } }))).toEqual([404, "not found"]);
    });

    test("[AU1] the credential comes first, and a vault that cannot be is a 400", async () => {
      for (const init of [{}, { method: "PUT", body: "x" }]) {
        expect(await errorOf(call(at, "v", "x", { ...init, headers: { Authorization: "Bearer wrong" } }))).toEqual([401, "unauthorized"]);
      }
      expect(await errorOf(call(at, "v", "exists", { method: "POST", body: "{", headers: { Authorization: "Bearer wrong" } }))).toEqual([401, "unauthorized"]);
      expect(await errorOf(handleRequest(new Request(`https://host/vault/%zz/blobs/${"0".repeat(64)}`, { headers: BEARER }), at))).toEqual([400, "malformed room id"]);
    });
  });
}

test("[AT1] the backend is chosen by binding and variable", () => {
  const kind = (vars: Partial<Env>): string => {
    const chosen = blobBackend({ ...env, ...vars });
    expect(attachmentsCapability({ ...env, ...vars })).toBe(chosen.kind !== "none");
    return chosen.kind === "sql" ? `sql ${chosen.isChosen}` : chosen.kind;
  };
  expect([kind({}), kind({ YAOS_BLOB_BACKEND: "auto" }), kind({ YAOS_BLOB_BACKEND: " SQL " }), kind({ YAOS_BLOB_BACKEND: "r2" }), kind({ YAOS_BLOB_BACKEND: "s3" })]).toEqual(
    ["sql false", "sql false", "sql true", "none", "none"],
  );
  const YAOS_BUCKET = bucket;
  expect([kind({ YAOS_BUCKET }), kind({ YAOS_BUCKET, YAOS_BLOB_BACKEND: "r2" }), kind({ YAOS_BUCKET, YAOS_BLOB_BACKEND: "sql" })]).toEqual(["r2", "r2", "sql true"]);
  const quota = (text: string): number => blobQuotaBytes({ ...env, YAOS_BLOB_QUOTA_BYTES: text });
  expect([quota("5"), quota(" 0 "), quota(""), quota("x"), quota("-1"), quota("1e9")]).toEqual([5, 0, ...Array.from({ length: 4 }, () => LIMITS.maxVaultBlobBytes)]);
});

test("[AT1] asked for R2 by name and without it, attachments are unavailable, and no room is touched", async () => {
  const untouched = {
    idFromName() {
      throw new Error("a room was touched");
    },
  } as unknown as DurableObjectNamespace;
  const at: Env = { ...env, YAOS_BLOB_BACKEND: "r2", YAOS_SYNC: untouched };
  const hash = "0".repeat(64);
  expect(await errorOf(call(at, "v", hash))).toEqual([503, "attachments_unavailable"]);
  expect(await errorOf(call(at, "v", "no hash", { method: "PUT", body: "x" }))).toEqual([503, "attachments_unavailable"]);
  expect(await errorOf(call(at, "v", "exists", { method: "POST", body: "{" }))).toEqual([503, "attachments_unavailable"]);
  for (const YAOS_BUCKET of [undefined, bucket]) {
    const junk = { ...env, YAOS_SYNC: untouched, ...(YAOS_BUCKET === undefined ? {} : { YAOS_BUCKET }) };
    expect((await call(junk, "v", "junk")).status).toBe(400);
    expect((await call(junk, "v", hash, { method: "PUT" })).status).toBe(400);
    expect((await call(junk, "v", "exists", { method: "POST", body: "{}" })).status).toBe(400);
    expect(await exists(junk, "v", [])).toEqual([]);
  }
});

test("[AT4] a vault that used R2 never seems empty without it; the owner's word for the database overrides", async () => {
  const vault = newVault();
  const bytes = content(500);
  await put(R2, vault, bytes);
  const hash = hashOf(bytes);
  expect(await errorOf(call(SQL, vault, hash))).toEqual([503, "attachments_unavailable"]);
  expect(await errorOf(put(SQL, vault, bytes))).toEqual([503, "attachments_unavailable"]);
  expect(await errorOf(call(SQL, vault, "exists", { method: "POST", body: JSON.stringify({ hashes: [hash] }) }))).toEqual([503, "attachments_unavailable"]);
  const chosen: Env = { ...SQL, YAOS_BLOB_BACKEND: "sql" };
  expect(await exists(chosen, vault, [hash])).toEqual([]);
  expect((await put(chosen, vault, bytes)).status).toBe(204);
  expect(await isSame(await call(chosen, vault, hash), bytes)).toBe(true);
});

test("[AT4] attachments an older server left in R2 count as used when they are first read or asked for", async () => {
  for (const look of [(vault: string, hash: string) => call(R2, vault, hash), (vault: string, hash: string) => exists(R2, vault, [hash])]) {
    const vault = newVault();
    const bytes = content(500, made);
    await bucket.put(`v1/${vault}/blobs/${hashOf(bytes)}`, bytes);
    await look(vault, hashOf(bytes));
    expect(await errorOf(call(SQL, vault, hashOf(bytes)))).toEqual([503, "attachments_unavailable"]);
  }
});

test("[AT6] after a move from the database to R2, and back by the owner's word, both are found", async () => {
  const vault = newVault();
  const [before, after] = [content(2 * LIMITS.blobPartBytes, 1), content(700, 2)];
  await put(SQL, vault, before);
  await put(R2, vault, after);
  expect([await rowsOf(vault, "room_blob"), (await bucket.list({ prefix: `v1/${vault}/` })).objects.length]).toEqual([1, 1]);
  for (const at of [R2, { ...R2, YAOS_BLOB_BACKEND: "sql" }]) {
    expect(await exists(at, vault, [hashOf(after), "0".repeat(64), hashOf(before)])).toEqual([hashOf(after), hashOf(before)]);
    for (const bytes of [before, after]) {
      expect(await isSame(await call(at, vault, hashOf(bytes)), bytes)).toBe(true);
      const part = await call(at, vault, hashOf(bytes), { headers: { Range: "bytes=5-9" } });
      expect([part.status, await isSame(part, bytes.subarray(5, 10))]).toEqual([206, true]);
    }
  }
});

test("[AT9] a full vault answers 507, and what fits still comes in", async () => {
  const vault = newVault();
  const at: Env = { ...SQL, YAOS_BLOB_QUOTA_BYTES: "2000000" };
  const [first, big, fits] = [content(1_500_000, 1), content(500_001, 2), content(500_000, 3)];
  expect((await put(at, vault, first)).status).toBe(204);
  expect(await errorOf(put(at, vault, big))).toEqual([507, "quota exceeded"]);
  expect(await errorOf(call(at, vault, hashOf(big), { method: "PUT", body: streamed(big, 50_000) }))).toEqual([507, "quota exceeded"]);
  expect((await put(at, vault, first)).status).toBe(204);
  expect((await put(at, vault, fits)).status).toBe(204);
  expect(await exists(at, vault, [hashOf(first), hashOf(big), hashOf(fits)])).toEqual([hashOf(first), hashOf(fits)]);
});

test("[AT10] a damaged attachment is absent, and whole again when somebody brings it", async () => {
  const vault = newVault();
  const bytes = content(2 * LIMITS.blobPartBytes);
  const hash = hashOf(bytes);
  await put(SQL, vault, bytes);
  const harm = (row: number): Promise<unknown> =>
    runInDurableObject(room(vault), (_room, state) => state.storage.sql.exec(`UPDATE room_blob_part SET data = x'00' WHERE row % 64 = ?`, row).toArray());
  await harm(0);
  expect(await exists(SQL, vault, [hash])).toEqual([hash]);
  expect(await errorOf(call(SQL, vault, hash))).toEqual([404, "not found"]);
  expect(await exists(SQL, vault, [hash])).toEqual([]);
  expect((await put(SQL, vault, bytes)).status).toBe(204);
  expect(await isSame(await call(SQL, vault, hash), bytes)).toBe(true);
  // Found in the middle: the answer breaks off rather than end as if it were whole.
  await harm(1);
  const broken = await call(SQL, vault, hash);
  expect(broken.status).toBe(200);
  await expect(broken.arrayBuffer()).rejects.toThrow();
  expect(await exists(SQL, vault, [hash])).toEqual([]);
});

test("[AT11] attachments survive the object, and do not make the room read its vault", async () => {
  const vault = newVault();
  const bytes = content(LIMITS.blobPartBytes + 1);
  await put(SQL, vault, bytes);
  await evictDurableObject(room(vault));
  expect(await isSame(await call(SQL, vault, hashOf(bytes)), bytes)).toBe(true);
  const report = await runInDurableObject(room(vault), (_room, state) => {
    expect(state.storage.sql.exec(`SELECT name FROM sqlite_schema WHERE name IN ('room_index', 'room_meta')`).toArray()).toEqual([]);
    return new RoomBlobs(new DurableSql(state.storage), { isForeign: () => false, mayStillWrite: async () => true }).report(SQL);
  });
  expect(report).toEqual({ backend: "sql", quotaBytes: LIMITS.maxVaultBlobBytes, count: 1, usedBytes: bytes.byteLength, damaged: 0, uploads: 0, r2UsedAt: null });
});

test("[AT12] erasing removes what lies in R2 for this vault and nothing of vaults whose ids look like its paths", async () => {
  const vault = newVault();
  const bytes = content(9);
  const mine = [`v1/${vault}/blobs/${hashOf(bytes)}`, `v1/${vault}/snapshots/latest-index.json`, `v1/${vault}/snapshots/2026-11-21/abc-0123abcd/crdt.bin.gz`, `v1/${vault}/snapshots/2026-11-21/abc-0123abcd/index.json`];
  const theirs = [`v1/${vault}/blobs/blobs/${hashOf(bytes)}`, `v1/${vault}/snapshots/blobs/${hashOf(bytes)}`, `v1/${vault}2/blobs/${hashOf(bytes)}`];
  for (const key of [...mine, ...theirs]) await bucket.put(key, bytes);
  expect(await eraseBlobs(R2, vault)).toBe(4);
  expect((await bucket.list({ prefix: `v1/${vault}` })).objects.map((object) => object.key)).toEqual(theirs.toSorted());
  expect(await eraseBlobs(SQL, vault)).toBe(0);
});

test("[AT12] an erased vault takes no attachments, in the database or in R2", async () => {
  for (const at of [SQL, R2]) {
    const vault = newVault();
    const bytes = content(2 * LIMITS.blobPartBytes);
    expect((await put(at, vault, bytes)).status).toBe(204);
    await runInDurableObject(room(vault), (_room, state) => eraseEverything(new DurableSql(state.storage), { get: () => null, put() {}, deleteAll() {} }, 1));
    await eraseBlobs(at, vault);
    expect(await errorOf(put(at, vault, bytes))).toEqual([410, "vault erased"]);
    expect(await errorOf(call(at, vault, hashOf(bytes)))).toEqual([410, "vault erased"]);
    expect((await bucket.list({ prefix: `v1/${vault}/` })).objects).toEqual([]);
    expect(await rowsOf(vault, "room_blob_part")).toBe(0);
  }
});

test("[AT12] an upload into R2 that is under way while its vault is erased is taken back", async () => {
  const vault = newVault();
  const bytes = content(5_000);
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent === 0) controller.enqueue(bytes);
      else {
        await runInDurableObject(room(vault), (_room, state) => eraseEverything(new DurableSql(state.storage), { get: () => null, put() {}, deleteAll() {} }, 1));
        await eraseBlobs(R2, vault);
        controller.close();
      }
      sent += 1;
    },
  });
  expect(await errorOf(call(R2, vault, hashOf(bytes), { method: "PUT", body }))).toEqual([410, "vault erased"]);
  expect((await bucket.list({ prefix: `v1/${vault}/` })).objects).toEqual([]);
});

test("a vault id too long for R2's keys is refused there and served by the database", async () => {
  const vault = "x".repeat(1_000);
  const bytes = content(5);
  expect(await errorOf(put(R2, vault, bytes))).toEqual([400, "room id too long"]);
  expect((await put(SQL, vault, bytes)).status).toBe(204);
  expect(await isSame(await call(R2, vault, hashOf(bytes)), bytes)).toBe(true);
});

test("[AT7] a stream into R2 that ends early, late or wrong stores nothing", async () => {
  const vault = newVault();
  const bytes = content(300_000);
  const other = content(300_000, 2);
  const store = async (body: ReadableStream<Uint8Array>, announced: number): Promise<unknown> => {
    const answer = await storeInBucket(bucket, vault, hashOf(bytes), "a/b", body, announced, async () => null);
    return answer.status === 204 ? 204 : (await answer.json<{ error: string }>()).error;
  };
  expect(await store(streamed(bytes, 70_000, "error"), 400_000)).toBe("upload cut off");
  expect(await store(streamed(bytes, 70_000), 300_001)).toBe("body differs from Content-Length");
  expect(await store(streamed(bytes, 70_000), 299_999)).toBe("body differs from Content-Length");
  expect(await store(streamed(other, 70_000), 300_000)).toBe("hash mismatch");
  expect((await bucket.list({ prefix: `v1/${vault}/` })).objects).toEqual([]);
  expect(await store(streamed(bytes, 70_000), 300_000)).toBe(204);
});

test("[AT13] uploads beyond what a room takes at once are told to come again", async () => {
  const vault = newVault();
  const open: ReadableStreamDefaultController<Uint8Array>[] = [];
  const uploads = Array.from({ length: LIMITS.maxBlobUploadsAtOnce }, (_, at) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        open.push(controller);
        controller.enqueue(content(1, at));
      },
    });
    return call(SQL, vault, hashOf(content(2, at)), { method: "PUT", body });
  });
  const underWay = async (): Promise<number> => {
    const answer = await handleRequest(new Request(`https://host/vault/${encodeURIComponent(vault)}/debug/recent`, { headers: BEARER }), SQL);
    return (await answer.json<{ attachments: { uploads: number } }>()).attachments.uploads;
  };
  await vi.waitFor(async () => expect(await underWay()).toBe(LIMITS.maxBlobUploadsAtOnce), 5_000);
  const refused = await put(SQL, vault, content(10));
  expect([refused.headers.get("Retry-After"), ...(await errorOf(refused))]).toEqual(["2", 503, "too many uploads"]);
  for (const controller of open) controller.close();
  for (const answer of await Promise.all(uploads)) expect(answer.status).toBe(400);
  expect((await put(SQL, vault, content(10))).status).toBe(204);
});

test("[AT7] R2 itself refuses content of another hash", async () => {
  await expect(bucket.put("v1/x/blobs/y", content(5), { sha256: hashOf(content(6)) })).rejects.toThrow();
  expect(await bucket.head("v1/x/blobs/y")).toBe(null);
});

/** As `DELETE /vault/:id` and `POST /vault/:id/unerase` answer. */
function owner(at: Env, vault: string, method: "DELETE" | "POST"): Promise<Response> {
  const path = `https://host/vault/${encodeURIComponent(vault)}${method === "POST" ? "/unerase" : ""}`;
  return handleRequest(new Request(path, { method, headers: BEARER, body: JSON.stringify({ vaultId: vault }) }), at);
}

async function startOver(at: Env, vault: string): Promise<void> {
  expect((await owner(at, vault, "DELETE")).status).toBe(200);
  expect((await owner(at, vault, "POST")).status).toBe(200);
}

/** A body whose end waits for what happens in the middle of it. */
function interrupted(bytes: Uint8Array, meanwhile: () => Promise<unknown>): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream({
    async pull(controller) {
      if (sent === 0) controller.enqueue(bytes.slice(0, -1));
      else if (sent === 1) {
        // Whoever reads has taken the first piece by now.
        await meanwhile();
        controller.enqueue(bytes.slice(-1));
      } else controller.close();
      sent += 1;
    },
  }, { highWaterMark: 0 });
}

const putSlowly = (at: Env, vault: string, bytes: Uint8Array, meanwhile: () => Promise<unknown>, headers: Record<string, string> = {}): Promise<Response> =>
  call(at, vault, hashOf(bytes), { method: "PUT", body: interrupted(bytes, meanwhile), headers });

test("[AT12] an upload that its vault was erased under is refused, also when the vault began anew meanwhile, and harms no other", async () => {
  for (const [at, announced] of [[SQL, false], [SQL, true], [R2, false], [R2, true]] as const) {
    const vault = newVault();
    const [old, fresh] = [content(3 * LIMITS.blobPartBytes + 500, 1), content(LIMITS.blobPartBytes + 300, 2)];
    const answer = await putSlowly(at, vault, old, async () => {
      await startOver(at, vault);
      expect((await put(at, vault, fresh)).status).toBe(204);
    }, announced ? { "Content-Length": String(old.byteLength) } : {});
    expect(await errorOf(answer)).toEqual([503, "storage unavailable"]);
    expect(await exists(at, vault, [hashOf(old), hashOf(fresh)])).toEqual([hashOf(fresh)]);
    expect((await put(at, vault, old)).status).toBe(204);
    for (const bytes of [old, fresh]) expect(await isSame(await call(at, vault, hashOf(bytes)), bytes)).toBe(true);
    const erased = newVault();
    expect(await errorOf(putSlowly(at, erased, old, () => owner(at, erased, "DELETE")))).toEqual([410, "vault erased"]);
  }
});

test("[AT12] an answer under way breaks off when its vault is erased, whatever comes in its place", async () => {
  for (const refill of [false, true]) {
    const vault = newVault();
    const [old, fresh] = [content(4 * LIMITS.blobPartBytes, 1), content(4 * LIMITS.blobPartBytes, 2)];
    await put(SQL, vault, old);
    const answer = await call(SQL, vault, hashOf(old));
    const reader = answer.body!.getReader();
    await reader.read();
    if (refill) await startOver(SQL, vault);
    else expect((await owner(SQL, vault, "DELETE")).status).toBe(200);
    if (refill) await put(SQL, vault, fresh);
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow();
    if (refill) expect(await isSame(await call(SQL, vault, hashOf(fresh)), fresh)).toBe(true);
  }
});

test("[AT8] a PUT of what was there when it began is no 204 when it is gone at its end", async () => {
  const bytes = content(2_000);
  for (const at of [SQL, R2]) {
    const [gone, anew] = [newVault(), newVault()];
    for (const vault of [gone, anew]) await put(at, vault, bytes);
    expect(await errorOf(putSlowly(at, gone, bytes, () => owner(at, gone, "DELETE")))).toEqual(at === SQL ? [410, "vault erased"] : [503, "storage unavailable"]);
    expect(await errorOf(putSlowly(at, anew, bytes, () => startOver(at, anew)))).toEqual([503, "storage unavailable"]);
  }
  const damaged = newVault();
  await put(SQL, damaged, bytes);
  const harm = async (): Promise<void> => {
    await runInDurableObject(room(damaged), (_room, state) => state.storage.sql.exec(`UPDATE room_blob_part SET sum = 1`).toArray());
    expect((await call(SQL, damaged, hashOf(bytes))).status).toBe(404);
  };
  expect(await errorOf(putSlowly(SQL, damaged, bytes, harm))).toEqual([503, "storage unavailable"]);
});

test("[AT12] a vault with attachments in R2 is not erased without the binding, unless the owner chose the database", async () => {
  const vault = newVault();
  const bytes = content(50);
  await put(R2, vault, bytes);
  expect(await errorOf(owner(SQL, vault, "DELETE"))).toEqual([503, "attachments_unavailable"]);
  expect(await isSame(await call(R2, vault, hashOf(bytes)), bytes)).toBe(true);
  expect((await owner({ ...SQL, YAOS_BLOB_BACKEND: "sql" }, vault, "DELETE")).status).toBe(200);
});

test("[AT4] with the database chosen and a bucket bound, what is found in the bucket is noted", async () => {
  const at: Env = { ...R2, YAOS_BLOB_BACKEND: "sql" };
  for (const look of [(vault: string, hash: string) => call(at, vault, hash), (vault: string, hash: string) => exists(at, vault, [hash])]) {
    const vault = newVault();
    const bytes = content(500, made);
    await bucket.put(`v1/${vault}/blobs/${hashOf(bytes)}`, bytes);
    await look(vault, hashOf(bytes));
    expect(await errorOf(call(SQL, vault, hashOf(bytes)))).toEqual([503, "attachments_unavailable"]);
  }
});

test("[AT4] a vault of an older server may have used R2: without it attachments are unavailable, until the owner chooses the database", async () => {
  const vault = newVault();
  await runInDurableObject(room(vault), (_room, state) => {
    state.storage.kv.put("document:checkpoint:1", new Uint8Array([1]));
  });
  const bytes = content(500);
  const hash = hashOf(bytes);
  const unavailable = [503, "attachments_unavailable"];
  expect(await errorOf(call(SQL, vault, hash))).toEqual(unavailable);
  expect(await errorOf(put(SQL, vault, bytes))).toEqual(unavailable);
  expect(await errorOf(call(SQL, vault, "exists", { method: "POST", body: JSON.stringify({ hashes: [hash] }) }))).toEqual(unavailable);
  const chosen: Env = { ...SQL, YAOS_BLOB_BACKEND: "sql" };
  expect((await put(chosen, vault, bytes)).status).toBe(204);
  expect(await isSame(await call(chosen, vault, hash), bytes)).toBe(true);
});

test("[AT9] what is damaged takes no room from the same content brought again", async () => {
  const vault = newVault();
  const at: Env = { ...SQL, YAOS_BLOB_QUOTA_BYTES: "1500" };
  const bytes = content(1_000);
  await put(at, vault, bytes);
  await runInDurableObject(room(vault), (_room, state) => state.storage.sql.exec(`UPDATE room_blob_part SET sum = 1`).toArray());
  expect((await call(at, vault, hashOf(bytes))).status).toBe(404);
  expect(await errorOf(put(at, vault, content(501, 2)))).toEqual([507, "quota exceeded"]);
  expect((await put(at, vault, bytes)).status).toBe(204);
  expect(await isSame(await call(at, vault, hashOf(bytes)), bytes)).toBe(true);
});

/** The bucket, of which some methods fail. */
function failing(...methods: readonly (keyof R2Bucket)[]): R2Bucket {
  const own = ["head", "get", "put", "list", "delete"] as const;
  const fail = async (): Promise<never> => {
    throw new Error("R2 is down");
  };
  return Object.fromEntries(own.map((name) => [name, methods.includes(name) ? fail : (bucket[name] as (...args: unknown[]) => unknown).bind(bucket)])) as unknown as R2Bucket;
}

test("[AT14] R2 that fails is a 503 to come back after", async () => {
  const vault = newVault();
  const bytes = content(500);
  const hash = hashOf(bytes);
  await put(R2, vault, bytes);
  for (const YAOS_BLOB_BACKEND of ["r2", "sql"]) {
    const at: Env = { ...env, YAOS_BUCKET: failing("head", "get", "put"), YAOS_BLOB_BACKEND };
    for (const answer of [
      await call(at, vault, hash),
      await call(at, vault, hash, { headers: { Range: "bytes=0-1" } }),
      await call(at, vault, "exists", { method: "POST", body: JSON.stringify({ hashes: [hash] }) }),
    ]) {
      expect([answer.headers.get("Retry-After"), ...(await errorOf(answer))]).toEqual(["2", 503, "attachments_unavailable"]);
    }
  }
  const ranged: Env = { ...env, YAOS_BUCKET: failing("get") };
  expect(await errorOf(call(ranged, vault, hash, { headers: { Range: "bytes=0-1" } }))).toEqual([503, "attachments_unavailable"]);
});

test("[AT12] R2 that cannot be emptied: the owner is told to do it again, and what lies there is not served, nor brought into the next vault", async () => {
  const vault = newVault();
  const bytes = content(500);
  await put(R2, vault, bytes);
  const down: Env = { ...env, YAOS_BUCKET: failing("list") };
  const refused = await owner(down, vault, "DELETE");
  expect([refused.headers.get("Retry-After"), ...(await errorOf(refused))]).toEqual(["2", 503, "storage unavailable"]);
  expect(await errorOf(call(R2, vault, hashOf(bytes)))).toEqual([410, "vault erased"]);
  expect(await errorOf(call(R2, vault, "exists", { method: "POST", body: JSON.stringify({ hashes: [hashOf(bytes)] }) }))).toEqual([410, "vault erased"]);
  expect(await errorOf(owner(down, vault, "POST"))).toEqual([503, "storage unavailable"]);
  expect((await owner(R2, vault, "POST")).status).toBe(200);
  expect((await bucket.list({ prefix: `v1/${vault}/` })).objects).toEqual([]);
  expect(await exists(R2, vault, [hashOf(bytes)])).toEqual([]);
  // Of a vault that stands nothing is removed.
  await put(R2, vault, bytes);
  expect(await (await owner(R2, vault, "POST")).json()).toMatchObject({ wasErased: false });
  expect(await isSame(await call(R2, vault, hashOf(bytes)), bytes)).toBe(true);
});

test("[AT15] a device revoked while its upload is under way leaves nothing", async () => {
  const api = (path: string, method: string, body?: unknown): Promise<Response> =>
    handleRequest(new Request(`https://host/api/${path}`, { method, headers: BEARER, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }), SQL);
  for (const at of [SQL, R2]) {
    for (const announce of [false, true]) {
      const vault = newVault();
      const made = await (await api("devices", "POST", { name: "phone" })).json<{ credential: string; device: { id: string } }>();
      const bytes = content(2_000);
      const headers = { Authorization: `Bearer ${made.credential}`, ...(announce ? { "Content-Length": String(bytes.byteLength) } : {}) };
      expect((await putSlowly(at, vault, bytes, async () => undefined, headers)).status).toBe(204);
      const other = content(2_000, 2);
      const answer = await putSlowly(at, vault, other, () => api(`devices/${made.device.id}`, "DELETE"), headers);
      expect(await errorOf(answer)).toEqual([401, "unauthorized"]);
      expect(await exists(at, vault, [hashOf(bytes), hashOf(other)])).toEqual([hashOf(bytes)]);
    }
  }
});
