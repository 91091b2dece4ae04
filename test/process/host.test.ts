import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { isAlive, isWorkerd } from "../../scripts/host/processes.ts";
import { HostEndedError, type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";

/** Above the 200 ms the launcher lets workerd drain, far below "hangs". */
const PROMPT_MS = 3_000;

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-host-"));
});
afterEach(() => {
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Whether somebody speaks HTTP there; what the Worker answers is other tests' matter. */
async function answers(url: string): Promise<boolean> {
  return (await fetch(`${url}/api/capabilities`)).status < 500;
}

async function openSocket(host: HostProcess, vault: string): Promise<WebSocket> {
  const socket = new WebSocket(`${host.wsUrl}/vault/sync/${vault}?token=${host.token}&schemaVersion=2&_pk=host-test`);
  socket.on("error", () => {}); // the server going away is what these tests are about
  await once(socket, "open");
  return socket;
}

/** Resolves however the socket ends; a reset connection emits an error first. */
function closeOf(socket: WebSocket): Promise<void> {
  return new Promise((done) => socket.once("close", () => done()));
}

async function failure(start: Promise<HostProcess>): Promise<HostEndedError> {
  const outcome = await start.then(
    () => new Error("it started"),
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(HostEndedError);
  return outcome as HostEndedError;
}

describe("what it prints and keeps", () => {
  it("[HO1] [HO2] [HO3] serves on loopback, prints URL, token and three lines to connect, and keeps objects in the known folder", async () => {
    const host = await startHost({ dataDir });
    expect(host.url).toBe(`http://127.0.0.1:${host.port}`);
    expect(await answers(host.url)).toBe(true);

    const lines = host.stdout().split("\n");
    const install = lines.findIndex((line) => line.includes("npm install yjs y-websocket ws"));
    expect(lines[install + 1]).toContain(`${host.wsUrl}/sync`);
    expect(lines[install + 1]).toContain(host.token);
    expect(lines[install + 2]).toBe(`curl -H 'Authorization: Bearer ${host.token}' ${host.url}/vault/hello/debug/recent`);

    const socket = await openSocket(host, "folder");
    socket.terminate();
    expect(existsSync(join(dataDir, "yaos-VaultSyncServer"))).toBe(true);
    expect(existsSync(join(dataDir, "yaos-ServerConfig"))).toBe(true);
    expect(isWorkerd(host.workerdPid)).toBe(true);
    expect(processGroup(host.workerdPid)).toBe(host.pid);
    await host.stop();
  });

  it("[HO1] accepts as a client what the printed line starts", async () => {
    const host = await startHost({ dataDir });
    const line = host.stdout().split("\n").find((l) => l.startsWith("node --input-type=module")) ?? "";
    const client = spawn("sh", ["-c", `exec ${line}`], { cwd: join(import.meta.dirname, "../.."), stdio: ["ignore", "pipe", "inherit"] });
    const [said] = (await once(client.stdout.setEncoding("utf8"), "data")) as [string];
    client.kill("SIGKILL");
    expect(said).toMatch(/^Hello from \d+\. /);
    await host.stop();
  });

  it("[HO4] makes a token once, for its owner's eyes, and keeps it over restarts", async () => {
    const first = await startHost({ dataDir });
    await first.stop();
    const second = await startHost({ dataDir });
    expect(first.token).toMatch(/^[0-9a-f]{64}$/);
    expect(second.token).toBe(first.token);
    expect(statSync(join(dataDir, "token")).mode & 0o777).toBe(0o600);
    await second.stop();
  });

  it("[HO4] takes SYNC_TOKEN and hands on the Worker's own variables without writing them down", async () => {
    const host = await startHost({ dataDir, env: { SYNC_TOKEN: "a-token-of-mine", YAOS_ENABLE_ADMIN_ROUTES: "1" } });
    expect(host.token).toBe("a-token-of-mine");
    expect(existsSync(join(dataDir, "token"))).toBe(false);
    const config = readFileSync(join(dataDir, "workerd.capnp"), "utf8");
    expect(config).toContain('fromEnvironment = "YAOS_ENABLE_ADMIN_ROUTES"');
    expect(config).not.toContain("a-token-of-mine");
    const debug = (token: string) => fetch(`${host.url}/vault/v/debug/recent`, { headers: { authorization: `Bearer ${token}` } });
    expect((await debug("another")).status).toBe(401);
    expect((await debug("a-token-of-mine")).status).toBe(200);
    await host.stop();
  });

  it("[HO2] listens where PORT and HOST say", async () => {
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const { port } = free.address() as { port: number };
    free.close();
    await once(free, "close");
    const host = await startHost({ dataDir, env: { PORT: String(port), HOST: "0.0.0.0" } });
    expect(host.port).toBe(port);
    expect(await answers(host.url)).toBe(true);
    await host.stop();
  });

  it("[HO3] serves a directory wrangler dev made from the place wrangler dev keeps objects", async () => {
    mkdirSync(join(dataDir, "v3/do"), { recursive: true });
    const host = await startHost({ dataDir });
    expect(existsSync(join(dataDir, "v3/do/yaos-VaultSyncServer"))).toBe(true);
    await host.stop();
  });
});

describe("how it ends", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("[HO5] ends promptly on %s with a socket open", async (signal) => {
    const host = await startHost({ dataDir });
    const socket = await openSocket(host, "open");
    const socketClosed = closeOf(socket);
    const before = performance.now();
    host.signal(signal);
    expect(await host.ended).toBe(0);
    expect(performance.now() - before).toBeLessThan(PROMPT_MS);
    await socketClosed;
    expect(isAlive(host.workerdPid)).toBe(false);
    expect(existsSync(join(dataDir, "lock.json"))).toBe(false);
  });

  it("[HO5] ends with npm start when that gets SIGTERM", async () => {
    const host = await startHost({ dataDir, viaNpm: true, env: { YAOS_BUNDLE_DIR: undefined } });
    const socket = await openSocket(host, "npm");
    const socketClosed = closeOf(socket);
    host.signal("SIGTERM");
    await host.allClosed;
    await socketClosed;
    expect(isAlive(host.workerdPid)).toBe(false);
    expect(existsSync(join(dataDir, "lock.json"))).toBe(false);
  });

  it("[HO5] ends with npm start when the group gets SIGHUP, as from a terminal that closes", async () => {
    const host = await startHost({ dataDir, viaNpm: true });
    process.kill(-host.pid, "SIGHUP");
    await host.allClosed;
    expect(isAlive(host.workerdPid)).toBe(false);
    expect(existsSync(join(dataDir, "lock.json"))).toBe(false);
  });

  it("ends with an error when workerd dies", async () => {
    const host = await startHost({ dataDir });
    process.kill(host.workerdPid, "SIGKILL");
    expect(await host.ended).toBe(1);
    expect(host.stderr()).toContain("workerd ended by itself (SIGKILL)");
  });

  it("[HO7] starts again after the whole group was killed", async () => {
    const first = await startHost({ dataDir });
    await first.kill9Group();
    expect(isAlive(first.workerdPid)).toBe(false);
    const second = await startHost({ dataDir });
    expect(second.token).toBe(first.token);
    await second.stop();
  });

  it("[HO6] ends the orphan of a launcher that was killed alone, and goes on with its data", async () => {
    const first = await startHost({ dataDir });
    const socket = await openSocket(first, "orphan");
    const socketClosed = closeOf(socket);
    first.signal("SIGKILL");
    await first.ended;
    expect(isAlive(first.workerdPid)).toBe(true);

    // The orphan still holds the port the next start asks for.
    const second = await startHost({ dataDir, env: { PORT: String(first.port) } });
    await socketClosed;
    expect(second.stderr()).toContain(`Ending workerd ${first.workerdPid}`);
    expect(isAlive(first.workerdPid)).toBe(false);
    expect(second.port).toBe(first.port);
    await second.stop();
  });
});

describe("what it refuses", () => {
  it("[HO6] refuses a data directory another launcher has, with its pid", async () => {
    const host = await startHost({ dataDir });
    const refused = await failure(startHost({ dataDir }));
    expect(refused.ended).toBe(1);
    expect(refused.stderr).toContain(`a server with pid ${host.pid} has it`);
    expect(await answers(host.url)).toBe(true);
    await host.stop();
  });

  it("[HO6] lets only one of several launchers take a stale lock", async () => {
    await (await startHost({ dataDir })).kill9Group();
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => startHost({ dataDir })));
    expect(outcomes.map((o) => o.status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
  });

  it("says which port is in use and leaves the directory free", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const refused = await failure(startHost({ dataDir, env: { PORT: String(port) } }));
    expect(refused.ended).toBe(1);
    expect(refused.stderr).toContain(`Cannot listen on 127.0.0.1:${port}: the port is in use`);
    taken.close();
    await (await startHost({ dataDir, env: { PORT: String(port) } })).stop();
  });

  it("[HO3] says that YAOS_DATA_DIR is a file, or below one, without a stack", async () => {
    const file = join(dataDir, "file");
    writeFileSync(file, "");
    for (const taken of [file, join(file, "below")]) {
      const refused = await failure(startHost({ dataDir: taken }));
      expect(refused.ended).toBe(1);
      expect(refused.stderr.trim()).toBe(`Cannot keep data in ${taken}: it, or a part of that path, is a file and no directory; name another with YAOS_DATA_DIR`);
    }
  });

  it("names a PORT that is none", async () => {
    const refused = await failure(startHost({ dataDir, env: { PORT: "80a" } }));
    expect(refused.stderr).toContain("PORT=80a");
  });
});

/** Field 5 of proc(5) stat. */
function processGroup(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
}
