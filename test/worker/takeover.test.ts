/** The takeover inside the real object: its own key-value storage, an instance aborted at any point, eviction, and a client that waits for it. */
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import * as Y from "yjs";
import { writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";
import type { RoomSocket } from "../kit/room-socket.ts";
import { BEARER, join as joined, stubOf, worker } from "./upgraded-client.ts";

/** With a plugin of any schema. */
const join = (vault: string): Promise<RoomSocket> => joined(vault, 3);

interface Report {
  readonly documentLoaded: boolean;
  readonly storage: { readonly mode: string; readonly migrationStatus: string; readonly takeover: { readonly state: string } | null };
}

async function debug(vault: string): Promise<Report> {
  return (await worker.fetch(`https://host/vault/${vault}/debug/recent`, { headers: BEARER })).json<Report>();
}

const snapshotOf = (doc: Y.Doc): string => JSON.stringify([...Y.encodeSnapshot(Y.snapshot(doc))]);

/** Some hundreds of notes, in entries as older servers wrote them. */
function vaultOf(entries: number, noteBytes: number): { doc: Y.Doc; updates: Uint8Array[] } {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  let vector = Y.encodeStateVector(doc);
  for (let at = 0; at < entries; at++) {
    doc.transact(() => {
      doc.getMap("meta").set(`id${at}`, { path: `Note ${at}.md` });
      doc.getMap("idToText").set(`id${at}`, new Y.Text(`${at} `.repeat(Math.ceil(noteBytes / 3))));
      if (at > 0) doc.getMap<Y.Text>("idToText").get(`id${at - 1}`)!.delete(0, 5);
    });
    updates.push(Y.encodeStateAsUpdate(doc, vector));
    vector = Y.encodeStateVector(doc);
  }
  return { doc, updates };
}

const { doc, updates } = vaultOf(30, 200_000);

/** Leaves the vault in an object's storage as an older server would have. */
async function leave(vault: string): Promise<void> {
  const values = new Map<string, unknown>();
  writeKvLayout(values, { checkpoint: Y.mergeUpdates(updates.slice(0, 4)), journal: updates.slice(4, 26) });
  await runInDurableObject(stubOf(vault), (_room, { storage }) => {
    for (const [key, value] of values) storage.kv.put(key, value);
    const sql = { exec: (query: string, ...params: unknown[]) => storage.sql.exec(query, ...(params as SqlStorageValue[])).toArray() };
    writeSqlLayout(sql as unknown as Parameters<typeof writeSqlLayout>[0], { snapshot: Y.mergeUpdates(updates.slice(0, 22)), journal: updates.slice(22) });
  });
}

test("[TK4] aborted over and over, the move goes on in the next instance and ends whole", async () => {
  const vault = "takeover-aborted";
  await leave(vault);
  let isDone = false;
  let aborted = 0;
  for (let turns = 1; !isDone; turns += 3) {
    const asked = debug(vault).then(
      () => (isDone = true),
      () => undefined,
    );
    for (let turn = 0; turn < turns && !isDone; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    if (isDone) break;
    await abortAllDurableObjects();
    aborted += 1;
    await asked;
  }
  expect(aborted).toBeGreaterThan(0);
  const client = await join(vault);
  expect(snapshotOf(client.doc)).toBe(snapshotOf(doc));
  expect(await debug(vault)).toMatchObject({ documentLoaded: true, storage: { takeover: { state: "complete" } } });
});

test("[TK17] a client that connects first waits for the move; after an eviction nothing is moved again", async () => {
  const vault = "takeover-first";
  await leave(vault);
  const client = await join(vault);
  expect(snapshotOf(client.doc)).toBe(snapshotOf(doc));
  expect((await debug(vault)).storage).toMatchObject({ mode: "kv-migrated", migrationStatus: "migrated" });
  client.close();
  await evictDurableObject(stubOf(vault), { webSockets: "close" });
  expect((await debug(vault)).storage).toMatchObject({ mode: "sql", migrationStatus: "already_sql" });
  // The old storage is there as it was, views and all.
  await runInDurableObject(stubOf(vault), (_room, { storage }) => {
    expect([...storage.kv.list({ prefix: "document:journal:manifest:" })]).toHaveLength(22);
    expect(storage.sql.exec("SELECT count(*) AS n FROM journal").one()).toEqual({ n: 8 });
  });
});

test("[TK12] [TK13] an old server's later edits are united, and clean-up leaves our tables alone", async () => {
  const vault = "takeover-forward";
  await leave(vault);
  await debug(vault);
  const later = new Y.Doc();
  Y.applyUpdate(later, Y.encodeStateAsUpdate(doc));
  later.getText("more").insert(0, "from the old server");
  await runInDurableObject(stubOf(vault), (_room, { storage }) => {
    const row = Y.encodeStateAsUpdate(later, Y.encodeStateVector(doc));
    storage.sql.exec("INSERT INTO journal (data, byte_length) VALUES (?, ?)", row, row.byteLength);
  });
  await evictDurableObject(stubOf(vault), { webSockets: "close" });
  const client = await join(vault);
  expect(client.doc.getText("more").toJSON()).toBe("from the old server");
  const answer = await stubOf(vault).fetch("https://internal/__yaos/cleanup-kv", { method: "POST", body: "{}" });
  expect(await answer.json()).toMatchObject({ status: "cleaned", rowsDeleted: 13 });
  await runInDurableObject(stubOf(vault), (_room, { storage }) => {
    expect([...storage.kv.list({ prefix: "document" })]).toEqual([]);
    expect(storage.sql.exec("SELECT count(*) AS n FROM snapshot_chunks").one()).toEqual({ n: 0 });
  });
  client.close();
  await evictDurableObject(stubOf(vault), { webSockets: "close" });
  expect(snapshotOf((await join(vault)).doc)).toBe(snapshotOf(later));
});

test("[TK4] a vault that is being moved can be erased", async () => {
  const vault = "takeover-erased";
  await leave(vault);
  const asked = debug(vault).catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 0));
  const answer = await stubOf(vault).fetch("https://internal/__yaos/erase", { method: "POST", body: "{}" });
  expect(await answer.json()).toMatchObject({ erased: true });
  await asked;
  await runInDurableObject(stubOf(vault), (_room, { storage }) => {
    expect([...storage.kv.list()]).toEqual([]);
    expect(storage.sql.exec("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'").toArray()).toEqual([{ name: "room_erased" }]);
  });
});

test("[TK13] an erase ends a clean-up under way, and nothing of the vault is written after it", async () => {
  const vault = "takeover-erased-while-cleaned";
  await leave(vault);
  await debug(vault);
  const cleaning = stubOf(vault).fetch("https://internal/__yaos/cleanup-kv", { method: "POST", body: "{}" });
  await new Promise((resolve) => setTimeout(resolve, 0));
  const erased = await stubOf(vault).fetch("https://internal/__yaos/erase", { method: "POST", body: "{}" });
  expect(await erased.json()).toMatchObject({ erased: true });
  expect(await (await cleaning).json<{ status: string }>()).toMatchObject({ status: "aborted", error: expect.stringContaining("erased") });
  await runInDurableObject(stubOf(vault), (_room, { storage }) => {
    expect(storage.sql.exec("SELECT name FROM sqlite_schema WHERE name LIKE 'room%'").toArray()).toEqual([{ name: "room_erased" }]);
  });
});
