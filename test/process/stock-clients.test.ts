/** Stock providers against the whole server: one room behind three doors, presence, refusals, a kill, and healing. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import * as Y from "yjs";
import { compact, framesUnaccounted, readDebug } from "../kit/host-calls.ts";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";
import { type StockClient, openParty, openPlugin, openSync } from "../kit/stock-client.ts";

/** As a room is called, and as it stands in a path where slashes may stay. */
const ROOM = "notes/team a/100% of it";
const ROOM_IN_PATH = "notes/team a/100%25 of it";

let dataDir: string;
let clients: StockClient[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-stock-"));
  clients = [];
  vi.spyOn(console, "warn").mockImplementation(() => {}); // the providers log what they are denied
});
afterEach(() => {
  for (const client of clients) client.destroy();
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
  vi.restoreAllMocks();
});

function keep(client: StockClient): StockClient {
  clients.push(client);
  return client;
}

/** One client of each kind, in one room. */
function openAll(host: HostProcess): { sync: StockClient; party: StockClient; plugin: StockClient } {
  return {
    sync: keep(openSync(host, ROOM_IN_PATH)),
    party: keep(openParty(host, "any-party", ROOM_IN_PATH)),
    plugin: keep(openPlugin(host, ROOM)),
  };
}

/** Waits for what the network brings. */
function soon(check: () => void | Promise<void>, timeout = 8_000): Promise<void> {
  return vi.waitFor(check, { timeout, interval: 20 });
}

async function allSynced(all: readonly StockClient[]): Promise<void> {
  await soon(() => expect(all.map((client) => client.provider.synced)).toEqual(all.map(() => true)));
}

function text(client: StockClient): string {
  return client.doc.getText("note").toString();
}

function present(client: StockClient): number[] {
  return [...client.provider.awareness.getStates().keys()].toSorted((a, b) => a - b);
}

/** A client shows itself; others ignore a presence whose clock is still 0. */
function appear(client: StockClient): void {
  client.provider.awareness.setLocalStateField("name", `client ${client.doc.clientID}`);
}

function ids(...all: StockClient[]): number[] {
  return all.map((client) => client.doc.clientID).toSorted((a, b) => a - b);
}

async function sameText(all: readonly StockClient[], length: number): Promise<void> {
  await soon(() => {
    for (const client of all) expect(text(client)).toHaveLength(length);
  });
  expect(new Set(all.map(text)).size).toBe(1);
}

describe("three doors", () => {
  it("[DR1] lead y-websocket, y-partyserver and the plugin's pattern to one room", async () => {
    const host = await startHost({ dataDir });
    const { sync, party, plugin } = openAll(host);
    const all = [sync, party, plugin];
    await allSynced(all);
    let length = 0;
    for (const [n, client] of all.entries()) {
      const line = `line ${n} of ${client.doc.clientID}\n`;
      client.doc.getText("note").insert(0, line);
      length += line.length;
      await sameText(all, length);
    }
    party.doc.getText("note").delete(0, 4);
    await sameText(all, length - 4);
    const debug = await readDebug(host, ROOM);
    expect(debug.sessions.count).toBe(3);
    expect(framesUnaccounted(debug.frames)).toBe(0);
    expect(plugin.customs.some((message) => message.includes("yaos/sv-echo"))).toBe(true);
    // A room of another name has nothing of it.
    const other = keep(openSync(host, "notes/team a"));
    await allSynced([other]);
    expect(text(other)).toBe("");
    await host.stop();
  });

  it("[AW2][AW3] show who is there to late joiners, and take away those alone who left", async () => {
    const host = await startHost({ dataDir });
    const { sync, party, plugin } = openAll(host);
    for (const client of clients) appear(client);
    await soon(() => {
      for (const client of [sync, party, plugin]) expect(present(client)).toEqual(ids(sync, party, plugin));
    });
    const late = keep(openSync(host, ROOM_IN_PATH));
    appear(late);
    await soon(() => expect(present(late)).toEqual(ids(sync, party, plugin, late)));
    expect(late.provider.awareness.getStates().get(party.doc.clientID)).toEqual({ name: `client ${party.doc.clientID}` });

    party.drop(); // no goodbye: only the server can tell the others
    await soon(() => {
      for (const client of [sync, plugin, late]) expect(present(client)).toEqual(ids(sync, plugin, late));
    });
    clients.splice(clients.indexOf(late), 1);
    late.destroy();
    await soon(() => {
      for (const client of [sync, plugin]) expect(present(client)).toEqual(ids(sync, plugin));
    });
    const last = keep(openPlugin(host, ROOM));
    appear(last);
    await soon(() => expect(present(last)).toEqual(ids(sync, plugin, last)));
    await host.stop();
  });
});

