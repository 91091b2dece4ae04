/** The stand-in for the older servers opens what the real ones wrote: else the way back would be tested against a phantom. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as Y from "yjs";
import { fetchVault } from "../../scripts/push-back/fetch-vault.ts";
import { difference, plainDoc } from "../kit/compare.ts";
import { killOldServers, startOldServer } from "../kit/old-server/old-server.ts";
import { YaosClient } from "../kit/yaos-client.ts";

const TOKEN = "old-server-token-0123456789abcdef";
const VAULT = "room-small";
/** What Worker `yaos`, class `VaultSyncServer` and this vault id come to locally. */
const OBJECT_FILE = "71840ce502690a0e76f51b5652c90b96e67bf75d6974adc53e863b2a0a1ac4d7.sqlite";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-old-"));
});
afterEach(() => {
  killOldServers();
  rmSync(dataDir, { recursive: true, force: true });
});

describe("the stand-in", () => {
  it.each([
    ["1.6.1", "kv", undefined],
    ["main", "kv", undefined],
    ["sql", "kv", { mode: "kv-migrated", migrationStatus: "migrated", migrationMeta: { migration_completed: "true", source_format: "kv" } }],
    ["sql", "sql", { mode: "sql", migrationStatus: "already_sql" }],
  ] as const)("[TK14] of build %s loads what a real server of the %s layout wrote", async (build, layout, storage) => {
    const fixture = join(import.meta.dirname, "../fixtures/in-place", layout);
    mkdirSync(join(dataDir, "yaos-VaultSyncServer"));
    copyFileSync(join(fixture, "room-small.sqlite"), join(dataDir, "yaos-VaultSyncServer", OBJECT_FILE));
    const server = await startOldServer({ dataDir, build, token: TOKEN });
    const { update } = await fetchVault({ url: server.url, vault: VAULT, token: TOKEN });
    expect(difference(plainDoc([update]), plainDoc([readFileSync(join(fixture, "room-small.update"))]))).toBeNull();
    const debug = await server.debug(VAULT);
    expect(debug.roomId).toBe(VAULT);
    if (storage === undefined) expect(debug.storage).toBeUndefined();
    else expect(debug.storage).toMatchObject(storage);
  });

  it.each(["main", "sql"] as const)("[TK15] of build %s tells of its saves what the real ones do", async (build) => {
    const server = await startOldServer({ dataDir, build, token: TOKEN });
    const saves = async () => (await server.debug(VAULT)).persistence!;
    const until = (field: "queuedSaveCount" | "successfulSaveCount", count: number) => expect.poll(async () => (await saves())[field], { timeout: 10_000, interval: 5 }).toBe(count);
    expect(await saves()).toMatchObject({ status: "healthy", queuedSaveCount: 0, successfulSaveCount: 0, lastSaveStartedAt: null, lastSaveSucceededAt: null });
    const client = new YaosClient({ wsUrl: server.wsUrl, token: TOKEN, vault: VAULT, doc: new Y.Doc() });
    await client.synced;
    const text = client.doc.getText("t");

    // Under way: counted in the queue, begun, not succeeded.
    await server.holdSaves(VAULT);
    text.insert(0, "one");
    await until("queuedSaveCount", 1);
    const begun = await saves();
    expect(begun).toMatchObject({ pendingPersistence: true, successfulSaveCount: 0, lastSaveStartedAt: expect.any(String), lastSaveSucceededAt: null });
    // Edits that come meanwhile are in the next save, which waits its turn.
    text.insert(0, "two");
    await until("queuedSaveCount", 2);
    expect((await saves()).lastSaveStartedAt).toBe(begun.lastSaveStartedAt);
    await server.releaseSaves(VAULT);
    await until("successfulSaveCount", 2);
    await until("queuedSaveCount", 0);
    const saved = await saves();
    expect(saved).toMatchObject({ pendingPersistence: false, failedSaveCount: 0, lastSaveFailedAt: null });
    expect(saved.lastSaveSucceededAt! >= saved.lastSaveStartedAt!).toBe(true);

    // Deletions alone: a save begins, and saves nothing (compat sheet, 5.3).
    text.delete(0, 3);
    await expect.poll(async () => (await saves()).lastSaveStartedAt, { timeout: 10_000, interval: 5 }).not.toBe(saved.lastSaveStartedAt);
    expect(await saves()).toMatchObject({ successfulSaveCount: 2, lastSaveSucceededAt: saved.lastSaveSucceededAt });
    client.close();
    await server.kill();

    const slow = await startOldServer({ dataDir, build, token: TOKEN, debounceMs: 60_000 });
    const another = new YaosClient({ wsUrl: slow.wsUrl, token: TOKEN, vault: VAULT, doc: new Y.Doc() });
    await another.synced;
    another.doc.getText("t").insert(0, "three");
    // A client that finds it there proves that it was taken in.
    await expect.poll(async () => plainDoc([(await fetchVault({ url: slow.url, vault: VAULT, token: TOKEN })).update]).getText("t").toJSON(), { timeout: 10_000, interval: 5 }).toBe("threetwoone");
    // Nothing tells that it waits to be saved (compat sheet, 2.6).
    expect((await slow.debug(VAULT)).persistence).toMatchObject({ queuedSaveCount: 0, pendingPersistence: false });
    another.close();
  });
});
