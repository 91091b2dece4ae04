/** A real start of this server over the storage of older ones, with real clients, kill -9 and a second start. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import * as Y from "yjs";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";
import { type LegacyFixture, loadFixture } from "../kit/legacy-storage.ts";
import { placeObject, readObject, writeObject } from "../kit/object-file.ts";
import { YaosClient } from "../kit/yaos-client.ts";

const FIXTURES = join(import.meta.dirname, "../fixtures");
const LEGACY = join(FIXTURES, "legacy-kv");
const OLD_TABLES = ["snapshot_chunks", "journal", "_migration_meta"];

const dirs: string[] = [];
afterEach(() => {
  killStartedHosts();
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "yaos-takeover-"));
  dirs.push(dir);
  return dir;
}

interface Case {
  readonly vault: string;
  /** Of the whole vault, hex; null where some of it is lost. */
  readonly snapshot: string | null;
  readonly mode: string;
  readonly place: (dataDir: string) => void;
}

const snapshotOf = (doc: Y.Doc): string => Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("hex");
const base64Hex = (text: string): string => Buffer.from(text, "base64").toString("hex");

function cases(): Case[] {
  const files = readdirSync(LEGACY).filter((name) => name.endsWith(".json")).map((name): Case => {
    const fixture = JSON.parse(readFileSync(join(LEGACY, name), "utf8")) as LegacyFixture & { expected: { snapshot?: string } };
    const { snapshot } = fixture.expected;
    const isEmpty = !Object.keys(fixture.entries).some((key) => key.startsWith("document"));
    return { vault: name, snapshot: snapshot === undefined ? null : base64Hex(snapshot), mode: isEmpty ? "fresh" : "kv-migrated", place: (dir) => writeObject(dir, name, loadFixture(fixture)) };
  });
  const real = readdirSync(join(LEGACY, "realdo")).map((name): Case => {
    const dir = join(LEGACY, "realdo", name);
    const { snapshot } = JSON.parse(readFileSync(join(dir, "expected.json"), "utf8")) as { snapshot: string };
    const file = readdirSync(dir).find((found) => found.endsWith(".sqlite"))!;
    return { vault: name, snapshot: base64Hex(snapshot), mode: name === "sqlbranch-journal-only" ? "sql-migrated" : "kv-migrated", place: (data) => placeObject(data, name, join(dir, file)) };
  });
  const inPlace = (["kv", "sql"] as const).map((generation): Case => {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, new Uint8Array(readFileSync(join(FIXTURES, "in-place", generation, "room-small.update"))));
    const vault = `room-small-${generation}`;
    return { vault, snapshot: snapshotOf(doc), mode: `${generation}-migrated`, place: (dir) => placeObject(dir, vault, join(FIXTURES, "in-place", generation, "room-small.sqlite")) };
  });
  return [...files, ...real, ...inPlace];
}

async function joined(host: HostProcess, vault: string, readOnly = true): Promise<YaosClient> {
  const client = new YaosClient({ wsUrl: host.wsUrl, token: host.token, vault, doc: new Y.Doc(), schemaVersion: 3, readOnly });
  await client.synced;
  return client;
}

interface Debug {
  readonly storage: { readonly mode: string; readonly migrationStatus: string; readonly migrationMeta: Readonly<Record<string, string>> | null; readonly takeover: { readonly state: string; readonly problems: readonly { readonly key: string }[] } | null };
  readonly persistence: { readonly legacyDocumentMigrated: boolean };
}

async function ask(host: HostProcess, method: string, path: string, body?: string): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(`${host.url}${path}`, { method, headers: { authorization: `Bearer ${host.token}` }, ...(body === undefined ? {} : { body }) });
  const text = await answer.text();
  return { status: answer.status, body: answer.headers.get("Content-Type")?.startsWith("application/json") === true ? JSON.parse(text) : text };
}

async function debug(host: HostProcess, vault: string): Promise<Debug> {
  return (await ask(host, "GET", `/vault/${vault}/debug/recent`)).body as Debug;
}

function oldTables(dataDir: string, vault: string): string {
  return JSON.stringify(OLD_TABLES.map((table) => {
    try {
      return readObject(dataDir, vault, table);
    } catch {
      return null;
    }
  }));
}