describe("refusals", () => {
  it("[AU3] y-websocket with a wrong token gets 4401 and stops", async () => {
    const host = await startHost({ dataDir });
    const sync = keep(openSync({ wsUrl: host.wsUrl, token: "wrong" }, ROOM_IN_PATH));
    const party = keep(openParty({ wsUrl: host.wsUrl, token: "wrong" }, "p", ROOM_IN_PATH));
    await soon(() => expect(party.closes.length).toBeGreaterThan(2)); // it always comes back
    expect(sync.closes).toEqual([{ code: 4401, reason: "unauthorized" }]);
    expect(sync.provider.shouldConnect).toBe(false);
    expect(new Set(party.closes.map((close) => close.code))).toEqual(new Set([4401]));
    expect(party.customs).toEqual([]);
    await host.stop();
  });

  it("[AU2] the plugin's door says why in two text frames, then 1008", async () => {
    const host = await startHost({ dataDir });
    expect(await refusal(`${host.wsUrl}/vault/sync/v?token=wrong&schemaVersion=2&_pk=a`)).toEqual({
      frames: ['{"type":"error","code":"unauthorized"}', '__YPS:{"type":"error","code":"unauthorized"}'],
      close: { code: 1008, reason: "unauthorized" },
    });
    const schema = '{"type":"error","code":"update_required","reason":"invalid_client_schema","clientSchemaVersion":null,"roomSchemaVersion":null}';
    expect(await refusal(`${host.wsUrl}/vault/sync/v?token=${host.token}&schemaVersion=two&_pk=a`)).toEqual({
      frames: [schema, `__YPS:${schema}`],
      close: { code: 1008, reason: "update required" },
    });
    const plugin = keep(openPlugin({ wsUrl: host.wsUrl, token: "wrong" }, ROOM));
    await soon(() => expect(plugin.customs).toContain('{"type":"error","code":"unauthorized"}'));
    await host.stop();
  });
});

async function refusal(url: string): Promise<{ frames: string[]; close: { code: number; reason: string } }> {
  const socket = new WebSocket(url);
  const frames: string[] = [];
  socket.on("message", (data) => frames.push(data.toString()));
  const [code, reason] = (await once(socket, "close")) as [number, Buffer];
  return { frames, close: { code, reason: reason.toString() } };
}

describe("restart", () => {
  it("[HO7] after a kill the providers come back by themselves, and so does everything written", async () => {
    const host = await startHost({ dataDir });
    const { sync, party, plugin } = openAll(host);
    const all = [sync, party, plugin];
    await allSynced(all);
    for (const client of all) client.doc.getText("note").insert(0, `${"abc ".repeat(50)}\n`);
    sync.doc.getText("note").delete(10, 20);
    await sameText(all, 3 * 201 - 20);
    await soon(async () => expect((await readDebug(host, ROOM)).commitBuffer.updates).toBe(0));
    await host.kill9Group();
    await soon(() => expect(all.map((client) => client.provider.wsconnected)).toEqual([false, false, false]));

    const again = await startHost({ dataDir, env: { PORT: String(host.port) } });
    const fresh = keep(openSync(again, ROOM_IN_PATH));
    await allSynced([...all, fresh]);
    expect(text(fresh)).toBe(text(sync));
    party.doc.getText("note").insert(0, "back");
    await sameText([...all, fresh], 3 * 201 - 20 + 4);
    expect(Y.equalSnapshots(Y.snapshot(fresh.doc), Y.snapshot(party.doc))).toBe(true);
    await again.stop();
  });

  it("[SY7] what a stock client wrote while the server was dead reaches the others afterwards", async () => {
    const host = await startHost({ dataDir });
    const { sync, party, plugin } = openAll(host);
    await allSynced([sync, party, plugin]);
    await host.kill9Group();
    for (const [n, client] of [sync, party, plugin].entries()) client.doc.getText("note").insert(0, "offline".repeat(n + 1));
    const again = await startHost({ dataDir, env: { PORT: String(host.port) } });
    await sameText([sync, party, plugin], 6 * "offline".length);
    await again.stop();
  });
});

