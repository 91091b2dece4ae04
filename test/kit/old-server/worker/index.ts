/**
 * Stands in for the Worker of an older YAOS server, written from the compat sheet's facts: same names, same storage, same frames.
 * It leaves out what the way back does not meet: claiming, tickets, attachments, snapshots, traces, presence removals.
 */
import * as Y from "yjs";
import { type OldEnv, type RoomStub, socketPair } from "./platform.ts";

export { VaultSyncServer } from "./room.ts";

/** Exists so that the class has its name; the owner's token comes from the environment. */
export class ServerConfig {
  fetch(): Response {
    return Response.json({ error: "not found" }, { status: 404 });
  }
}

const worker = {
  async fetch(request: Request, env: OldEnv): Promise<Response> {
    const url = new URL(request.url);
    const sync = /^\/vault\/sync\/([^/]+)$/.exec(url.pathname)?.[1];
    if (sync !== undefined) return enter(request, env, decodeURIComponent(sync), url.searchParams);
    // The last two are the tests' own.
    const [, vault, what = ""] = /^\/vault\/([^/]+)\/(debug\/recent|hold-saves|release-saves)$/.exec(url.pathname) ?? [];
    if (vault === undefined) return Response.json({ error: "not found" }, { status: 404 });
    if (request.headers.get("Authorization") !== `Bearer ${env.SYNC_TOKEN}`) return Response.json({ error: "unauthorized" }, { status: 401 });
    return roomOf(env, decodeURIComponent(vault)).fetch(`https://internal/${what === "debug/recent" ? "__yaos/debug" : what}`);
  },
};
// oxlint-disable-next-line import/no-default-export -- where the platform looks for the entry
export default worker;

function roomOf(env: OldEnv, vault: string): RoomStub {
  return env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(vault));
}

/** The decisions of compat sheet, 3.1, as far as a token and a schema go. */
async function enter(request: Request, env: OldEnv, vault: string, query: URLSearchParams): Promise<Response> {
  if (request.headers.get("Upgrade") !== "websocket") return new Response("Not implemented", { status: 404 });
  if (query.get("token") !== env.SYNC_TOKEN) return refuse("unauthorized", "unauthorized", {});
  const room = roomOf(env, vault);
  const client = Number(query.get("schemaVersion") ?? 1);
  const schema = await schemaOf(room);
  if (schema !== null && client < schema) {
    return refuse("update_required", "update required", { reason: "client_schema_older_than_room", clientSchemaVersion: client, roomSchemaVersion: schema });
  }
  return room.fetch("https://internal/connect", { headers: { Upgrade: "websocket" } });
}

/** From the stored room metadata, else from the document; null when neither says, or the room does not load. */
async function schemaOf(room: RoomStub): Promise<number | null> {
  const { meta } = (await (await room.fetch("https://internal/__yaos/meta")).json()) as { meta: { schemaVersion: number | null } | null };
  if (meta !== null) return meta.schemaVersion;
  try {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, new Uint8Array(await (await room.fetch("https://internal/__yaos/document")).arrayBuffer()));
    const version = doc.getMap("sys").get("schemaVersion");
    return typeof version === "number" ? version : null;
  } catch {
    return null;
  }
}

function refuse(code: string, reason: string, details: Record<string, unknown>): Response {
  const { server, answer } = socketPair();
  server.accept();
  const json = JSON.stringify({ type: "error", code, ...details });
  server.send(json);
  server.send(`__YPS:${json}`);
  server.close(1008, reason);
  return answer;
}
