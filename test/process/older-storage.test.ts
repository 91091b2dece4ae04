/** A vault that an older server left in the room's own object: never covered by an empty document, never changed. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { readDebug } from "../kit/host-calls.ts";
import { killStartedHosts, startHost } from "../kit/host-process.ts";

const VAULT = "room-small";
/** What Worker `yaos`, class `VaultSyncServer` and this vault id come to locally. */
const OBJECT_ID = "71840ce502690a0e76f51b5652c90b96e67bf75d6974adc53e863b2a0a1ac4d7";

const dirs: string[] = [];
afterEach(() => {
  killStartedHosts();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** Every row of every table. */
function dump(file: string): string {
  const database = new DatabaseSync(file, { readOnly: true });
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all() as { name: string }[];
  const all = JSON.stringify(tables.map(({ name }) => [name, database.prepare(`SELECT * FROM "${name}"`).all()]));
  database.close();
  return all;
}

describe("storage of an older server", () => {
  it.each([
    ["kv", /key-value document/],
    ["sql", /SQL table (?:snapshot_chunks|journal)/],
  ] as const)("[DG6] of the %s generation is refused, named, and left as it was", async (generation, named) => {
    const dataDir = mkdtempSync(join(tmpdir(), "yaos-older-"));
    dirs.push(dataDir);
    const file = join(dataDir, "yaos-VaultSyncServer", `${OBJECT_ID}.sqlite`);
    mkdirSync(join(dataDir, "yaos-VaultSyncServer"));
    copyFileSync(join(import.meta.dirname, `../fixtures/in-place/${generation}/room-small.sqlite`), file);
    const before = dump(file);

    const host = await startHost({ dataDir });
    const socket = new WebSocket(`${host.wsUrl}/vault/sync/${VAULT}?token=${host.token}&schemaVersion=2&_pk=a`, { perMessageDeflate: false });
    const heard: { data: string; isBinary: boolean }[] = [];
    socket.on("message", (data: Buffer, isBinary: boolean) => void heard.push({ data: data.toString("utf8"), isBinary }));
    await once(socket, "message");
    expect((await readDebug(host, VAULT)).documentLoaded).toBe(false);
    socket.terminate();
    // One frame that says why, the close comes later; no document, empty or not.
    expect(heard).toHaveLength(1);
    expect(heard[0]).toMatchObject({ isBinary: false });
    expect(heard[0]!.data).toMatch(named);
    await host.stop();
    await host.allClosed;
    expect(dump(file)).toBe(before);
  });
});