describe("healing", () => {
  it("[DG3] a damaged chunk is not served around, comes back with a client that has it, and then everybody is served", async () => {
    const env = { YAOS_ENABLE_ADMIN_ROUTES: "1" };
    const host = await startHost({ dataDir, env });
    const owner = keep(openSync(host, ROOM_IN_PATH));
    await allSynced([owner]);
    for (let n = 0; n < 20; n++) owner.doc.getText("note").insert(0, `line ${n} ${"word ".repeat(100)}\n`);
    owner.doc.getText("note").delete(100, 200);
    await soon(async () => {
      const { commitBuffer, frames } = await readDebug(host, ROOM);
      expect([commitBuffer.updates, (frames["framesRelayed"] ?? 0) >= 21]).toEqual([0, true]);
    });
    expect((await compact(host, ROOM)).status).toBe("compacted");
    expect((await readDebug(host, ROOM)).index.chunks).toBeGreaterThan(0);
    owner.drop();
    await host.stop();
    flipByteOfFirstChunk(join(dataDir, "yaos-VaultSyncServer"));

    const again = await startHost({ dataDir, env });
    const empty = keep(openSync(again, ROOM_IN_PATH));
    const emptyPlugin = keep(openPlugin(again, ROOM));
    // Both are told at once, wait, and get nothing meanwhile.
    await soon(() => {
      expect(empty.denials.join()).toContain("vault damaged");
      expect(emptyPlugin.customs.join()).toContain("yaos/degraded");
    });
    expect([text(empty), text(emptyPlugin), empty.provider.synced]).toEqual(["", "", false]);
    const damaged = await readDebug(again, ROOM);
    expect(damaged.damage.lostRangeCount).toBeGreaterThan(0);
    expect(damaged.damage.setAside).toHaveLength(1);
    expect(damaged.damage.healedCount).toBe(0);

    const healer = keep(openSync(again, ROOM_IN_PATH, copyOf(owner.doc)));
    await sameText([healer, empty, emptyPlugin], text(owner).length);
    await soon(async () => expect((await readDebug(again, ROOM)).damage).toMatchObject({ healedCount: 1, lostRangeCount: 0, lostUnknown: false }));
    await allSynced([healer, empty, emptyPlugin]);
    await again.kill9Group();

    const healed = await startHost({ dataDir, env });
    const fresh = keep(openParty(healed, "p", ROOM_IN_PATH));
    await allSynced([fresh]);
    expect(text(fresh)).toBe(text(owner));
    expect(Y.equalSnapshots(Y.snapshot(fresh.doc), Y.snapshot(owner.doc))).toBe(true);
    await healed.stop();
  });
});

function copyOf(doc: Y.Doc): Y.Doc {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  return copy;
}

/** Damages the one room in `folder` that has chunks, as a failing disk would: same length, one byte different. */
function flipByteOfFirstChunk(folder: string): void {
  let flipped = 0;
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(".sqlite") || name.startsWith("metadata")) continue;
    const database = new DatabaseSync(join(folder, name));
    const middle = "CAST(substr(data, 1, length(data) / 2) || x'ff' || substr(data, length(data) / 2 + 2) AS BLOB)";
    flipped += Number(database.prepare(`UPDATE room_chunk SET data = ${middle} WHERE row = (SELECT min(row) FROM room_chunk)`).run().changes);
    database.close();
  }
  expect(flipped).toBe(1);
}
