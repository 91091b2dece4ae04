/**
 * One room: sockets in front, the vault store behind. It decides what each frame means, relays, and says what is durable only when it is.
 *
 * Order of things for an edit: limits and strict reading, cover test, relay, end of the turn, commit, receipt. The commit never runs in the turn of the
 * relay, because the platform holds back everything sent in a turn that writes until the disk has it (update laws, C1).
 * A crash before the commit loses what nobody was promised; the clients that have it send it again when they reconnect.
 */
import { LIMITS } from "../limits.ts";
import type { Alarm, Checksum, Clock, Log, Peer, Sql, Timers } from "../ports.ts";
import { CLOSE, type CloseCode, STOCK_REFUSALS, VAULT_REFUSALS, type VaultRefusal, closeFor } from "../protocol/close-codes.ts";
import { READ_ONLY_REASON, type SchemaMismatch, degradedFrame, readOnlyFrame, receiptFrame, refusalFrames } from "../protocol/custom.ts";
import { type InboundFrame, parseFrame, permissionDeniedFrame, queryAwarenessFrame, syncStep1Frame, syncStep2Frame, updateFrame } from "../protocol/frames.ts";
import { decodeStateVector, encodeStateVector } from "../update/state-vector.ts";
import { DamagedRowError } from "../storage/damage.ts";
import type { RoomKeys } from "../storage/room-meta.ts";
import { SchemaTooNewError } from "../storage/schema.ts";
import { eraseEverything, liftTombstone, readTombstone } from "../storage/tombstone.ts";
import { type StepReport, VaultStore } from "../storage/vault-store.ts";
import { release } from "../release.ts";
import { AccessBook } from "./access-book.ts";
import { CheckpointKeeper } from "./checkpoint-keeper.ts";
import { type ClosedWindow, CommitWindow } from "./commit-window.ts";
import { type FrameOutcome, OUTCOME_COUNTER, newCounters } from "./counters.ts";
import { type Health, retryPauseMs } from "./health.ts";
import { Ingest, type Ingested } from "./ingest.ts";
import { PresenceDesk } from "./presence-desk.ts";
import { RelayDesk } from "./relay-desk.ts";
import { SchemaVersion } from "./schema-version.ts";
import type { SendBudget } from "./send-budget.ts";
import { type ServeStep, nextServeStep } from "./serve.ts";
import { type Door, OWNER_ACCESS, Session, type SessionAccess } from "./session.ts";
import { SessionRate } from "./session-rate.ts";
import { Stats } from "./stats.ts";
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
  /** Storage of an older server that this version does not take over yet, or null. Reads only. */
  foreignStorage(): string | null;
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

/** Pause between two stored errors. */
const ERROR_PAUSE_MS = 1_000;

export class Room {
  readonly #host: RoomHost;
  readonly #store: VaultStore;
  readonly #window = new CommitWindow();
  readonly #sessions = new Map<Peer, Session>();
  /** Peers that were disconnected: a failed socket is reported twice. */
  readonly #gone = new WeakSet<Peer>();
  readonly #presence: PresenceDesk;
  readonly #relays: RelayDesk;
  readonly #keeper: CheckpointKeeper;
  readonly #access: AccessBook;
  readonly #schema: SchemaVersion;
  #isRegistering = false;
  /** The vault was erased and this is its tombstone, epoch milliseconds. */
  #erasedAtMs: number | null = null;
  /** What was stored is gone, or came anew: this instance does nothing any more. */
  #isOver = false;
  readonly counters = newCounters();
  readonly stats: Stats;
  #ingest: Ingest;
  #health: Health = { kind: "healthy" };
  #cancelCommit: (() => void) | null = null;
  #commitDueMs = 0;
  #lastCommitMs = 0;
  /** A large delta is being staged: nothing else may be committed until it is published. */
  #staging = false;
  /** Somebody was turned away while storage failed. */
  #wantsProof = false;
  #staged: ClosedWindow | null = null;
  /** Gives up the staging under way and puts its edits back into the window. */
  #abandonStaging: (() => void) | null = null;
  #receiptVector: Uint8Array | null = null;
  /** Something was lost and is not known to be back. */
  #damageOpen = false;
  #errorKeptAtMs = 0;

