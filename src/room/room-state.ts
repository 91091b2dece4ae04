/**
 * What the parts of one room share: its host and storage, the edits that are not durable yet, what it knows, and how it stands.
 * Facts only; what is done about them is with the parts.
 */
import { VaultStore } from "../storage/vault-store.ts";
import { CommitWindow } from "./commit-window.ts";
import type { Health } from "./health.ts";
import { Ingest } from "./ingest.ts";
import type { RoomHost } from "./room-host.ts";
import { SchemaVersion } from "./schema-version.ts";
import { Stats } from "./stats.ts";

export class RoomState {
  readonly host: RoomHost;
  readonly store: VaultStore;
  readonly window = new CommitWindow();
  readonly schema: SchemaVersion;
  readonly stats: Stats;
  health: Health = { kind: "healthy" };
  /** The vault was erased and this is its tombstone, epoch milliseconds. */
  erasedAtMs: number | null = null;
  /** What was stored is gone, or came anew: this instance does nothing any more. */
  isOver = false;
  #ingest: Ingest;

  constructor(host: RoomHost) {
    this.host = host;
    this.stats = new Stats(host.clock.nowMs());
    this.store = new VaultStore(host.sql, host.checksum);
    this.schema = new SchemaVersion(host, this.store, this.window);
    this.#ingest = new Ingest(this.store, this.window, this.schema);
  }

  /** Takes edits in, and says what the room knows, durable or not. */
  get ingest(): Ingest {
    return this.#ingest;
  }

  /** What is stored is not what it was: works out anew what is known, from it and the open window. */
  knowAnew(): void {
    this.#ingest = new Ingest(this.store, this.window, this.schema);
  }

  /** From here on nobody is let in and nothing is written. @param detail for the list of errors */
  becomeUnreadable(reason: string, detail: string, nowMs: number): void {
    this.health = { kind: "unreadable", reason, sinceMs: nowMs };
    this.stats.error(nowMs, "room.unreadable", detail);
    this.host.log.event("error", "room.unreadable", { reason });
  }
}
