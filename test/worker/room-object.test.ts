import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { RoomSocket } from "../kit/room-socket.ts";
import { handleRequest } from "../../worker/routes.ts";
import { BEARER, env, join as joined, leave, take, worker } from "./upgraded-client.ts";

/** One that has its receipts too. */
async function join(vault: string): Promise<RoomSocket> {
  return receipted(await joined(vault));
}

async function receipted(client: RoomSocket): Promise<RoomSocket> {
  await client.until(() => client.isReceipted);
  return client;
}

function hibernate(vault: string): Promise<void> {
  return evictDurableObject(env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vault)), { webSockets: "hibernate" });
}

interface Report {
  readonly sessions: { readonly count: number; readonly connects: number; readonly presence: { readonly present: number } };
  readonly storage: { readonly rowsWritten: number };
  readonly frames: Record<string, number>;
  readonly health: { readonly kind: string };
  readonly journal: { readonly rows: number; readonly head: number };
}

async function debug(vault: string): Promise<Report> {
  const answer = await worker.fetch(`https://host/vault/${vault}/debug/recent`, { headers: BEARER });
  expect(answer.status).toBe(200);
  return answer.json<Report>();
}

test("[SY2] [RC2] two sockets sync, and receipts go on counting over an eviction", async () => {
  const [a, b] = [await join("pair"), await join("pair")];
  const { epoch } = a.receipts.at(-1)!;
  a.doc.getText("t").insert(0, "hello");
  await b.until(() => b.doc.getText("t").toString() === "hello");
  await a.until(() => a.isReceipted);
  for (let round = 1; round <= 3; round += 1) {
    const [sentByA, sentByB] = [a.sentFrames, b.sentFrames];
    await hibernate("pair");
    b.doc.getText("t").delete(0, 1);
    await a.until(() => a.doc.getText("t").length === 5 - round);
    await b.until(() => b.isReceipted);
    expect([a.sentFrames, b.sentFrames]).toEqual([sentByA, sentByB + 1]);
    expect(b.durableFrames).toBe(sentByB + 1);
  }
  a.doc.getText("t").insert(0, "j");
  await a.until(() => a.isReceipted);
  expect(a.receipts.at(-1)).toMatchObject({ epoch, durableFrames: a.sentFrames });
  const late = await join("pair");
  expect(late.doc.getText("t").toString()).toBe("jlo");
  expect(late.receipts.at(-1)!.epoch).not.toBe(epoch);
});

test("[HB1] waking reads and writes nothing down, and the room knows its sockets", async () => {
  const [a, b] = [await join("wake"), await join("wake")];
  a.doc.getText("t").insert(0, "text");
  await a.until(() => a.isReceipted);
  await b.until(() => b.doc.getText("t").length === 4);
  await hibernate("wake");
  const report = await debug("wake");
  expect(report.sessions).toMatchObject({ count: 2, connects: 0 });
  expect(report.storage.rowsWritten).toBe(0);
  expect(report.health.kind).toBe("healthy");
  const { framesReceived, deliveries: _, ...outcomes } = report.frames;
  expect(framesReceived).toBe(0);
  expect(Object.values(outcomes).every((count) => count === 0)).toBe(true);
});

test("[AW2] somebody who joins after a wake learns who is there", async () => {
  const [a, b] = [await join("late"), await join("late")];
  a.announce({ name: "a" });
  await b.until(() => b.sees(a));
  await hibernate("late");
  const c = await join("late");
  await c.until(() => c.sees(a));
  expect(c.awareness.getStates().get(a.doc.clientID)).toEqual({ name: "a" });
  expect(a.queries).toBe(1);
  expect((await debug("late")).sessions.presence.present).toBe(1);
});

test("[AW3] a client that leaves a sleeping room is removed for the others", async () => {
  const [a, b] = [await join("leaver"), await join("leaver")];
  a.announce({ name: "a" });
  b.announce({ name: "b" });
  await a.until(() => a.sees(b));
  await b.until(() => b.sees(a));
  await hibernate("leaver");
  await leave(b);
  await a.until(() => !a.sees(b));
  expect(b.closed?.code).toBe(1000);
  expect(a.sees(a)).toBe(true);
  expect((await debug("leaver")).sessions).toMatchObject({ count: 1, presence: { present: 1 } });
});

test("[HB3] ping is answered without the room, asleep or awake", async () => {
  const a = await join("ping");
  a.sendText("ping");
  await a.until(() => a.texts.includes("pong"));
  await hibernate("ping");
  a.texts.length = 0;
  a.sendText("ping");
  await a.until(() => a.texts.includes("pong"));
  expect((await debug("ping")).frames["framesReceived"]).toBe(0);
});