  constructor(host: RoomHost) {
    this.#host = host;
    this.stats = new Stats(host.clock.nowMs());
    this.#store = new VaultStore(host.sql, host.checksum);
    this.#presence = new PresenceDesk(() => this.#sessions.values());
    this.#relays = new RelayDesk(host, () => this.#sessions.values());
    this.#keeper = new CheckpointKeeper(this.#store, host, this.stats, (error) => this.#setAside([error]));
    this.#access = new AccessBook(host.sql, this.#store);
    this.#schema = new SchemaVersion(host, this.#store, this.#window);
    this.#ingest = new Ingest(this.#store, this.#window, this.#schema);
    this.stats.onError = (atMs, event, detail) => this.#keepError(atMs, event, detail);
    this.#open();
    for (const peer of host.peers()) {
      const session = Session.restore(peer);
      if (session === null) continue;
      this.#sessions.set(peer, session);
      this.#presence.restore(session);
      // Taking an edit now would write over what cannot be read.
      if (this.#health.kind === "unreadable") this.#end(session, CLOSE.degraded);
      else if (this.#erasedAtMs !== null) this.#end(session, CLOSE.vaultErased);
    }
    // What was found damaged just now, one of those who slept along may have.
    if (this.#damageOpen && this.#health.kind !== "unreadable") this.#askEverybody();
  }

  get store(): VaultStore {
    return this.#store;
  }

  get window(): CommitWindow {
    return this.#window;
  }

  /** A large delta is on its way into chunks. */
  get isStaging(): boolean {
    return this.#staging;
  }

  /** What was relayed and is not on disk: the open window and a large delta being staged. */
  get unsaved(): { byteLength: number; updates: number; sinceMs: number | null } {
    const staged = this.#staged;
    const window = this.#window;
    const bytes = staged === null ? 0 : staged.batch.updates.reduce((sum, update) => sum + update.byteLength, 0);
    return {
      byteLength: window.byteLength + bytes,
      updates: window.updates.length + (staged?.batch.updates.length ?? 0),
      sinceMs: staged?.openedAtMs ?? (window.isEmpty ? null : window.openedAtMs),
    };
  }

  get health(): Health {
    return this.#health;
  }

  get ingest(): Ingest {
    return this.#ingest;
  }

  get keeper(): CheckpointKeeper {
    return this.#keeper;
  }

  get presence(): PresenceDesk {
    return this.#presence;
  }

  get relays(): RelayDesk {
    return this.#relays;
  }

  get schema(): SchemaVersion {
    return this.#schema;
  }

  /** When the vault was erased, epoch milliseconds; null while it stands. */
  get erasedAtMs(): number | null {
    return this.#erasedAtMs;
  }

  get isRegistered(): boolean {
    return this.#access.isRegistered;
  }

  get sendBudget(): SendBudget {
    return this.#host.sendBudget;
  }

  get sessions(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Reads what is stored; writes nothing. */
  #open(): void {
    const { clock, log } = this.#host;
    const startedMs = clock.nowMs();
    try {
      const { gaps, damaged } = this.#store.open();
      this.#erasedAtMs = this.#store.isFresh ? readTombstone(this.#host.sql) : null;
      const foreign = this.#store.isFresh ? this.#host.foreignStorage() : null;
      if (foreign !== null) this.#health = { kind: "unreadable", reason: `storage of an older server: ${foreign}`, sinceMs: startedMs };
      this.#ingest = new Ingest(this.#store, this.#window, this.#schema);
      for (const seq of gaps) this.stats.error(startedMs, "journal.gap", `row ${seq} is missing`);
      if (gaps.length > 0) log.event("error", "journal.gap", { rows: gaps.length });
      if (gaps.length > 0 || damaged.length > 0) this.#setAside(damaged);
      this.#damageOpen = this.#store.lost.length > 0 || this.#store.lostUnknown;
    } catch (error) {
      const reason = error instanceof DamagedRowError || error instanceof SchemaTooNewError ? error.message : "storage cannot be read";
      this.#health = { kind: "unreadable", reason, sinceMs: startedMs };
      this.stats.error(startedMs, "room.unreadable", String(error));
      log.event("error", "room.unreadable", { reason });
      return;
    }
    const { died } = this.#host.writeNote;
    if (this.#health.kind === "healthy" && died !== null) {
      this.#health = { kind: "unproven", reason: `the last ${died} failed`, sinceMs: startedMs, attempts: 0 };
      this.stats.error(startedMs, `${died}.died`, `the instance before this one ended in a ${died}`);
      log.event("error", `${died}.died`, {});
    }
    this.stats.openedInMs = clock.nowMs() - startedMs;
  }

  /** Stores an error in a turn of its own, so that it never holds back what is being sent. One a second at most: a storm tells no more. */
  #keepError(atMs: number, event: string, detail: string): void {
    if (atMs - this.#errorKeptAtMs < ERROR_PAUSE_MS) return;
    this.#errorKeptAtMs = atMs;
    this.#host.timers.after(0, () => {
      // What cannot be read is not written to either.
      if (this.#isOver || this.#health.kind === "unreadable") return;
      const rowsBefore = this.#host.sql.rowsWritten;
      try {
        this.#store.recordError(atMs, event, detail);
      } catch {
        // Where even this fails, the log has it.
      }
      this.stats.rowsWrittenBy.maintenance += this.#host.sql.rowsWritten - rowsBefore;
    });
  }

  /** A socket was accepted: greets it. */
  connect(peer: Peer, options: ConnectOptions): void {
    const { clock, log } = this.#host;
    const nowMs = clock.nowMs();
    const access = options.access ?? OWNER_ACCESS;
    if (this.#erasedAtMs !== null) {
      this.#refuse(peer, CLOSE.vaultErased, options.text, CLOSE.vaultErased.reason);
      return;
    }
    if (this.#health.kind === "unreadable") {
      this.#refuse(peer, CLOSE.degraded, options.text, this.#health.reason);
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
    const roomSchemaVersion = clientSchemaVersion === null ? null : this.#schema.current(this.#staging);
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
    });
    this.#sessions.set(peer, session);
    this.stats.connects += 1;
    this.#register();
    log.event("info", "session.opened", { door: options.door, sessions: this.#sessions.size });
    this.stats.trace(nowMs, "session.opened", options.door);
    session.send(syncStep1Frame(encodeStateVector(this.#ingest.known.vector)), nowMs);
    this.#presence.greet(session, nowMs);
    if (this.#health.kind === "unproven") this.#tellDegraded(session, this.#health.reason);
    else this.#sendReceipt(session, "baseline");
  }

  #refuse(peer: Peer, close: CloseCode, text: boolean, reason: string): void {
    this.stats.refusedConnects += 1;
    this.#host.log.event("warn", "session.refused", { code: close.code, reason });
    this.stats.trace(this.#host.clock.nowMs(), "session.refused", `${close.code} ${reason}`);
    peer.send(text ? degradedFrame(reason) : permissionDeniedFrame(reason));
    // Said at once, closed later: a provider that counts every open as a success would be back ten times a second.
    this.#host.timers.after(close.retry ? LIMITS.refusalHoldMs : 0, () => peer.close(close.code, close.reason));
  }

  /** Ends a session from our side. Nothing more of it is read, also after a sleep, and its presence goes now: a client need never answer the close. */
  #end(session: Session, close: CloseCode): void {
    this.stats.trace(this.#host.clock.nowMs(), "session.ended", `${close.code} ${close.reason}`);
    session.close(close.code, close.reason);
    this.disconnect(session.peer);
  }

  /** As the Worker refuses at this door: text frames and 1008 at the YAOS door (compat sheet, 3.1), else a 44xx close alone. */
  #turnAway(peer: Peer, door: Door, code: VaultRefusal, schema?: SchemaMismatch): void {
    this.stats.refusedConnects += 1;
    this.#host.log.event("warn", "session.refused", { code, door });
    if (door === "vault") for (const frame of refusalFrames(code, schema)) peer.send(frame);
    const stock = code === "unauthorized" ? CLOSE.accessRevoked : STOCK_REFUSALS[code];
    const close = door === "vault" ? VAULT_REFUSALS[code].close : stock;
    peer.close(close.code, close.reason);
  }

  /** Once per room, after its first accepted connect, so that revocations and rotations find it. */
  #register(): void {
    if (this.#isRegistering || this.#access.isRegistered) return;
    this.#isRegistering = true;
    this.#host.register((ownerEpoch) => {
      this.#isRegistering = false;
      if (ownerEpoch === null || this.#isOver) return;
      const rowsBefore = this.#host.sql.rowsWritten;
      try {
        this.#access.registered();
        // A rotation of before could not be told to a room nobody knew.
        if (ownerEpoch > this.#access.below(OWNER_ACCESS.by)) this.revoke(OWNER_ACCESS.by, ownerEpoch);
      } catch (error) {
        this.stats.error(this.#host.clock.nowMs(), "register.failed", String(error));
      }
      this.stats.rowsWrittenBy.maintenance += this.#host.sql.rowsWritten - rowsBefore;
    });
  }

  #isRevoked(session: Session): boolean {
    return session.accessEpoch < this.#access.below(session.by);
  }

  /** Ends every session of a credential that was admitted below epoch `below`, and refuses such from now on. Returns how many it ended. @throws what the engine throws */
  revoke(by: string, below: number): number {
    this.#access.revoke(by, below, this.#health.kind !== "unreadable" && this.#erasedAtMs === null);
    let closed = 0;
    for (const session of [...this.#sessions.values()]) {
      if (!this.#isRevoked(session)) continue;
      if (!session.closing) closed += 1;
      this.#end(session, CLOSE.accessRevoked);
    }
    this.#host.log.event("warn", "access.revoked", { owner: by === OWNER_ACCESS.by, closed });
    return closed;
  }

  /**
   * Removes everything stored of the vault and leaves a tombstone; ends all sessions. This instance is over: the host makes a new one for whatever comes next.
   * Returns when the vault was erased, epoch milliseconds. @throws what the engine throws; then nothing was removed
   */
  erase(): number {
    const erasedAtMs = eraseEverything(this.#host.sql, this.#host.keys, this.#host.clock.nowMs());
    this.#isOver = true;
    this.#cancelCommit?.();
    this.#abandonStaging = null;
    this.#keeper.abandon();
    for (const session of [...this.#sessions.values()]) {
      this.#end(session, CLOSE.vaultErased);
    }
    this.#host.log.event("warn", "vault.erased", {});
    return erasedAtMs;
  }

  /** Lets an erased vault begin anew, empty. Returns whether it was erased. This instance is over, as after `erase`. */
  unerase(): boolean {
    const isLifted = liftTombstone(this.#host.sql);
    if (isLifted) {
      this.#isOver = true;
      this.#host.log.event("warn", "vault.unerased", {});
    }
    return isLifted;
  }

  /** A frame arrived. Never throws: a bad frame costs its sender the session and nobody else anything. */
  receive(peer: Peer, data: Uint8Array | string): void {
    const session = this.#sessions.get(peer);
    this.counters.framesReceived += 1;
    let outcome: FrameOutcome = "ignored";
    try {
      if (session !== undefined && !session.closing) {
        if (!this.#isPaced(session, typeof data === "string" ? data.length : data.byteLength)) outcome = "refused";
        else if (typeof data !== "string") outcome = this.#handle(session, parseFrame(data));
      }
    } catch (error) {
      outcome = "refused";
      this.#closeFor(session!, error);
    }
    this.counters[OUTCOME_COUNTER[outcome]] += 1;
  }

  /** Ends a session that sends too fast. Nothing of the frame is looked at. */
  #isPaced(session: Session, byteLength: number): boolean {
    const nowMs = this.#host.clock.nowMs();
    session.rate ??= new SessionRate(nowMs);
    if (session.rate.takes(byteLength, nowMs)) return true;
    this.#countRefusal(CLOSE.tooFast.reason);
    this.#host.log.event("warn", "session.rejected", { code: CLOSE.tooFast.code, reason: CLOSE.tooFast.reason, detail: "" });
    this.#end(session, CLOSE.tooFast);
    return false;
  }

  #countRefusal(reason: string): void {
    this.stats.refusals[reason] = (this.stats.refusals[reason] ?? 0) + 1;
  }

  #handle(session: Session, frame: InboundFrame): FrameOutcome {
    switch (frame.kind) {
      case "sync-step-1":
        this.#answer(session, frame.stateVector);
        return "served";
      case "sync-update":
        return this.#takeUpdate(session, frame.update, frame.inner === 1);
      case "awareness": {
        const isAnswer = this.#presence.take(session, frame.payload, this.#host.clock.nowMs());
        if (isAnswer) session.onCredit?.();
        return "awareness";
      }
      case "auth":
      case "query-awareness":
      case "unknown":
        return "ignored";
    }
  }

  #closeFor(session: Session, error: unknown): void {
    const nowMs = this.#host.clock.nowMs();
    const close = closeFor(error);
    const detail = error instanceof Error ? error.message : String(error);
    if (close.code === CLOSE.internal.code) this.stats.error(nowMs, "session.failed", detail);
    this.#countRefusal(close.reason);
    this.#host.log.event(close.code === CLOSE.internal.code ? "error" : "warn", "session.rejected", { code: close.code, reason: close.reason, detail: detail.slice(0, 200) });
    this.#end(session, close);
  }

  #answer(session: Session, stateVector: Uint8Array): void {
    const vector = decodeStateVector(stateVector);
    // The answer carries all that waits; a second copy would do no harm, but cost.
    this.#relays.flush();
    const has = (client: number): number => vector.get(client) ?? 0;
    // The same connection asking again (a resync timer) has had every relay; unless it lacks structs, there is nothing to say.
    if (session.live && this.#lacksNothing(has)) {
      session.send(syncStep2Frame(Uint8Array.of(0, 0)), this.#host.clock.nowMs());
      return;
    }
    this.#serveOrPark(session, vector);
  }

  /** Brings a client up to date, unless it needs what is lost: nobody is served around a hole (update laws, T9). */
  #serveOrPark(session: Session, vector: ReadonlyMap<number, number>): void {
    session.live = false;
    if (this.#needsLost(vector)) {
      this.#park(session, vector);
      return;
    }
    session.parked = null;
    session.stopServing?.();
    this.#serve(session, vector, new Set());
  }

  /** Sends the next frame of an answer: a small one at once, a big one when the isolate has room for it. Never throws. */
  #serve(session: Session, vector: ReadonlyMap<number, number>, sent: Set<number>): void {
    const { clock, timers, sendBudget } = this.#host;
    const has = (client: number): number => vector.get(client) ?? 0;
    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        if (error instanceof DamagedRowError) {
          this.#setAside([error]);
          this.#park(session, vector);
        } else this.#closeFor(session, error);
      }
    };
    const send = (step: ServeStep): void => {
      const startedMs = clock.nowMs();
      const frame = step.create();
      session.send(frame, startedMs);
      const { byteLength } = frame;
      release(frame);
      for (const id of step.chunkIds) sent.add(id);
      if (step.closing) {
        session.live = true;
        session.save();
      }
      this.stats.served(byteLength, clock.nowMs() - startedMs);
    };
    if (this.#staging) {
      // A large delta under way is in neither the window nor the index: an answer now would leave it out, and no relay would bring it.
      const cancel = timers.after(LIMITS.sendRetryMs, () => this.#serve(session, vector, sent));
      session.stopServing = () => {
        cancel();
        session.stopServing = null;
      };
      return;
    }
    // Between two frames, or while the answer waited, something may have been lost.
    const parkedInstead = (): boolean => {
      if (!this.#needsLost(vector)) return false;
      this.#park(session, vector);
      return true;
    };
    if (parkedInstead()) return;
    guarded(() => {
      const step = nextServeStep(this.#store, this.#window, has, sent);
      if (step.closing && step.byteLength <= LIMITS.bigSendBytes) {
        send(step);
        return;
      }
      const ticket = sendBudget.enter(step.byteLength, clock.nowMs());
      // Good for this turn only: after a wait, what to send is decided anew.
      let planned: ServeStep | null = step;
      let cancelWait: (() => void) | null = null;
      const attempt = (): void => {
        if (this.#staging) {
          ticket.cancel();
          this.#serve(session, vector, sent);
          return;
        }
        const release = ticket.tryStart(clock.nowMs());
        if (release === null) {
          planned = null;
          cancelWait = timers.after(LIMITS.sendRetryMs, attempt);
          return;
        }
        const done = (): void => {
          cancelWait?.();
          session.onCredit = null;
          session.stopServing = null;
          release();
        };
        session.stopServing = done;
        if (planned === null && parkedInstead()) {
          done();
          return;
        }
        let isSent = false;
        guarded(() => {
          const now = planned ?? nextServeStep(this.#store, this.#window, has, sent);
          send(now);
          isSent = true;
          // The provider's answer to this arrives after it has taken in the frame before (update laws, W4).
          session.send(queryAwarenessFrame(), clock.nowMs());
          const goOn = (): void => {
            done();
            if (!now.closing && !session.closing) this.#serve(session, vector, sent);
          };
          session.onCredit = goOn;
          cancelWait = timers.after(LIMITS.sendCreditWaitMs, goOn);
        });
        if (!isSent) done();
      };
      session.stopServing = () => {
        cancelWait?.();
        ticket.cancel();
        session.stopServing = null;
      };
      attempt();
    });
  }

  #needsLost(vector: ReadonlyMap<number, number>): boolean {
    // What came back but is not committed yet can be served all the same.
    const { known } = this.#ingest;
    if (this.#store.lost.some((range) => (vector.get(range.client) ?? 0) < range.to && !known.has(range.client, range.from, range.to))) return true;
    return this.#store.lostUnknown && !this.#store.canHealUnknown(vector);
  }

  /** The client waits: it may itself have what is missing, or another may bring it. */
  #park(session: Session, vector: ReadonlyMap<number, number>): void {
    const isNew = session.parked === null;
    session.parked = vector;
    session.live = false;
    if (!isNew) return;
    const nowMs = this.#host.clock.nowMs();
    this.stats.parked += 1;
    this.#tellDegraded(session, CLOSE.damaged.reason);
    session.send(syncStep1Frame(encodeStateVector(this.#ingest.known.vector)), nowMs);
    this.#host.log.event("warn", "session.parked", { door: session.door });
    this.#host.timers.after(LIMITS.refusalHoldMs, () => {
      if (session.parked !== null && !session.closing) this.#end(session, CLOSE.damaged);
    });
  }

  /** After news: whoever waited for it is served. */
  #revisitParked(): void {
    for (const session of this.#sessions.values()) {
      const vector = session.parked;
      if (vector === null || session.closing || this.#needsLost(vector)) continue;
      this.#serveOrPark(session, vector);
    }
  }

  /** Says so once everything that was lost is durable again. */
  #noticeHealing(): void {
    if (!this.#damageOpen || this.#store.lost.length > 0 || this.#store.lostUnknown) return;
    this.#damageOpen = false;
    this.stats.healed += 1;
    this.stats.trace(this.#host.clock.nowMs(), "room.healed", "everything lost has been brought back");
    this.#host.log.event("warn", "room.healed", {});
  }

  /** Takes damaged rows out of use, keeps their bytes, and asks everybody for what was in them. Never throws. */
  #setAside(damaged: readonly DamagedRowError[]): void {
    const rowsBefore = this.#host.sql.rowsWritten;
    const nowMs = this.#host.clock.nowMs();
    const { log } = this.#host;
    for (const error of damaged) {
      this.stats.error(nowMs, "row.damaged", error.message);
      log.event("error", "row.damaged", { detail: error.message });
    }
    // What is under way is made of what is about to change. Before the new ingest, which must know the edits that were being staged.
    this.#abandonStaging?.();
    this.#keeper.abandon();
    try {
      this.#store.setAside(damaged, nowMs);
    } catch (error) {
      this.#health = { kind: "unreadable", reason: `damage that could not be set aside: ${error instanceof Error ? error.message : String(error)}`, sinceMs: nowMs };
      this.stats.error(nowMs, "room.unreadable", this.#health.reason);
      log.event("error", "room.unreadable", { reason: this.#health.reason });
      for (const session of this.#sessions.values()) this.#end(session, CLOSE.degraded);
      return;
    }
    this.stats.rowsWrittenBy.maintenance += this.#host.sql.rowsWritten - rowsBefore;
    this.#damageOpen = true;
    this.#receiptVector = null;
    this.#ingest = new Ingest(this.#store, this.#window, this.#schema);
    this.#askEverybody();
  }

  #askEverybody(): void {
    const nowMs = this.#host.clock.nowMs();
    const step1 = syncStep1Frame(encodeStateVector(this.#ingest.known.vector));
    for (const session of this.#sessions.values()) session.send(step1, nowMs);
  }

  #lacksNothing(has: (client: number) => number): boolean {
    for (const [client, end] of this.#ingest.known.vector) if (has(client) < end) return false;
    return true;
  }

  #takeUpdate(session: Session, update: Uint8Array, isAnswer: boolean): FrameOutcome {
    const nowMs = this.#host.clock.nowMs();
    if (session.mode === "ro" && this.#bringsNews(update)) {
      this.#refuseEdit(session, nowMs);
      return "readOnly";
    }
    const isUnproven = this.#health.kind === "unproven";
    if (this.unsaved.byteLength + update.byteLength > (isUnproven ? LIMITS.maxUnprovenBytes : LIMITS.maxUnsavedBytes)) {
      const close = isUnproven ? CLOSE.degraded : CLOSE.busy;
      this.#countRefusal(close.reason);
      this.#end(session, close);
      // It comes back with the same: by then the room should know whether it can write.
      this.#wantsProof = isUnproven;
      this.#scheduleCommit(nowMs);
      return "turnedAway";
    }
    // A big update is not copied once per reader: they are caught up from here, one after another (update laws, C11).
    const mayBeBig = update.byteLength + this.#ingest.heldBytes > LIMITS.bigSendBytes;
    const before = mayBeBig ? new Map(this.#ingest.known.vector) : null;
    const taken = this.#take(update, isAnswer);
    const isBig = before !== null && taken.pieces.reduce((sum, piece) => sum + piece.update.byteLength, 0) > LIMITS.bigSendBytes;
    if (isBig) this.#relays.flush();
    session.received += 1;
    this.stats.overlaps += taken.overlaps;
    for (const piece of taken.pieces) {
      this.#window.add(piece.update, piece.ranges, piece.deletes, nowMs);
      if (!isBig) this.#relays.pass(piece.wasHeld ? null : session, piece.update);
      else if (piece.wasHeld && session.live) session.send(updateFrame(piece.update), nowMs);
    }
    // All of it is in the window before anything is read that may turn out damaged.
    if (taken.released.length > 0) this.#window.release(taken.released);
    if (taken.held !== null) this.#window.hold(taken.held, nowMs);
    if (isBig) this.#catchUpOthers(session, before);
    if (taken.held !== null) {
      // Something is missing before it: the sender may have it (update laws, T13).
      session.send(syncStep1Frame(encodeStateVector(this.#ingest.known.vector)), nowMs);
    }
    // Who has had every relay has every deletion too; its answer brings them all.
    if (isAnswer && session.live && session.mode === "rw" && this.#store.lostUnknown && taken.bringsLostDeletes) this.#store.unknownHealed();
    if (this.#damageOpen) this.#revisitParked();
    if (this.#window.isEmpty) this.#noticeHealing();
    const isNews = taken.pieces.length > 0 || taken.held !== null;
    if (!isNews && this.#window.isEmpty && !this.#staging && this.#health.kind === "healthy" && !this.#store.wantsCommit) {
      session.durable = session.received;
      session.save();
      this.#sendReceipt(session, "covered");
      return "covered";
    }
    // Covered by something that is itself not durable yet, or by a room that has to prove itself first: the receipt waits with it. The count is saved with the commit; until then a timer keeps us awake.
    this.#window.wait(session);
    this.#scheduleCommit(nowMs);
    if (taken.held !== null && taken.pieces.length === 0) return "held";
    return isNews ? "relayed" : "covered";
  }

  /** @throws {UpdateRefusedError} */
  #bringsNews(update: Uint8Array): boolean {
    try {
      // As an answer, so that deletions are compared with what is stored, however few.
      return this.#ingest.bringsNews(update, true);
    } catch (error) {
      if (!(error instanceof DamagedRowError)) throw error;
      this.#setAside([error]);
      return this.#ingest.bringsNews(update, true);
    }
  }

  /** A read-only session sent an edit: it is not taken, the session hears so now and then, and goes on. The frame counts as dealt with. */
  #refuseEdit(session: Session, nowMs: number): void {
    session.received += 1;
    if (nowMs - session.readOnlyNoticeAtMs >= LIMITS.readOnlyNoticeMs) {
      session.readOnlyNoticeAtMs = nowMs;
      session.send(session.text ? readOnlyFrame() : permissionDeniedFrame(READ_ONLY_REASON), nowMs);
    }
    if (session.durable < session.received - 1) {
      // A frame before it repeated something that is not durable yet.
      this.#window.wait(session);
      this.#scheduleCommit(nowMs);
      return;
    }
    session.durable = session.received;
    session.save();
    if (this.#health.kind === "healthy") this.#sendReceipt(session, "covered");
  }

  /** @throws {UpdateRefusedError} */
  #take(update: Uint8Array, isAnswer: boolean): Ingested {
    try {
      return this.#ingest.take(update, isAnswer);
    } catch (error) {
      if (!(error instanceof DamagedRowError)) throw error;
      // Stored deletions could not be read: without them everything in the update counts as new.
      this.#setAside([error]);
      return this.#ingest.take(update, isAnswer);
    }
  }

  /** Serves every other live session what came since `before`. */
  #catchUpOthers(author: Session, before: ReadonlyMap<number, number>): void {
    for (const session of this.#sessions.values()) {
      if (session === author || !session.live || session.closing) continue;
      this.#serveOrPark(session, before);
      this.#relays.deliveries += 1;
    }
  }

  /** The first edit after quiet is committed in the next turn; while edits flow, once per window. */
  #scheduleCommit(nowMs: number): void {
    if (this.#keeper.busyWith === "checkpoint") return;
    let delayMs = Math.max(0, this.#lastCommitMs + LIMITS.commitWindowMs - nowMs);
    if (this.#window.byteLength >= LIMITS.commitWindowBytes) delayMs = 0;
    if (this.#health.kind === "unproven") delayMs = Math.max(delayMs, retryPauseMs(this.#health.attempts));
    const dueMs = nowMs + delayMs;
    if (this.#cancelCommit !== null) {
      if (dueMs >= this.#commitDueMs) return;
      this.#cancelCommit();
    }
    this.#commitDueMs = dueMs;
    this.#cancelCommit = this.#host.timers.after(delayMs, () => this.#commitDue());
  }

  #commitDue(hasFlushed = false): void {
    if (this.#relays.isWaiting && !hasFlushed) {
      // A relay sent in the turn of the commit would wait for the disk. Once: under load something always waits.
      this.#relays.flush();
      this.#cancelCommit = this.#host.timers.after(0, () => this.#commitDue(true));
      return;
    }
    this.#cancelCommit = null;
    this.commitNow();
  }

  /** Writes the open window. Runs in a turn of its own; never throws. */
  commitNow(): void {
    if (this.#isOver || this.#keeper.busyWith === "checkpoint") return;
    const { clock } = this.#host;
    const startedMs = clock.nowMs();
    this.#lastCommitMs = startedMs;
    const closed = this.#window.close();
    const { batch } = closed;
    const wantsProof = this.#wantsProof || closed.waiting.size > 0;
    this.#wantsProof = false;
    const isEmpty = batch.updates.length === 0 && batch.held.length === 0 && batch.released.length === 0 && !this.#store.wantsCommit;
    if (isEmpty && !(this.#health.kind === "unproven" && wantsProof)) {
      this.#settle(closed.waiting);
      return;
    }
    const rowsBefore = this.#host.sql.rowsWritten;
    this.#host.writeNote.begin("commit");
    this.stats.lastSaveStartedAtMs = startedMs;
    try {
      if (!this.#store.fits(batch)) {
        if (this.#keeper.busyWith !== null) {
          // Two steps may not be made of the same chunks. What is under way asks again when it is done.
          this.#host.writeNote.end("commit", false);
          this.#window.reopen(closed);
          return;
        }
        this.#stage(closed);
        return;
      }
      // Nothing to store, but somebody waits for a receipt: one row shows whether storage can be written again.
      if (isEmpty) this.#store.prove(startedMs);
      else this.#store.commit(batch, startedMs);
    } catch (error) {
      this.#commitFailed(closed, error);
      return;
    }
    this.#keepFacts(startedMs);
    this.stats.rowsWrittenBy.commit += this.#host.sql.rowsWritten - rowsBefore;
    this.#committed(closed, clock.nowMs() - startedMs);
    if (this.#store.wantsCheckpoint && !this.#keeper.isOpen) this.#host.timers.after(0, () => this.#checkpoint());
  }

  /** What else changed with the edits of this commit: in its turn, so that both are durable or neither. */
  #keepFacts(nowMs: number): void {
    try {
      this.#schema.committed(nowMs);
      this.#access.committed();
    } catch (error) {
      // The edits stand; what is missing is found out again.
      this.stats.error(nowMs, "facts.failed", String(error));
    }
  }

  #committed(closed: ClosedWindow, durationMs: number, checkpointDone = false): void {
    const nowMs = this.#host.clock.nowMs();
    this.#host.writeNote.end("commit", checkpointDone);
    this.#receiptVector = null;
    this.#ingest.windowClosed();
    this.#noticeHealing();
    this.stats.committed(nowMs, closed.batch.updates.reduce((sum, update) => sum + update.byteLength, 0), durationMs, nowMs - closed.openedAtMs);
    if (this.#health.kind === "unproven") {
      this.#health = { kind: "healthy" };
      this.#host.log.event("warn", "commit.proven", {});
      for (const session of this.#sessions.values()) {
        if (session.text) session.send(degradedFrame(null), nowMs);
        // Whoever does not wait for this commit is owed the receipts that were held back.
        if (!closed.waiting.has(session) && session.durable === session.received) this.#sendReceipt(session, "baseline");
      }
    }
    this.#settle(closed.waiting);
  }

  /** Everything up to the given frame of each session is durable now. */
  #settle(waiting: ReadonlyMap<Session, number>): void {
    for (const [session, frames] of waiting) {
      if (session.closing) continue;
      session.durable = Math.max(session.durable, frames);
      session.save();
      if (this.#health.kind === "healthy" && session.durable === session.received) this.#sendReceipt(session, "commit");
    }
  }

  #commitFailed(closed: ClosedWindow, error: unknown, isOversized = false): void {
    const nowMs = this.#host.clock.nowMs();
    this.#host.writeNote.end("commit", false);
    this.#window.reopen(closed);
    const attempts = this.#health.kind === "unproven" ? this.#health.attempts + 1 : 0;
    const reason = "a commit failed";
    this.#health = { kind: "unproven", reason, sinceMs: this.#health.kind === "unproven" ? this.#health.sinceMs : nowMs, attempts };
    this.stats.commitFailed(nowMs, error, isOversized);
    this.#host.log.event("error", "commit.failed", { attempts, error: String(error).slice(0, 200) });
    if (attempts === 0) for (const session of this.#sessions.values()) this.#tellDegraded(session, reason);
    this.#scheduleCommit(nowMs);
  }

  #tellDegraded(session: Session, reason: string): void {
    session.send(session.text ? degradedFrame(reason) : permissionDeniedFrame(reason), this.#host.clock.nowMs());
  }

  /** An oversized window goes into chunks, after the journal before it, over as many turns as it takes. */
  #stage(closed: ClosedWindow): void {
    const startedMs = this.#host.clock.nowMs();
    const rowsBefore = this.#host.sql.rowsWritten;
    const steps = this.#store.checkpoint(closed.batch, startedMs);
    const release = this.#keeper.claim();
    const end = (): void => {
      this.#staging = false;
      this.#staged = null;
      this.#abandonStaging = null;
      release();
    };
    let isAbandoned = false;
    this.#staging = true;
    this.#staged = closed;
    this.#abandonStaging = () => {
      isAbandoned = true;
      end();
      this.#host.writeNote.end("commit", false);
      this.#window.reopen(closed);
      this.#scheduleCommit(this.#host.clock.nowMs());
    };
    const step = (): void => {
      if (isAbandoned || this.#isOver) return;
      try {
        const turnMs = this.#host.clock.nowMs();
        const next = steps.next();
        this.stats.step(this.#host.clock.nowMs() - turnMs);
        if (next.done !== true) {
          this.#host.timers.after(0, step);
          return;
        }
        end();
        this.#keepFacts(this.#host.clock.nowMs());
        this.stats.rowsWrittenBy.checkpoint += this.#host.sql.rowsWritten - rowsBefore;
        this.stats.oversized += 1;
        this.#keeper.succeeded(next.value, "oversized_delta", this.#host.clock.nowMs() - startedMs);
        this.#planCompaction();
        this.#committed(closed, this.#host.clock.nowMs() - startedMs, true);
      } catch (error) {
        if (error instanceof DamagedRowError) this.#setAside([error]);
        else {
          end();
          this.#commitFailed(closed, error, true);
        }
      }
      this.#afterWork();
    };
    step();
  }

  /** Commits waited for the work on chunks. */
  #afterWork(): void {
    if (this.#window.isEmpty) this.commitNow();
    else this.#scheduleCommit(this.#host.clock.nowMs());
  }

  /** Goes on with `steps`, one in each turn, beginning with this one. */
  #takeTurns<Result>(steps: Generator<null, Result>, done: (result: Result) => void): void {
    const step = (): void => {
      if (this.#isOver) return;
      const next = steps.next();
      if (next.done === true) done(next.value);
      else this.#host.timers.after(0, step);
    };
    step();
  }

  #checkpoint(): void {
    if (this.#isOver || this.#keeper.busyWith !== null || !this.#store.wantsCheckpoint || this.#keeper.isOpen) return;
    const reason = this.#store.journal.length >= LIMITS.checkpointJournalRows ? "entry_count_exceeded" : "byte_size_exceeded";
    this.#takeTurns(this.#keeper.checkpoint(reason), () => {
      this.#planCompaction();
      this.#afterWork();
    });
  }

  /** Compaction is slower than an edit should wait for: the alarm does it. */
  #planCompaction(): void {
    if (this.#store.wantsCompaction) this.#host.alarm.ensure(this.#host.clock.nowMs() + LIMITS.compactionDelayMs);
  }

  /** The object's alarm: one step of compaction, and another alarm while there is more. */
  onAlarm(): void {
    if (this.#isOver || this.#health.kind !== "healthy") return;
    if (this.#keeper.busyWith !== null) {
      this.#planCompaction();
      return;
    }
    this.#takeTurns(this.#keeper.compactOnce(), (report) => {
      if (report?.kind === "done") this.#planCompaction();
      this.#afterWork();
      // Commits went on meanwhile.
      this.#checkpoint();
    });
  }

  /** An admin asks: a checkpoint of everything, then one pass of compaction, with pauses. Closes the circuit breaker. @throws {Error} with what failed. */
  *compact(): Generator<null, { checkpoint: StepReport; compaction: StepReport }> {
    if (this.#health.kind === "unreadable") throw new Error(`Cannot compact: ${this.#health.reason}`);
    if (this.#isOver || this.#erasedAtMs !== null) throw new Error("Cannot compact: the vault was erased");
    while (this.#keeper.busyWith !== null) yield null;
    this.commitNow();
    try {
      return yield* this.#keeper.asked();
    } finally {
      this.#afterWork();
    }
  }

  #sendReceipt(session: Session, why: "baseline" | "commit" | "covered"): void {
    if (!session.text) return;
    this.#receiptVector ??= encodeStateVector(this.#store.clocks.vector);
    const frame = receiptFrame({ stateVector: this.#receiptVector, epoch: session.epoch, durableFrames: session.durable });
    if (frame === null) {
      this.stats.receipts.failureOversize += 1;
      this.stats.receipts.failed += 1;
      return;
    }
    if (!session.send(frame, this.#host.clock.nowMs())) {
      this.stats.receipts.failureNotOpen += 1;
      this.stats.receipts.failed += 1;
      return;
    }
    this.stats.receiptSent(why === "baseline", frame.length);
  }

  /** A socket failed: above all a frame over the platform's own limit. */
  socketFailed(peer: Peer, detail: string): void {
    this.stats.socketErrors += 1;
    this.stats.trace(this.#host.clock.nowMs(), "socket.failed", detail.slice(0, 200));
    this.#host.log.event("warn", "socket.failed", { detail: detail.slice(0, 200) });
    this.disconnect(peer);
  }

  /** A socket closed, or is closing. */
  disconnect(peer: Peer): void {
    if (this.#gone.has(peer)) return;
    this.#gone.add(peer);
    let session = this.#sessions.get(peer) ?? null;
    if (session === null) {
      // A socket whose close woke the room is not among the open ones any more; its attachment still says whose presence it was.
      session = Session.restore(peer);
      if (session === null) return;
      this.#presence.restore(session);
    }
    session.closing = true;
    session.stopServing?.();
    this.#sessions.delete(peer);
    this.#presence.leave(session, this.#host.clock.nowMs());
    this.#host.log.event("info", "session.closed", { door: session.door, sessions: this.#sessions.size });
  }
}
