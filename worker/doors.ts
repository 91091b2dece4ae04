/**
 * The three paths a WebSocket may come in by. All lead to the same room for the same id. Paths are read raw, because both stock
 * providers leave `/` in a room name as it is; the id is percent-decoded once.
 */

import { LIMITS } from "../src/limits.ts";

/** `vault`: the YAOS plugin, `sync`: y-websocket, `parties`: y-partyserver. */
export type Door = "vault" | "sync" | "parties";

/** Why a path or parameter names no room. Stands in the 400 answer. */
export type RoomIdFault = "empty room id" | "malformed room id" | "room id too long";

export type RoomId = { readonly ok: true; readonly roomId: string } | { readonly ok: false; readonly fault: RoomIdFault };

/** On `/vault/sync/` exactly one segment is the id; deeper paths belong to a vault named "sync" (compat sheet, 2.2). */
const VAULT_DOOR = /^\/vault\/sync\/([^/]+)$/;
const SYNC_DOOR = /^\/sync\/(.*)$/s;
/** Any party: partyserver routes by its name, we have one kind of room. */
const PARTIES_DOOR = /^\/parties\/[^/]+\/(.*)$/s;

/** The one path of a vault named "sync" that looks like the door of another. */
const UNERASE_SYNC = "/vault/sync/unerase";

/** The door a raw URL path leads to, with the raw id behind it, or null. */
export function findDoor(method: string, pathname: string): { readonly door: Door; readonly rawId: string } | null {
  if (method === "POST" && pathname === UNERASE_SYNC) return null;
  const vault = VAULT_DOOR.exec(pathname);
  if (vault !== null) return { door: "vault", rawId: vault[1] ?? "" };
  const sync = SYNC_DOOR.exec(pathname);
  if (sync !== null) return { door: "sync", rawId: sync[1] ?? "" };
  const parties = PARTIES_DOOR.exec(pathname);
  if (parties !== null) return { door: "parties", rawId: parties[1] ?? "" };
  return null;
}

/** Percent-decodes a raw id once and checks it. */
export function decodeRoomId(rawId: string): RoomId {
  let roomId: string;
  try {
    roomId = decodeURIComponent(rawId);
  } catch {
    return { ok: false, fault: "malformed room id" };
  }
  return checkRoomId(roomId);
}

/** Checks an id that is already decoded: 1 to `maxRoomIdBytes` bytes of UTF-8. */
export function checkRoomId(roomId: string): RoomId {
  if (roomId === "") return { ok: false, fault: "empty room id" };
  if (new TextEncoder().encode(roomId).byteLength > LIMITS.maxRoomIdBytes) return { ok: false, fault: "room id too long" };
  return { ok: true, roomId };
}

/** Who enters, and with which schema. The room refuses what a revocation or its own schema has left behind. */
export type Entry = {
  /** `owner`, or a device id. */
  readonly by: string;
  readonly mode: "rw" | "ro";
  readonly epoch: number;
  /** The client's schema version; null: it has none. */
  readonly schema: number | null;
};

/** Where the room object gets the upgrade. `text`: text frames may go to this client, which kill plain y-websocket (update laws, W3). */
export function connectUrl(door: Door, roomId: string, query: URLSearchParams, entry: Entry): string {
  // Only y-partyserver's provider sends `_pk`; it reads text frames at whichever door.
  const text = door === "vault" || query.has("_pk");
  const who = `by=${encodeURIComponent(entry.by)}&mode=${entry.mode}&epoch=${entry.epoch}&schema=${entry.schema ?? ""}`;
  return `https://internal/__yaos/connect?door=${door}&text=${text ? 1 : 0}&room=${encodeURIComponent(roomId)}&${who}`;
}
