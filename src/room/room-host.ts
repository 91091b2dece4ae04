/** What a room is given: its host with everything it may touch, and the facts of each connect. */
import type { Alarm, Checksum, Clock, Log, Peer, Sql, Timers } from "../ports.ts";
import type { RoomKeys } from "../storage/room-meta.ts";
import type { SendBudget } from "./send-budget.ts";
import type { Door, SessionAccess } from "./session.ts";
import type { TakeoverView } from "./takeover-view.ts";
import type { WriteNote } from "./write-note.ts";

/** Everything the room needs from its host. */
export interface RoomHost {
  readonly sql: Sql;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly alarm: Alarm;
  readonly log: Log;
  readonly checksum: Checksum;
  /** All open sockets of this room. */
  peers(): Iterable<Peer>;
  readonly writeNote: WriteNote;
  /** Shared by all rooms of the isolate. */
  readonly sendBudget: SendBudget;
  /** How the vault of an older server, if there was one, came into this room. */
  readonly takeover: TakeoverView;
  readonly keys: RoomKeys;
  /** Tells the install that this room exists, without waiting; `answered` gets the owner's epoch in a turn of its own, or null when it failed. */
  register(answered: (ownerEpoch: number | null) => void): void;
}

export interface ConnectOptions {
  readonly door: Door;
  /** Whether text frames may be sent (update laws, W3). */
  readonly text: boolean;
  /** The owner, when left out. */
  readonly access?: SessionAccess;
  /** The client's schema version; null when it named none, and then it is not looked at. */
  readonly schema?: number | null;
}
