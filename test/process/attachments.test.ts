/** Attachments over real sockets: uploads that end in the middle, servers that die under them, and what many at once cost. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";

/** Six uploads and twelve downloads of ten MiB at once, none of them held: the runtime alone takes some 75 MB. */
const MAX_RSS_BYTES = 300 * 1024 * 1024;
const MIB = 1024 * 1024;
const ENV = { YAOS_BLOB_QUOTA_BYTES: String(60 * MIB), YAOS_ENABLE_ADMIN_ROUTES: "1" };

let dataDir: string;
let host: HostProcess;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-blobs-"));
  host = await startHost({ dataDir, env: ENV });
});
afterAll(async () => {
  await host.stop();
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

function content(byteLength: number, seed: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(byteLength, `attachment ${seed} `);
  bytes.writeUInt32LE(seed, 0);
  return bytes;
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const headers = (): Record<string, string> => ({ Authorization: `Bearer ${host.token}` });
const put = (vault: string, bytes: Buffer<ArrayBuffer>): Promise<Response> => fetch(`${host.url}/vault/${vault}/blobs/${hashOf(bytes)}`, { method: "PUT", headers: headers(), body: bytes });
const get = (vault: string, hash: string): Promise<Response> => fetch(`${host.url}/vault/${vault}/blobs/${hash}`, { headers: headers() });

async function present(vault: string, ...hashes: string[]): Promise<string[]> {
  const answer = await fetch(`${host.url}/vault/${vault}/blobs/exists`, { method: "POST", headers: headers(), body: JSON.stringify({ hashes }) });
  return ((await answer.json()) as { present: string[] }).present;
}

/** Sends head and `sent` bytes of a PUT, and leaves the rest to the test. */
async function beginPut(vault: string, bytes: Buffer, sent: number): Promise<Socket> {
  const socket = connect(host.port, "127.0.0.1");
  // A killed server resets the connection.
  socket.on("error", () => undefined);
  await once(socket, "connect");
  const head = [`PUT /vault/${vault}/blobs/${hashOf(bytes)} HTTP/1.1`, "Host: h", `Authorization: Bearer ${host.token}`, `Content-Length: ${bytes.byteLength}`, "", ""];
  socket.write(head.join("\r\n"));
  await new Promise<void>((done) => {
    socket.write(bytes.subarray(0, sent), () => {
      done();
    });
  });
  return socket;
}

async function attachmentsOf(vault: string): Promise<{ uploads: number; count: number }> {
  const answer = await fetch(`${host.url}/vault/${vault}/debug/recent`, { headers: headers() });
  return ((await answer.json()) as { attachments: { uploads: number; count: number } }).attachments;
}

it("[AT7] a client that goes away in the middle leaves nothing, and the room takes the same content next time", async () => {
  const bytes = content(5 * MIB, 1);
  const socket = await beginPut("cut", bytes, 3 * MIB);
  await vi.waitFor(async () => expect((await attachmentsOf("cut")).uploads).toBe(1), 5_000);
  socket.destroy();
  await vi.waitFor(async () => expect(await attachmentsOf("cut")).toMatchObject({ uploads: 0, count: 0 }), 5_000);
  expect(await present("cut", hashOf(bytes))).toEqual([]);
  expect((await put("cut", bytes)).status).toBe(204);
  expect(hashOf(new Uint8Array(await (await get("cut", hashOf(bytes))).arrayBuffer()))).toBe(hashOf(bytes));
});

it("[AT7] a server killed in the middle of an upload has what was answered, whole, and nothing of the rest", async () => {
  const [answered, cut] = [content(3 * MIB + 1, 2), content(8 * MIB, 3)];
  expect((await put("killed", answered)).status).toBe(204);
  const socket = await beginPut("killed", cut, 6 * MIB);
  await vi.waitFor(async () => expect((await attachmentsOf("killed")).uploads).toBe(1), 5_000);
  await host.kill9Group();
  socket.destroy();
  host = await startHost({ dataDir, env: ENV });
  expect(await present("killed", hashOf(answered), hashOf(cut))).toEqual([hashOf(answered)]);
  expect(hashOf(new Uint8Array(await (await get("killed", hashOf(answered))).arrayBuffer()))).toBe(hashOf(answered));
  expect((await put("killed", cut)).status).toBe(204);
  expect(hashOf(new Uint8Array(await (await get("killed", hashOf(cut))).arrayBuffer()))).toBe(hashOf(cut));
});

it("[AT5] answers carry their length, so that a client notices one that breaks off", async () => {
  const bytes = content(2 * MIB, 4);
  await put("length", bytes);
  const answer = await get("length", hashOf(bytes));
  expect([answer.headers.get("Content-Length"), answer.headers.get("Transfer-Encoding")]).toEqual([String(bytes.byteLength), null]);
  await answer.arrayBuffer();
  const part = await fetch(`${host.url}/vault/length/blobs/${hashOf(bytes)}`, { headers: { ...headers(), Range: "bytes=1048570-1048589" } });
  expect([part.status, part.headers.get("Content-Length"), Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(1_048_570, 1_048_590))]).toEqual([206, "20", true]);
});

it("[AT9] a full vault says so to a client that is still sending", async () => {
  const vault = "full";
  const sizes = Array.from({ length: 6 }, (_, at) => content(LIMITS.maxBlobUploadBytes, 100 + at));
  for (const bytes of sizes) expect((await put(vault, bytes)).status).toBe(204);
  for (let again = 0; again < 3; again++) {
    const refused = await put(vault, content(LIMITS.maxBlobUploadBytes, 200 + again));
    expect([refused.status, await refused.json()]).toEqual([507, { error: "quota exceeded" }]);
  }
});

it("[AT12] a download under way breaks off when its vault is erased, for readers who wait and for those who read on, and is no uncaught exception", async () => {
  const bytes = content(LIMITS.maxBlobUploadBytes, 5);
  expect((await put("erased", bytes)).status).toBe(204);
  const sockets = await Promise.all(Array.from({ length: 3 }, async () => {
    const socket = connect(host.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write([`GET /vault/erased/blobs/${hashOf(bytes)} HTTP/1.1`, "Host: h", `Authorization: Bearer ${host.token}`, "", ""].join("\r\n"));
    // What the system's buffers take has been taken by then; the rest waits for this reader.
    await once(socket, "readable");
    return socket;
  }));
  const erased = await fetch(`${host.url}/vault/erased`, { method: "DELETE", headers: headers(), body: JSON.stringify({ vaultId: "erased" }) });
  expect(erased.status).toBe(200);
  for (const socket of sockets) {
    let got = 0;
    socket.on("data", (piece: Buffer) => (got += piece.byteLength));
    await once(socket, "close");
    expect(got).toBeGreaterThan(0);
    expect(got).toBeLessThan(bytes.byteLength);
  }
  expect(`${host.stdout()}${host.stderr()}`).not.toMatch(/uncaught exception/i);
});

it("[AT10] a download of what was damaged on disk breaks off in the middle, and is no uncaught exception", async () => {
  const bytes = content(9 * MIB, 6);
  expect((await put("damaged", bytes)).status).toBe(204);
  await host.stop();
  let harmed = 0;
  for (const name of readdirSync(dataDir, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(dataDir, name));
    const isIt = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'room_blob'").get() !== undefined;
    if (isIt) harmed += Number(database.prepare("UPDATE room_blob_part SET sum = 1 WHERE row = (SELECT id * 64 + 5 FROM room_blob WHERE hash = ?)").run(hashOf(bytes)).changes);
    database.close();
  }
  expect(harmed).toBe(1);
  host = await startHost({ dataDir, env: ENV });
  const answer = await get("damaged", hashOf(bytes));
  expect(answer.status).toBe(200);
  await expect(answer.arrayBuffer()).rejects.toThrow();
  expect(await present("damaged", hashOf(bytes))).toEqual([]);
  expect(`${host.stdout()}${host.stderr()}`).not.toMatch(/uncaught exception/i);
  expect((await put("damaged", bytes)).status).toBe(204);
  expect(await present("damaged", hashOf(bytes))).toEqual([hashOf(bytes)]);
});

it("six uploads and twelve downloads of the largest size at once are streamed, not held", async () => {
  const peak = (): number => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${host.workerdPid}/status`, "utf8"))![1]) * 1024;
  const sizes = Array.from({ length: 6 }, (_, at) => content(LIMITS.maxBlobUploadBytes, 300 + at));
  for (const answer of await Promise.all(sizes.map((bytes) => put("many", bytes)))) expect(answer.status).toBe(204);
  const hashes = [...sizes, ...sizes].map((bytes) => hashOf(bytes));
  const downloads = await Promise.all(hashes.map((hash) => get("many", hash)));
  const got = await Promise.all(downloads.map(async (answer) => hashOf(new Uint8Array(await answer.arrayBuffer()))));
  expect(got).toEqual(hashes);
  expect(peak()).toBeLessThan(MAX_RSS_BYTES);
});