describe("a start over older storage", () => {
  it("[TK1] [TK17] takes every fixture over, killed and started again, and leaves the old tables readable", async () => {
    const dataDir = newDir();
    const all = cases();
    for (const { place } of all) place(dataDir);
    const before = new Map(all.map(({ vault }) => [vault, oldTables(dataDir, vault)]));
    const env = { YAOS_ENABLE_ADMIN_ROUTES: "1" };
    let host = await startHost({ dataDir, env });
    for (const { vault, snapshot, mode } of all) {
      const client = await joined(host, vault);
      if (snapshot !== null) expect(snapshotOf(client.doc), vault).toBe(snapshot);
      else expect(client.customs[0], vault).toMatchObject({ type: "yaos/degraded", reason: expect.stringContaining("vault incomplete") });
      client.close();
      const { storage } = await debug(host, vault);
      expect([vault, storage.mode, storage.migrationStatus]).toEqual([vault, mode, snapshot === null ? "incomplete" : mode === "fresh" ? "not_started" : "migrated"]);
      expect(storage.migrationMeta === null).toBe(mode === "fresh");
    }
    await host.kill9Group();
    host = await startHost({ dataDir, env });
    for (const { vault, snapshot, mode } of all) {
      const { storage } = await debug(host, vault);
      expect([vault, storage.mode, storage.migrationStatus]).toEqual([vault, mode === "fresh" ? "fresh" : "sql", snapshot === null ? "incomplete" : mode === "fresh" ? "not_started" : "already_sql"]);
      const client = await joined(host, vault);
      if (snapshot !== null) expect(snapshotOf(client.doc), vault).toBe(snapshot);
      client.close();
    }
    await host.kill9Group();
    for (const { vault } of all) expect(oldTables(dataDir, vault), vault).toBe(before.get(vault));
    // PR #51's own way to its document: the snapshot's rows by index, then the journal by id.
    const vault = "sqlbranch-journal-only";
    const old = new Y.Doc();
    for (const row of readObject(dataDir, vault, "journal") as { data: Uint8Array }[]) Y.applyUpdate(old, row.data);
    expect(snapshotOf(old)).toBe(all.find((each) => each.vault === vault)!.snapshot);
  });

  it("[TK13] [TK18] cleans up by HTTP, refuses what it cannot read, and exports the pre-chunk document", async () => {
    const dataDir = newDir();
    const all = cases();
    const names = ["b3-forty-notes-small-chunks.json", "d3-prechunk-document-plus-sentinel-journal.json", "e01-pointer-to-missing-manifest.json", "sqlbranch-migrated-from-main"];
    for (const { vault, place } of all) if (names.includes(vault)) place(dataDir);
    let host = await startHost({ dataDir, env: { YAOS_ENABLE_ADMIN_ROUTES: "1" } });
    const [chunks, document, torn, both] = names.map((name) => `/vault/${name}/debug`) as [string, string, string, string];

    const fixture = JSON.parse(readFileSync(join(LEGACY, names[1]!), "utf8")) as LegacyFixture;
    const exported = await fetch(`${host.url}${document}/legacy-document`, { headers: { authorization: `Bearer ${host.token}` } });
    expect([exported.status, exported.headers.get("Content-Type"), Buffer.from(await exported.arrayBuffer())]).toEqual([200, "application/octet-stream", Buffer.from(loadFixture(fixture).get("document") as Uint8Array)]);
    expect(await ask(host, "GET", `${chunks}/legacy-document`)).toMatchObject({ status: 404, body: { error: "not found" } });
    expect((await debug(host, names[1]!)).persistence.legacyDocumentMigrated).toBe(true);

    expect(await ask(host, "POST", `${chunks}/cleanup-kv`, "{")).toMatchObject({ status: 400, body: { error: "invalid json" } });
    expect(await ask(host, "POST", `${chunks}/cleanup-kv`, "null")).toMatchObject({ status: 400, body: { error: "invalid json" } });
    expect(await ask(host, "POST", `${chunks}/cleanup-kv`, '{"dryRun":"yes"}')).toMatchObject({ status: 400, body: { error: "invalid dryRun" } });
    for (const slip of ['{"dryRun":null}', '{"dryrun":true}', '{"dryRun":true,"force":true}']) expect(await ask(host, "POST", `${chunks}/cleanup-kv`, slip)).toMatchObject({ status: 400, body: { error: "invalid dryRun" } });
    expect(await ask(host, "POST", `${chunks}/takeover`, '{"action":"forget"}')).toMatchObject({ status: 400, body: { error: "invalid action" } });
    expect((await fetch(`${host.url}${chunks}/cleanup-kv`, { method: "POST" })).status).toBe(401);
    expect(await ask(host, "POST", `${torn}/cleanup-kv`)).toMatchObject({ status: 200, body: { status: "aborted", keysDeleted: 0, error: expect.stringContaining("refusing to delete KV data") } });

    const dry = await ask(host, "POST", `/__yaos/cleanup-kv?vault=${names[0]}`, '{"dryRun":true}');
    expect(dry).toMatchObject({ status: 200, body: { status: "noop", dryRun: true, keysDeleted: 0, keysToDelete: 75, kept: [] } });
    // Two at once: one cleans, the other finds nothing left.
    const cleaned = await Promise.all([ask(host, "POST", `${chunks}/cleanup-kv`, "{}"), ask(host, "POST", `${chunks}/cleanup-kv`)]);
    expect(cleaned.map(({ body }) => (body as { status: string; keysDeleted: number }).keysDeleted).sort()).toEqual([0, 75]);
    expect(await ask(host, "POST", `${both}/cleanup-kv`, "{}")).toMatchObject({ body: { status: "cleaned", rowsDeleted: 1 } });
    expect(await ask(host, "POST", `${document}/cleanup-kv`, "")).toMatchObject({ body: { status: "cleaned", kept: [] } });

    await host.kill9Group();
    host = await startHost({ dataDir });
    for (const name of [names[0]!, names[1]!, names[3]!]) {
      const client = await joined(host, name);
      expect(snapshotOf(client.doc), name).toBe(all.find((each) => each.vault === name)!.snapshot);
      client.close();
    }
    expect(await ask(host, "POST", `${chunks}/cleanup-kv`)).toMatchObject({ status: 404 });
    expect(await ask(host, "POST", `/__yaos/takeover?vault=${names[2]}`, '{"action":"retry"}')).toMatchObject({ status: 404 });
    const rest = (readObject(dataDir, names[0]!, "_cf_KV") as { key: string }[]).map(({ key }) => key);
    expect(rest.filter((key) => key.startsWith("document"))).toEqual([]);
    expect(rest).toContain("roomMeta");
  });

  it("[TK9] [TK10] [TK16] an incomplete vault takes no edits until a client brings the rest, or an admin goes on without it", async () => {
    const dataDir = newDir();
    const name = "e01-pointer-to-missing-manifest.json";
    for (const { vault, place } of cases()) if (vault === name) place(dataDir);
    const host = await startHost({ dataDir, env: { YAOS_ENABLE_ADMIN_ROUTES: "1" } });
    const writer = await joined(host, name, false);
    writer.doc.getText("mine").insert(0, "not over a hole");
    await expect.poll(() => writer.customs.some(({ type }) => type === "yaos/read-only")).toBe(true);
    const other = await joined(host, name);
    expect(other.doc.getText("mine").toJSON()).toBe("");
    expect((await debug(host, name)).storage.takeover).toMatchObject({ state: "incomplete", problems: expect.arrayContaining([expect.objectContaining({ key: "document:checkpoint:manifest:1" })]) });
    // The fixture with the same vault whole: somebody who has it.
    const whole = JSON.parse(readFileSync(join(LEGACY, "b2-forty-notes-schema3.json"), "utf8")) as { expected: { stateAsUpdate: string; snapshot: string } };
    const doc = new Y.Doc();
    Y.applyUpdate(doc, new Uint8Array(Buffer.from(whole.expected.stateAsUpdate, "base64")));
    const healer = new YaosClient({ wsUrl: host.wsUrl, token: host.token, vault: name, doc, schemaVersion: 3 });
    await healer.closed;
    await writer.closed;
    const again = await joined(host, name, false);
    expect(snapshotOf(again.doc)).toBe(base64Hex(whole.expected.snapshot));
    again.doc.getText("mine").insert(0, "now it is");
    await expect.poll(() => again.durableFrames === again.sentFrames).toBe(true);
    expect((await debug(host, name)).storage.takeover).toMatchObject({ state: "complete" });
    expect(await ask(host, "POST", `/vault/${name}/debug/takeover`, '{"action":"accept-loss"}')).toMatchObject({ status: 200, body: { status: "noop" } });
  });
});
