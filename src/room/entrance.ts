/** Who comes in: admission of a socket, its greeting, refusals, and the credentials that no longer count. */
import { LIMITS } from "../limits.ts";
import type { Peer } from "../ports.ts";
import { CLOSE, type CloseCode, STOCK_REFUSALS, VAULT_REFUSALS, type VaultRefusal } from "../protocol/close-codes.ts";
import { type SchemaMismatch, degradedFrame, refusalFrames } from "../protocol/custom.ts";
import { permissionDeniedFrame, syncStep1Frame } from "../protocol/frames.ts";
import { encodeStateVector } from "../update/state-vector.ts";
import type { AccessBook } from "./access-book.ts";
import { fallbackNotice } from "./fallback.ts";
import type { IncompleteDesk } from "./incomplete-desk.ts";
import { tellDegraded } from "./notices.ts";
import type { ReceiptDesk } from "./receipt-desk.ts";
import type { ConnectOptions } from "./room-host.ts";
import type { RoomState } from "./room-state.ts";
import type { SessionBook } from "./session-book.ts";
import { type Door, OWNER_ACCESS, Session } from "./session.ts";

const REGISTER_RETRY_MS = 60_000;

export class Entrance {
  readonly #state: RoomState;
  readonly #sessions: SessionBook;
  readonly #access: AccessBook;
  readonly #receipts: ReceiptDesk;
  readonly #incomplete: IncompleteDesk;
  readonly #isStaging: () => boolean;
  #isRegistering = false;

  /** @param isStaging whether edits are on their way to disk where neither window nor index shows them */
  constructor(state: RoomState, sessions: SessionBook, access: AccessBook, receipts: ReceiptDesk, incomplete: IncompleteDesk, isStaging: () => boolean) {
    this.#state = state;
    this.#sessions = sessions;
    this.#access = access;
    this.#receipts = receipts;
    this.#incomplete = incomplete;
    this.#isStaging = isStaging;
  }

  /** A socket was accepted: greets it, or says why not. */
  connect(peer: Peer, options: ConnectOptions): void {
    const { host, health, stats, schema, erasedAtMs, isOver } = this.#state;
    const { clock, log } = host;
    const nowMs = clock.nowMs();
    const access = options.access ?? OWNER_ACCESS;
    if (isOver) {
      peer.close(CLOSE.reopening.code, CLOSE.reopening.reason);
      return;
    }
    if (erasedAtMs !== null) {
      this.#refuse(peer, CLOSE.vaultErased, options.text, CLOSE.vaultErased.reason);
      return;
    }
    if (health.kind === "unreadable") {
      this.#refuse(peer, CLOSE.degraded, options.text, health.reason);
      return;
    }
    if (this.#sessions.size >= LIMITS.maxSessionsPerRoom) {
      this.#refuse(peer, CLOSE.busy, options.text, "too many sessions");
      return;
    }
    if (access.accessEpoch < this.#access.below(access.by)) {
      this.#turnAway(peer, options.door, "unauthorized");
      return;
    }
    const clientSchemaVersion = options.schema ?? null;
    const roomSchemaVersion = clientSchemaVersion === null ? null : schema.current(this.#isStaging());
    if (clientSchemaVersion !== null && roomSchemaVersion !== null && clientSchemaVersion < roomSchemaVersion) {
      this.#turnAway(peer, options.door, "update_required", { reason: "client_schema_older_than_room", clientSchemaVersion, roomSchemaVersion });
      return;
    }
    const session = Session.open(peer, {
      id: clock.randomId(),
      door: options.door,
      text: options.text,
      epoch: clock.randomId(),
      sentAtMs: nowMs,
      by: access.by,
      mode: access.mode,
      accessEpoch: access.accessEpoch,
      isUnkept: health.kind === "fallback",
    });
    this.#sessions.add(session);
    stats.connects += 1;
    this.#register();
    log.event("info", "session.opened", { door: options.door, sessions: this.#sessions.size });
    stats.trace(nowMs, "session.opened", options.door);
    session.send(syncStep1Frame(encodeStateVector(this.#state.ingest.known.vector)), nowMs);
    this.#sessions.presence.greet(session, nowMs);
    this.#incomplete.tell(session, nowMs);
    if (health.kind === "unproven") tellDegraded(session, health.reason, nowMs);
    else if (health.kind === "fallback") tellDegraded(session, fallbackNotice(health.reason), nowMs);
    else this.#receipts.sendBaseline(session);
  }

  /** Ends every session of a credential that was admitted below epoch `below`, and refuses such from now on. Returns how many it ended. @throws what the engine throws */
  revoke(by: string, below: number): number {
    const { health, erasedAtMs, host } = this.#state;
    const canStore = health.kind !== "unreadable" && health.kind !== "fallback" && erasedAtMs === null;
    this.#access.revoke(by, below, canStore);
    let closed = 0;
    for (const session of [...this.#sessions.all]) {
      if (session.accessEpoch >= this.#access.below(session.by)) continue;
      if (!session.closing) closed += 1;
      this.#sessions.end(session, CLOSE.accessRevoked);
    }
    host.log.event("warn", "access.revoked", { owner: by === OWNER_ACCESS.by, closed });
    return closed;
  }

  #refuse(peer: Peer, close: CloseCode, text: boolean, reason: string): void {
    const { host, stats } = this.#state;
    stats.refusedConnects += 1;
    host.log.event("warn", "session.refused", { code: close.code, reason });
    stats.trace(host.clock.nowMs(), "session.refused", `${close.code} ${reason}`);
    peer.send(text ? degradedFrame(reason) : permissionDeniedFrame(reason));
    // Said at once, closed later: y-partyserver comes back after every code and counts every open as a success, so it would be here ten times a second.
    host.timers.after(LIMITS.refusalHoldMs, () => peer.close(close.code, close.reason));
  }

  /** As the Worker refuses at this door: text frames and 1008 at the YAOS door (compat sheet, 3.1), else a 44xx close alone. */
  #turnAway(peer: Peer, door: Door, code: VaultRefusal, schema?: SchemaMismatch): void {
    this.#state.stats.refusedConnects += 1;
    this.#state.host.log.event("warn", "session.refused", { code, door });
    if (door === "vault") for (const frame of refusalFrames(code, schema)) peer.send(frame);
    const stock = code === "unauthorized" ? CLOSE.accessRevoked : STOCK_REFUSALS[code];
    const close = door === "vault" ? VAULT_REFUSALS[code].close : stock;
    peer.close(close.code, close.reason);
  }

  /** Once per room, after its first accepted connect, so that revocations and rotations find it. */
  #register(): void {
    if (this.#isRegistering || this.#access.isRegistered) return;
    this.#isRegistering = true;
    const { host, stats } = this.#state;
    host.register((ownerEpoch) => {
      this.#isRegistering = false;
      if (this.#state.isOver) return;
      if (ownerEpoch === null) {
        // A room that stays awake for hours connects nobody anew: it must be found by a rotation all the same.
        host.timers.after(REGISTER_RETRY_MS, () => {
          if (!this.#state.isOver && this.#sessions.size > 0) this.#register();
        });
        return;
      }
      const rowsBefore = host.sql.rowsWritten;
      try {
        this.#access.registered();
        // A rotation of before could not be told to a room nobody knew.
        if (ownerEpoch > this.#access.below(OWNER_ACCESS.by)) this.revoke(OWNER_ACCESS.by, ownerEpoch);
      } catch (error) {
        stats.error(host.clock.nowMs(), "register.failed", String(error));
      }
      stats.rowsWrittenBy.maintenance += host.sql.rowsWritten - rowsBefore;
    });
  }
}
