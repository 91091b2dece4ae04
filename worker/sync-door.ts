/** What happens at a door: name the room, check who comes, refuse in the door's own way or hand the socket to the room object. */

import { type CloseCode, STOCK_REFUSALS, VAULT_REFUSALS } from "../src/protocol/close-codes.ts";
import { refusalFrames } from "../src/protocol/custom.ts";
import { type Access, checkTicket, checkToken, type Use } from "./access/check.ts";
import { checkClientSchema, doorCredential, type Refusal } from "./admission.ts";
import { errorAnswer, textAnswer } from "./answers.ts";
import { connectUrl, decodeRoomId, type Door, type Entry } from "./doors.ts";
import type { Env } from "./env.ts";
import { gateConnect, noteAuthFailure, type TooMany, tooManyAnswer } from "./limits/gate.ts";
import { noteOf } from "./request-note.ts";

/** In, out, or come back later. */
type Admission = { readonly kind: "admitted"; readonly entry: Entry } | { readonly kind: "refused"; readonly refusal: Refusal } | { readonly kind: "later"; readonly tooMany: TooMany };

/**
 * Answers a request whose path is a door.
 * Refused upgrades are accepted first, since only a close code tells a WebSocket client why; a path that names no room is a plain 400, upgrade or not.
 * Admitted requests that are no upgrade: the YAOS door says 404 `Not implemented` as existing servers do, the stock doors say 426.
 */
export async function enterDoor(request: Request, env: Env, door: Door, rawId: string, query: URLSearchParams): Promise<Response> {
  const id = decodeRoomId(rawId);
  if (!id.ok) return errorAnswer(400, id.fault);
  noteOf(request).vault = id.roomId;

  const upgrade = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
  const admission = await admit(request, env, door, query, id.roomId, upgrade);
  // Before the 101: a provider that sees its socket open and close is back at once, one whose handshake fails waits longer each time.
  if (admission.kind === "later") return tooManyAnswer(admission.tooMany);
  if (admission.kind === "refused") {
    return upgrade ? refuseSocket(request, door, admission.refusal) : errorAnswer(VAULT_REFUSALS[admission.refusal.code].status, admission.refusal.code);
  }
  const room = env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(id.roomId));
  if (!upgrade) {
    if (door !== "vault") return errorAnswer(426, "upgrade required", { Upgrade: "websocket" });
    return (await isOutdated(room, admission.entry.schema)) ? errorAnswer(426, "update_required") : textAnswer("Not implemented", 404);
  }
  const answer = await room.fetch(connectUrl(door, id.roomId, query, admission.entry), { headers: { Upgrade: "websocket" } });
  if (answer.webSocket === null) return answer;
  return socketAnswer(request, answer.webSocket);
}

/** Whether the room's schema is newer than the client's (compat sheet, 2.5). */
async function isOutdated(room: DurableObjectStub, clientSchema: number | null): Promise<boolean> {
  if (clientSchema === null) return false;
  const answer = await room.fetch("https://internal/__yaos/meta");
  if (answer.status !== 200) return false;
  const { meta } = await answer.json<{ meta: { schemaVersion: number | null } | null }>();
  return (meta?.schemaVersion ?? 0) > clientSchema;
}

/** The credential first, then its connects, then the schema. What others get wrong is counted apart and never refuses a valid credential. */
async function admit(request: Request, env: Env, door: Door, query: URLSearchParams, vault: string, upgrade: boolean): Promise<Admission> {
  const access = await checkAccess(request, env, query, vault, upgrade ? "socket" : "request");
  if (!access.ok) {
    const tooMany = access.code === "unauthorized" ? await noteAuthFailure(env, request) : null;
    return tooMany === null ? { kind: "refused", refusal: access } : { kind: "later", tooMany };
  }
  const schema = checkClientSchema(query, door === "vault");
  if (!schema.ok) return { kind: "refused", refusal: schema };
  const tooMany = upgrade ? gateConnect(`${access.holder.by} ${vault}`) : null;
  return tooMany === null ? { kind: "admitted", entry: { ...access.holder, schema: schema.version } } : { kind: "later", tooMany };
}

/** A ticket parameter, even an empty one, is all that counts; else the token, unless the owner wants tickets only (compat sheet, 3.1). */
function checkAccess(request: Request, env: Env, query: URLSearchParams, vault: string, use: Use): Promise<Access> {
  const ticket = query.get("ticket");
  if (ticket !== null) return checkTicket(env, request, ticket, vault, use);
  return checkToken(env, request, env.YAOS_DISABLE_LEGACY_WS_TOKEN ? null : doorCredential(request.headers, query), vault, use);
}

/** At the YAOS door two text frames and 1008 (compat sheet, 3.1); at the stock doors a 44xx close alone, since text kills y-websocket (update laws, W3). */
function refuseSocket(request: Request, door: Door, refusal: Refusal): Response {
  if (door !== "vault") return closeSocket(request, STOCK_REFUSALS[refusal.code], []);
  return closeSocket(request, VAULT_REFUSALS[refusal.code].close, refusalFrames(refusal.code, refusal.schema));
}

function closeSocket(request: Request, close: CloseCode, frames: readonly string[]): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  for (const frame of frames) server.send(frame);
  server.close(close.code, close.reason);
  return socketAnswer(request, client);
}

/** The 101. An offered subprotocol must be named in it, else strict clients fail (platform page, section 3). */
function socketAnswer(request: Request, webSocket: WebSocket): Response {
  const offered = request.headers.get("Sec-WebSocket-Protocol")?.split(",")[0]?.trim();
  return new Response(null, {
    status: 101,
    webSocket,
    ...(offered ? { headers: { "Sec-WebSocket-Protocol": offered } } : {}),
  });
}
