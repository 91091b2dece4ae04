/**
 * Method and path to handler. Everything is classified before a room object is touched, so junk requests cost no object request.
 * Doors are matched on the raw path first; the rest is a Hono table over raw segments.
 */

import { type Context, Hono } from "hono";
import { bearerToken, checkCredential } from "./admission.ts";
import { errorAnswer, preflightAnswer, textAnswer, withCors } from "./answers.ts";
import { checkRoomId, decodeRoomId, findDoor, type RoomId } from "./doors.ts";
import { readTarget } from "./limits/request-target.ts";
import { enterDoor } from "./sync-door.ts";
import type { Env } from "./env.ts";

type Call = Context<{ Bindings: Env }>;

/** Answers one request. Never throws: what fails inside becomes a JSON 500, or a 503 when the room object could not answer. */
export async function handleRequest(request: Request, env: Env): Promise<Response> {
  const target = readTarget(request);
  if (!target.ok) return target.answer;
  const { url } = target;
  try {
    if (request.method === "OPTIONS") return preflight(url.pathname);
    const found = findDoor(url.pathname);
    if (found !== null) return await enterDoor(request, env, found.door, found.rawId, url.searchParams);
    // Hono answers HEAD by running GET; existing servers answer 404.
    if (request.method === "HEAD") return errorAnswer(404, "not found");
    return await routes.fetch(request, env);
  } catch (error) {
    return failureAnswer(error);
  }
}

const routes = new Hono<{ Bindings: Env }>({ getPath: rawPath });

routes.get("/", () =>
  textAnswer(
    [
      "yaos-server: a Yjs sync server",
      "",
      "/vault/sync/<vault>         the YAOS plugin",
      "/sync/<room>                y-websocket",
      "/parties/<party>/<room>     y-partyserver",
      "",
    ].join("\n"),
  ),
);
routes.get("/vault/:id/debug/recent", (call) => forward(call, pathVault(call), "debug"));
routes.post("/vault/:id/debug/compact", (call) => forward(call, pathVault(call), "compact"));
routes.get("/__yaos/debug", (call) => forward(call, queryVault(call), "debug"));
routes.post("/__yaos/compact", (call) => forward(call, queryVault(call), "compact"));
routes.notFound(() => errorAnswer(404, "not found"));
routes.onError(failureAnswer);

/** Sends an operator's request on to the room: Bearer only, admin routes dark unless switched on, the room untouched until both are settled. */
async function forward(call: Call, vault: RoomId, act: "debug" | "compact"): Promise<Response> {
  const admission = await checkCredential(bearerToken(call.req.raw.headers), call.env.SYNC_TOKEN);
  if (!admission.ok) return errorAnswer(admission.code === "unauthorized" ? 401 : 503, admission.code);
  if (act === "compact" && !call.env.YAOS_ENABLE_ADMIN_ROUTES) return errorAnswer(404, "not found");
  if (!vault.ok) return errorAnswer(400, vault.fault);
  const rooms = call.env.YAOS_SYNC;
  const answer = await rooms.get(rooms.idFromName(vault.roomId)).fetch(`https://internal/__yaos/${act}`, { method: call.req.method });
  return withCors(answer);
}

/** `OPTIONS` is answered for what browsers call; elsewhere there is nothing. */
function preflight(pathname: string): Response {
  return pathname.startsWith("/vault/") || pathname.startsWith("/api/") ? preflightAnswer() : errorAnswer(404, "not found");
}

/** The path as it stands, undecoded; under `/vault/` empty segments are dropped, as existing servers accept doubled and trailing slashes there. */
function rawPath(request: Request): string {
  const { pathname } = new URL(request.url);
  return pathname.startsWith("/vault/") ? `/${pathname.split("/").filter(Boolean).join("/")}` : pathname;
}

/** The vault named in the path. Hono's own decoding lets malformed escapes pass, so the raw segment is decoded here. */
function pathVault(call: Call): RoomId {
  return decodeRoomId(rawPath(call.req.raw).split("/")[2] ?? "");
}

function queryVault(call: Call): RoomId {
  return checkRoomId(new URL(call.req.url).searchParams.get("vault") ?? "");
}

/** An error the platform marks as retryable, or as overload, came from the room object's side: come back later. */
function failureAnswer(error: unknown): Response {
  const marks = (typeof error === "object" && error !== null ? error : {}) as { retryable?: unknown; overloaded?: unknown; remote?: unknown };
  const ofRoom = marks.retryable === true || marks.overloaded === true || marks.remote === true;
  console.error(JSON.stringify({ event: "request.failed", ofRoom, error: error instanceof Error ? error.name : typeof error }));
  return ofRoom ? errorAnswer(503, "room unavailable") : errorAnswer(500, "internal error");
}
