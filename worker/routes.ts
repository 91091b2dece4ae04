/**
 * Method and path to handler. Everything is classified before an object is touched, so junk requests cost no object request.
 * Doors are matched on the raw path first; the rest is a Hono table over raw segments.
 */

import { Hono } from "hono";
import { readAccess } from "./access/capabilities.ts";
import { claimRoutes } from "./access/claim-routes.ts";
import { deviceRoutes } from "./access/device-routes.ts";
import { type Call, guardOwner, guardVault, pathVault, queryVault, rawPath } from "./access/guard.ts";
import { ticketRoute } from "./access/ticket-route.ts";
import { errorAnswer, preflightAnswer, withCors } from "./answers.ts";
import { attachmentsCapability } from "./attachments/backend.ts";
import { attachmentRoutes } from "./attachments/routes.ts";
import { findDoor, type RoomId } from "./doors.ts";
import type { Env } from "./env.ts";
import { eraseRoutes } from "./erase-routes.ts";
import { readTarget } from "./limits/request-target.ts";
import { pageRoutes, repositoryOf } from "./pages/routes.ts";
import { logRequest, noteOf } from "./request-note.ts";
import { enterDoor } from "./sync-door.ts";
import { takeoverRoutes } from "./takeover-routes.ts";
import { SERVER_VERSION } from "./version.ts";

/** What of the platform's context is used. */
type Lifetime = { waitUntil(promise: Promise<unknown>): void };

/** Answers one request, and logs it. Never throws: what fails inside becomes a JSON 500, or a 503 when an object could not answer. */
export async function handleRequest(request: Request, env: Env, lifetime?: Lifetime): Promise<Response> {
  const startedMs = Date.now();
  if (lifetime !== undefined) noteOf(request).keep = (promise) => lifetime.waitUntil(promise);
  let answer: Response;
  try {
    answer = await route(request, env);
  } catch (error) {
    answer = failureAnswer(error);
  }
  logRequest(request, answer.status, Date.now() - startedMs);
  return answer;
}

async function route(request: Request, env: Env): Promise<Response> {
  const target = readTarget(request);
  if (!target.ok) return target.answer;
  const { url } = target;
  if (request.method === "OPTIONS") return preflight(url.pathname);
  const found = findDoor(request.method, url.pathname);
  if (found !== null) {
    noteOf(request).route = `door ${found.door}`;
    return enterDoor(request, env, found.door, found.rawId, url.searchParams);
  }
  // Hono answers HEAD by running GET; existing servers answer 404.
  if (request.method === "HEAD") return errorAnswer(404, "not found");
  return routes.fetch(request, env);
}

const routes = new Hono<{ Bindings: Env }>({ getPath: rawPath });

routes.use(async (call, next) => {
  const pattern = call.req.matchedRoutes.findLast(({ path }) => path !== "/*")?.path;
  if (pattern !== undefined) noteOf(call.req.raw).route = pattern;
  await next();
});
pageRoutes(routes, async (env, request) => {
  const { authMode, claimCodeNeeded } = await readAccess(env, request);
  if (authMode === "unclaimed") return { authMode, claimCodeNeeded };
  return { authMode, attachments: attachmentsCapability(env), serverVersion: SERVER_VERSION, repository: repositoryOf(env.YAOS_CANONICAL_REPO) };
});
claimRoutes(routes);
deviceRoutes(routes);
ticketRoute(routes);
attachmentRoutes(routes, (call, act) => guardVault(call, act, pathVault(call)));
eraseRoutes(routes);
takeoverRoutes(routes);
routes.get("/vault/:id/debug/recent", (call) => debug(call, pathVault(call)));
routes.post("/vault/:id/debug/compact", (call) => compact(call, pathVault(call)));
routes.get("/__yaos/debug", (call) => debug(call, queryVault(call)));
routes.post("/__yaos/compact", (call) => compact(call, queryVault(call)));
routes.notFound(() => errorAnswer(404, "not found"));
routes.onError(failureAnswer);

/** Whoever may read the vault may see how its room is. */
async function debug(call: Call, vault: RoomId): Promise<Response> {
  const guarded = await guardVault(call, "read", vault);
  return guarded.ok ? forward(call, guarded.vaultId, "debug") : guarded.answer;
}

/** The owner's, and dark unless switched on. */
async function compact(call: Call, vault: RoomId): Promise<Response> {
  const guarded = await guardOwner(call);
  if (!guarded.ok) return guarded.answer;
  if (!call.env.YAOS_ENABLE_ADMIN_ROUTES) return errorAnswer(404, "not found");
  return vault.ok ? forward(call, vault.roomId, "compact") : errorAnswer(400, vault.fault);
}

async function forward(call: Call, vaultId: string, act: "debug" | "compact"): Promise<Response> {
  const rooms = call.env.YAOS_SYNC;
  return withCors(await rooms.get(rooms.idFromName(vaultId)).fetch(`https://internal/__yaos/${act}`, { method: call.req.method }));
}

/** `OPTIONS` is answered for what browsers call; elsewhere there is nothing. */
function preflight(pathname: string): Response {
  return pathname.startsWith("/vault/") || pathname.startsWith("/api/") ? preflightAnswer() : errorAnswer(404, "not found");
}

/** An error the platform marks as retryable, or as overload, came from an object's side: come back later. */
function failureAnswer(error: unknown): Response {
  const marks = (typeof error === "object" && error !== null ? error : {}) as { retryable?: unknown; overloaded?: unknown; remote?: unknown };
  const ofRoom = marks.retryable === true || marks.overloaded === true || marks.remote === true;
  console.error(JSON.stringify({ event: "request.failed", ofRoom, error: error instanceof Error ? error.name : typeof error }));
  return ofRoom ? errorAnswer(503, "room unavailable") : errorAnswer(500, "internal error");
}
