/** What happens at a door: name the room, check who comes, refuse in the door's own way or hand the socket to the room object. */

import { type CloseCode, STOCK_REFUSALS, VAULT_REFUSALS } from "../src/protocol/close-codes.ts";
import { refusalFrames } from "../src/protocol/custom.ts";
import { type Admission, checkClientSchema, checkCredential, doorCredential } from "./admission.ts";
import { errorAnswer, textAnswer } from "./answers.ts";
import { connectUrl, decodeRoomId, type Door } from "./doors.ts";
import type { Env } from "./env.ts";

/**
 * Answers a request whose path is a door.
 * Refused upgrades are accepted first, since only a close code tells a WebSocket client why; a path that names no room is a plain 400, upgrade or not.
 * Admitted requests that are no upgrade: the YAOS door says 404 `Not implemented` as existing servers do, the stock doors say 426.
 */
export async function enterDoor(request: Request, env: Env, door: Door, rawId: string, query: URLSearchParams): Promise<Response> {
  const id = decodeRoomId(rawId);
  if (!id.ok) return errorAnswer(400, id.fault);

  const upgrade = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
  const admission = await admit(request, env, door, query);
  if (!admission.ok) return upgrade ? refuseSocket(request, door, admission) : errorAnswer(VAULT_REFUSALS[admission.code].status, admission.code);
  if (!upgrade) return door === "vault" ? textAnswer("Not implemented", 404) : errorAnswer(426, "upgrade required", { Upgrade: "websocket" });

  const room = env.YAOS_SYNC.get(env.YAOS_SYNC.idFromName(id.roomId));
  const answer = await room.fetch(connectUrl(door, id.roomId, query), { headers: { Upgrade: "websocket" } });
  if (answer.webSocket === null) return answer;
  return socketAnswer(request, answer.webSocket);
}

async function admit(request: Request, env: Env, door: Door, query: URLSearchParams): Promise<Admission> {
  const credential = await checkCredential(doorCredential(request.headers, query), env.SYNC_TOKEN);
  return credential.ok ? checkClientSchema(query, door === "vault") : credential;
}

/** At the YAOS door two text frames and 1008 (compat sheet, 3.1); at the stock doors a 44xx close alone, since text kills y-websocket (update laws, W3). */
function refuseSocket(request: Request, door: Door, refusal: Admission & { ok: false }): Response {
  const { 0: client, 1: server } = new WebSocketPair();
  server.accept();
  let close: CloseCode = STOCK_REFUSALS[refusal.code];
  if (door === "vault") {
    for (const frame of refusalFrames(refusal.code, refusal.schema)) server.send(frame);
    close = VAULT_REFUSALS[refusal.code].close;
  }
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
