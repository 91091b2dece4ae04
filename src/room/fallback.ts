/**
 * A room whose own tables cannot be read, over an older server's storage that can: the older server's vault is served from memory. It is the base of a
 * commit window that is never committed, so that serving, relays and limits are those of every room. Nothing is written, and nothing is promised.
 */
import { LIMITS } from "../limits.ts";
import type { AccessBook } from "./access-book.ts";
import type { RoomState } from "./room-state.ts";
import { nextServeStep } from "./serve.ts";

/** What everybody is told. */
export function fallbackNotice(reason: string): string {
  return `fallback: ${reason}: edits are not kept`;
}

/**
 * Takes in what the older server left and makes the room stand on that. Reads only; never throws.
 * @param reason why our own tables cannot be read
 * @returns null, or why nobody can be let in
 */
export function openFallback(state: RoomState, access: AccessBook, reason: string, nowMs: number): string | null {
  const { host, store, stats, window } = state;
  let roomForEdits: number;
  try {
    const base = host.takeover.fallback();
    if (base === null) return reason;
    access.readAlone();
    store.standEmpty();
    state.knowAnew();
    for (const update of base) takeIn(state, update, nowMs);
    if (window.byteLength > LIMITS.maxFallbackBytes) throw new Error(`an older vault of ${window.byteLength} bytes is too large`);
    roomForEdits = LIMITS.maxServeFrameBytes - LIMITS.bigSendBytes - frameBytes(state);
    if (roomForEdits < 0) throw new Error(`an older vault of ${window.byteLength} bytes is too large to be sent`);
  } catch (error) {
    window.close();
    state.knowAnew();
    const detail = error instanceof Error ? error.message : String(error);
    stats.error(nowMs, "fallback.failed", detail);
    return `${reason}; no fallback: ${detail}`;
  }
  state.health = { kind: "fallback", reason, sinceMs: nowMs, maxBytes: window.byteLength + Math.min(LIMITS.maxUnprovenBytes, roomForEdits) };
  stats.error(nowMs, "room.fallback", reason);
  host.log.event("error", "room.fallback", { reason, bytes: window.byteLength });
  return null;
}

/** Bytes of the one frame in which a joiner is served all of it. Structs that deletions cut get heads of their own: where that might matter, it is measured. */
function frameBytes({ store, window }: RoomState): number {
  if (2 * window.byteLength <= LIMITS.maxServeFrameBytes - LIMITS.maxUnprovenBytes) return window.byteLength;
  return Math.max(window.byteLength, nextServeStep(store, window, () => 0, new Set()).byteLength);
}

function takeIn(state: RoomState, update: Uint8Array, nowMs: number): void {
  const { ingest, window } = state;
  const { pieces, held } = ingest.take(update, true);
  for (const piece of pieces) window.add(piece.update, piece.ranges, piece.deletes, nowMs);
  if (held !== null) window.hold(held, nowMs);
}
