/** The stand-in for the older servers opens what the real ones wrote: else the way back would be tested against a phantom. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fetchVault } from "../../scripts/push-back/fetch-vault.ts";
import { difference, plainDoc } from "../kit/compare.ts";
import { killOldServers, startOldServer } from "../kit/old-server/old-server.ts";

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
});
