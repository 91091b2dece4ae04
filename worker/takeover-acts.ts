/** What an admin does about the storage of an older server, inside the room object: clean it up, decide about a loss, take out the pre-chunk document. */
import { LIMITS } from "../src/limits.ts";
import type { Room } from "../src/room/room.ts";
import { type CleanUpReport, cleanUp } from "../src/takeover/clean-up.ts";
import { acceptLoss, retryMove } from "../src/takeover/decisions.ts";
import { readDocument } from "../src/takeover/kept-document.ts";
import type { LegacyStorage } from "../src/takeover/legacy.ts";
import type { MoveHost } from "../src/takeover/move.ts";
import { ownJsonAnswer } from "./answers.ts";
import { readOptionalJsonBody } from "./json-body.ts";

/** `POST /__yaos/cleanup-kv`: `{"dryRun":true}` reports, `{}` or no body cleans. @param isOver the vault was erased, or the room made anew, meanwhile */
export async function cleanUpAct(request: Request, ready: () => Promise<Room>, host: MoveHost, isOver: (room: Room) => boolean): Promise<Response> {
  const body = await readOptionalJsonBody(request, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return ownJsonAnswer({ error: body.error }, body.status);
  const dryRun = Object.hasOwn(body.value, "dryRun") ? body.value["dryRun"] : false;
  // A slip of the pen must not delete anything.
  if (typeof dryRun !== "boolean" || Object.keys(body.value).some((key) => key !== "dryRun")) return ownJsonAnswer({ error: "invalid dryRun" }, 400);
  const room = await ready();
  while (room.keeper.busyWith !== null) await turn();
  // Nothing may rewrite what is compared; edits go on.
  const done = room.keeper.claim("maintenance");
  try {
    const steps = cleanUp(host, room.store, troubleOf(room), dryRun);
    let step = steps.next();
    while (step.done !== true) {
      await turn();
      if (isOver(room)) return ownJsonAnswer({ status: "aborted", keysDeleted: 0, rowsDeleted: 0, error: "the room ended meanwhile: the vault was erased, or an admin has decided about it" } satisfies CleanUpReport);
      step = steps.next();
    }
    return ownJsonAnswer(step.value);
  } catch (error) {
    const report: CleanUpReport = { status: "failed", keysDeleted: 0, rowsDeleted: 0, error: error instanceof Error ? error.message : String(error) };
    return ownJsonAnswer(report);
  } finally {
    done();
    // What waited for the chunks.
    room.commitNow();
  }
}

/** `POST /__yaos/takeover` `{"action":"accept-loss"|"retry"}`. @param reopen ends all sessions and makes the next to come find a new room */
export async function decideAct(request: Request, host: MoveHost, reopen: () => void): Promise<Response> {
  const body = await readOptionalJsonBody(request, LIMITS.maxJsonBodyBytes);
  if (!body.ok) return ownJsonAnswer({ error: body.error }, body.status);
  const { action } = body.value;
  if (action !== "accept-loss" && action !== "retry") return ownJsonAnswer({ error: "invalid action" }, 400);
  const decision = action === "accept-loss" ? acceptLoss(host.sql) : retryMove(host.sql);
  if (decision.status === "done") reopen();
  return ownJsonAnswer(decision);
}

/** `GET /__yaos/legacy-document`: the bytes of the pre-chunk document, one Yjs update, as they stand. */
export function documentAct(legacy: LegacyStorage): Response {
  const bytes = readDocument(legacy);
  if (bytes === null) return ownJsonAnswer({ error: "not found" }, 404);
  return new Response(bytes.slice(), { headers: { "Content-Type": "application/octet-stream", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" } });
}

/** Why the room cannot vouch for its own storage now, or null. */
function troubleOf({ health, store, erasedAtMs }: Room): string | null {
  if (erasedAtMs !== null) return "the vault was erased";
  if (health.kind !== "healthy") return `SQL storage cannot be trusted now (${health.reason})`;
  return store.lost.length > 0 || store.lostUnknown ? "part of SQL storage is damaged" : null;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