test("[CP6] compaction needs the credential and the switch; debug needs the credential", async () => {
  const a = await join("admin");
  a.doc.getText("t").insert(0, "to be moved");
  await a.until(() => a.isReceipted);
  const url = "https://host/vault/admin/debug/compact";
  expect((await worker.fetch(url, { method: "POST" })).status).toBe(401);
  expect((await worker.fetch("https://host/vault/admin/debug/recent?token=test-token")).status).toBe(401);
  const dark = await handleRequest(new Request(url, { method: "POST", headers: BEARER }), { ...env, YAOS_ENABLE_ADMIN_ROUTES: "" });
  expect([dark.status, await dark.json()]).toEqual([404, { error: "not found" }]);
  expect((await debug("admin")).journal.rows).toBe(1);
  const compact = async (): Promise<unknown> => (await worker.fetch(url, { method: "POST", headers: BEARER })).json();
  expect(await compact()).toMatchObject({ status: "compacted", journalBefore: { entryCount: 1 }, journalAfter: { entryCount: 0, totalBytes: 0 } });
  expect(await compact()).toMatchObject({ status: "noop" });
  expect((await debug("admin")).journal).toMatchObject({ rows: 0, head: 1 });
  await hibernate("admin");
  const late = await join("admin");
  expect(late.doc.getText("t").toString()).toBe("to be moved");
});

function roomOf(vault: string): DurableObjectStub {
  return env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vault));
}

async function ask(vault: string, act: string, body?: unknown): Promise<unknown> {
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return (await roomOf(vault).fetch(`https://internal/__yaos/${act}`, init)).json();
}

test("[SC4] meta and the record older servers read follow the document", async () => {
  expect(await ask("meta", "meta")).toEqual({ roomId: "meta", meta: null });
  const a = await join("meta");
  a.doc.getMap("sys").set("schemaVersion", 2);
  await a.until(() => a.isReceipted);
  const { meta } = (await ask("meta", "meta")) as { meta: { schemaVersion: number; updatedAt: string } };
  expect(meta).toEqual({ schemaVersion: 2, updatedAt: new Date(meta.updatedAt).toISOString() });
  expect(await runInDurableObject(roomOf("meta"), (_, state) => state.storage.kv.get("roomMeta"))).toEqual(meta);
  await hibernate("meta");
  expect(await ask("meta", "meta")).toEqual({ roomId: "meta", meta });
});

test("[ER1] [ER3] [ER4] erasing leaves nothing in the object, whoever wrote it, alarm included; lifted, it begins anew", async () => {
  const a = await join("gone");
  a.doc.getText("t").insert(0, "secret");
  await a.until(() => a.isReceipted);
  await runInDurableObject(roomOf("gone"), async (_, state) => {
    state.storage.sql.exec("CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB)");
    state.storage.sql.exec("INSERT INTO journal (data) VALUES (x'00')");
    state.storage.kv.put("document:checkpoint:current", { version: 1 });
    state.storage.kv.put("__ps_name", "gone");
    await state.storage.setAlarm(Date.now() + 3_600_000);
  });
  a.doc.getText("t").insert(0, "uncommitted ");
  const erased = (await ask("gone", "erase", {})) as { erased: boolean; erasedAt: string };
  expect(erased).toEqual({ erased: true, erasedAt: new Date(erased.erasedAt).toISOString() });
  await a.until(() => a.closed !== null);
  expect(a.closed).toEqual({ code: 4404, reason: "vault erased" });
  const left = await runInDurableObject(roomOf("gone"), async (_, state) => ({
    keys: [...state.storage.kv.list()].length,
    tables: state.storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .toArray()
      .map((row) => row.name)
      .filter((name) => !/^(?:sqlite|_cf)_/.test(name)),
    alarm: await state.storage.getAlarm(),
  }));
  expect(left).toEqual({ keys: 0, tables: ["room_erased"], alarm: null });
  expect(await ask("gone", "erase", {})).toEqual(erased);
  expect(await debug("gone")).toMatchObject({ erasedAt: erased.erasedAt });
  await hibernate("gone");
  expect(await ask("gone", "unerase", {})).toEqual({ erased: false, wasErased: true });
  expect(await ask("gone", "unerase", {})).toEqual({ erased: false, wasErased: false });
  const fresh = await join("gone");
  expect(fresh.doc.getText("t").toString()).toBe("");
  fresh.doc.getText("t").insert(0, "new");
  await fresh.until(() => fresh.isReceipted);
});

test("[RV1] [RV2] revoking answers with what it closed, lasts, and refuses a body it does not understand", async () => {
  const answer = await roomOf("revoke").fetch("https://internal/__yaos/connect?door=vault&text=1&room=revoke&by=device&mode=rw&epoch=3&schema=2", {
    headers: { Upgrade: "websocket" },
  });
  const a = await receipted(await take(answer));
  const below = 4;
  expect(await ask("revoke", "revoke", { by: "nobody", below })).toEqual({ closed: 0 });
  expect(a.closed).toBe(null);
  for (const body of [{}, { by: "", below: 1 }, { by: "owner" }, { by: "owner", below: "1" }, { by: "owner", below: 1.5 }, [], null]) {
    expect(await ask("revoke", "revoke", body)).toHaveProperty("error");
  }
  expect(await ask("revoke", "revoke", { by: "device", below })).toEqual({ closed: 1 });
  await a.until(() => a.closed !== null);
  expect(a.closed).toEqual({ code: 4403, reason: "access revoked" });
  await evictDurableObject(roomOf("revoke"), { webSockets: "hibernate" });
  const stored = await runInDurableObject(roomOf("revoke"), (_, state) =>
    state.storage.sql.exec<{ value: string }>("SELECT value FROM room_meta WHERE key = 'access:device'").one(),
  );
  expect(stored).toEqual({ value: String(below) });
});
