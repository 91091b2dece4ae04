/**
 * One room: sockets in front, the vault store behind. Here it is opened, frames are handed to whoever deals with them, and it ends with an erasure;
 * each part has a file of its own.
 *
 * What happens to an edit, in order: limits and strict reading, cover test, relay (`edit-desk.ts`), end of the turn, commit (`commit-desk.ts`), receipt
 * (`receipt-desk.ts`). The commit never runs in the turn of the relay, because the platform holds back everything sent in a turn that writes until the
 * disk has it (update laws, C1). A crash before the commit loses what nobody was promised; the clients that have it send it again when they reconnect.
 */
import type { Peer } from "../ports.ts";
import { CLOSE, type CloseCode } from "../protocol/close-codes.ts";
import { type InboundFrame, parseFrame } from "../protocol/frames.ts";
import { DamagedRowError } from "../storage/damage.ts";
import { SchemaDamagedError, SchemaTooNewError } from "../storage/schema.ts";
import { eraseEverything, liftTombstone, readTombstone } from "../storage/tombstone.ts";
import type { StepReport, VaultStore } from "../storage/vault-store.ts";
import { AccessBook } from "./access-book.ts";
import { CheckpointKeeper } from "./checkpoint-keeper.ts";
import { ChunkWork } from "./chunk-work.ts";
import { CommitDesk } from "./commit-desk.ts";
import type { CommitWindow } from "./commit-window.ts";
import { type FrameOutcome, OUTCOME_COUNTER, newCounters } from "./counters.ts";
import { DamageDesk } from "./damage-desk.ts";
import { EditDesk } from "./edit-desk.ts";
import { Entrance } from "./entrance.ts";
import { ErrorKeeper } from "./error-keeper.ts";
import { fallbackNotice, openFallback } from "./fallback.ts";
import type { Health } from "./health.ts";
import { IncompleteDesk } from "./incomplete-desk.ts";
import type { Ingest } from "./ingest.ts";
import { tellDegraded } from "./notices.ts";
import type { PresenceDesk } from "./presence-desk.ts";
import { ReceiptDesk } from "./receipt-desk.ts";
import { RelayDesk } from "./relay-desk.ts";
import type { ConnectOptions, RoomHost } from "./room-host.ts";
import { RoomState } from "./room-state.ts";
import type { SchemaVersion } from "./schema-version.ts";
import type { SendBudget } from "./send-budget.ts";
import { ServingDesk } from "./serving-desk.ts";
import { SessionBook } from "./session-book.ts";
import { SessionRate } from "./session-rate.ts";
import type { Session } from "./session.ts";
import type { Stats } from "./stats.ts";

export class Room {
  readonly #state: RoomState;
  readonly #sessions: SessionBook;
  readonly #access: AccessBook;
  readonly #entrance: Entrance;
  readonly #damage: DamageDesk;
  readonly #serving: ServingDesk;
  readonly #commits: CommitDesk;
  readonly #edits: EditDesk;
  readonly #chunkWork: ChunkWork;
  readonly relays: RelayDesk;
  readonly keeper: CheckpointKeeper;
  readonly counters = newCounters();

  /** Reads what is stored and takes up the sockets that are open. Writes nothing, unless something turns out damaged. */
  constructor(host: RoomHost) {
    const state = new RoomState(host);
    const sessions = new SessionBook(state);
    const relays = new RelayDesk(host, () => sessions.all);
    const receipts = new ReceiptDesk(state);
    const access = new AccessBook(host.sql, state.store);
    const errors = new ErrorKeeper(state);
    const isStaging = (): boolean => this.#commits.isStaging;
    const damage = new DamageDesk(state, sessions, receipts, () => {
      this.#commits.abandonStaging();
      this.keeper.abandon();
    });
    this.#state = state;
    this.#sessions = sessions;
    this.#access = access;
    this.#damage = damage;
    this.relays = relays;
    this.keeper = new CheckpointKeeper(state.store, host, state.stats, (error) => damage.setAside([error]));
    const incomplete = new IncompleteDesk(state, damage, () => this.#finish(CLOSE.reopening));
    this.#commits = new CommitDesk(state, { sessions, relays, receipts, damage, incomplete, access, keeper: this.keeper, checkpoint: () => this.#chunkWork.checkpoint() });
    this.#chunkWork = new ChunkWork(state, this.keeper, this.#commits);
    this.#serving = new ServingDesk(state, sessions, relays, damage, incomplete, isStaging);
    this.#edits = new EditDesk(state, { sessions, relays, receipts, damage, incomplete, serving: this.#serving, commits: this.#commits });
    this.#entrance = new Entrance(state, sessions, access, receipts, incomplete, isStaging);
    state.stats.onError = (atMs, event, detail) => errors.keep(atMs, event, detail);
    this.#open();
    this.#takeUpSockets();
  }

  get store(): VaultStore {
    return this.#state.store;
  }

  get window(): CommitWindow {
    return this.#state.window;
  }

  get ingest(): Ingest {
    return this.#state.ingest;
  }

  get schema(): SchemaVersion {
    return this.#state.schema;
  }

  get stats(): Stats {
    return this.#state.stats;
  }

  get health(): Health {
    return this.#state.health;
  }

  /** When the vault was erased, epoch milliseconds; null while it stands. */
  get erasedAtMs(): number | null {
    return this.#state.erasedAtMs;
  }

  get presence(): PresenceDesk {
    return this.#sessions.presence;
  }

  get sessions(): Iterable<Session> {
    return this.#sessions.all;
  }

  get sendBudget(): SendBudget {
    return this.#state.host.sendBudget;
  }

  get isRegistered(): boolean {
    return this.#access.isRegistered;
  }

  /** A large delta is on its way into chunks. */
  get isStaging(): boolean {
    return this.#commits.isStaging;
  }

  /** What was relayed and is not on disk: the open window and a large delta being staged. */
  get unsaved(): { byteLength: number; updates: number; sinceMs: number | null } {
    return this.#commits.unsaved;
  }

  #open(): void {
    const { host, store, stats } = this.#state;
    const { clock, log } = host;
    const startedMs = clock.nowMs();
    const { refusal } = host.takeover;
    try {
      const { gaps, damaged } = store.open();
      this.#state.erasedAtMs = store.isFresh ? readTombstone(host.sql) : null;
      if (refusal !== null) {
        // As it is, damage included: whoever mends what is refused here finds it untouched.
        this.#state.becomeUnreadable(refusal, refusal, startedMs);
        return;
      }
      this.#state.knowAnew();
      for (const seq of gaps) stats.error(startedMs, "journal.gap", `row ${seq} is missing`);
      if (gaps.length > 0) log.event("error", "journal.gap", { rows: gaps.length });
      if (gaps.length > 0 || damaged.length > 0) this.#damage.setAside(damaged);
      this.#damage.opened();
    } catch (error) {
      const reason = error instanceof DamagedRowError || error instanceof SchemaTooNewError || error instanceof SchemaDamagedError ? error.message : "storage cannot be read";
      const whyNot = refusal ?? (error instanceof SchemaTooNewError ? reason : openFallback(this.#state, this.#access, reason, startedMs));
      if (whyNot !== null) this.#state.becomeUnreadable(whyNot, String(error), startedMs);
      stats.openedInMs = clock.nowMs() - startedMs;
      return;
    }
    const { died } = host.writeNote;
    if (this.#state.health.kind === "healthy" && died !== null) {
      this.#state.health = { kind: "unproven", reason: `the last ${died} failed`, sinceMs: startedMs, attempts: 0 };
      stats.error(startedMs, `${died}.died`, `the instance before this one ended in a ${died}`);
      log.event("error", `${died}.died`, {});
    }
    stats.openedInMs = clock.nowMs() - startedMs;
  }

  #takeUpSockets(): void {
    const { health } = this.#state;
    const nowMs = this.#state.host.clock.nowMs();
    const isUnreadable = health.kind === "unreadable";
    const isFallback = health.kind === "fallback";
    for (const peer of this.#state.host.peers()) {
      const session = this.#sessions.restore(peer);
      if (session === null) continue;
      // Taking an edit now would write over what cannot be read.
      if (this.#state.erasedAtMs !== null) this.#sessions.end(session, CLOSE.vaultErased);
      else if (isUnreadable) {
        tellDegraded(session, health.reason, nowMs);
        this.#sessions.end(session, CLOSE.degraded);
      } else if (isFallback) {
        session.isUnkept = true;
        session.save();
        tellDegraded(session, fallbackNotice(health.reason), nowMs);
      } else if (session.isUnkept) {
        // What it sent to an instance that kept nothing is gone, and its counts would call that durable: it comes anew, with all it has.
        this.#sessions.end(session, CLOSE.reopening);
      }
    }
    // What was found damaged just now, one of those who slept along may have.
    if (this.#damage.isOpen && !isUnreadable) this.#damage.askEverybody();
    // What the fallback lacks, they may have, above all what was stored in tables that cannot be read.
    if (isFallback) this.#damage.askEverybody();
  }

  /** A socket was accepted: greets it, or says why not. */
  connect(peer: Peer, options: ConnectOptions): void {
    this.#entrance.connect(peer, options);
  }

  /** A frame arrived. Never throws: a bad frame costs its sender the session and nobody else anything. */
  receive(peer: Peer, data: Uint8Array | string): void {
    const session = this.#sessions.of(peer);
    this.counters.framesReceived += 1;
    let outcome: FrameOutcome = "ignored";
    try {
      if (session !== undefined && !session.closing) {
        if (!this.#isPaced(session, typeof data === "string" ? data.length : data.byteLength)) outcome = "refused";
        else if (typeof data !== "string") outcome = this.#handle(session, parseFrame(data));
      }
    } catch (error) {
      outcome = "refused";
      this.#sessions.endFor(session!, error);
    }
    this.counters[OUTCOME_COUNTER[outcome]] += 1;
  }

  /** Ends a session that sends too fast. Nothing of the frame is looked at. */
  #isPaced(session: Session, byteLength: number): boolean {
    const nowMs = this.#state.host.clock.nowMs();
    session.rate ??= new SessionRate(nowMs);
    if (session.rate.takes(byteLength, nowMs)) return true;
    this.#sessions.reject(session, CLOSE.tooFast, "");
    return false;
  }

  #handle(session: Session, frame: InboundFrame): FrameOutcome {
    switch (frame.kind) {
      case "sync-step-1":
        this.#serving.answer(session, frame.stateVector);
        return "served";
      case "sync-update":
        return this.#edits.take(session, frame.update, frame.inner === 1);
      case "awareness": {
        const isAnswer = this.#sessions.presence.take(session, frame.payload, this.#state.host.clock.nowMs());
        if (isAnswer) session.onCredit?.();
        return "awareness";
      }
      case "auth":
      case "query-awareness":
      case "unknown":
        return "ignored";
    }
  }

  /** A socket failed: above all a frame over the platform's own limit. */
  socketFailed(peer: Peer, detail: string): void {
    this.#sessions.socketFailed(peer, detail);
  }

  /** A socket closed, or is closing. */
  disconnect(peer: Peer): void {
    this.#sessions.disconnect(peer);
  }

  /** Writes the open window. Runs in a turn of its own; never throws. */
  commitNow(): void {
    this.#commits.commitNow();
  }

  /** The object's alarm: one step of compaction, and another alarm while there is more. */
  onAlarm(): void {
    this.#chunkWork.onAlarm();
  }

  /** An admin asks: a checkpoint of everything, then one pass of compaction, with pauses. Closes the circuit breaker. @throws {Error} with what failed. */
  compact(): Generator<null, { checkpoint: StepReport; compaction: StepReport }> {
    return this.#chunkWork.compact();
  }

  /** Ends every session of a credential that was admitted below epoch `below`, and refuses such from now on. Returns how many it ended. @throws what the engine throws */
  revoke(by: string, below: number): number {
    return this.#entrance.revoke(by, below);
  }

  /**
   * Removes everything stored of the vault and leaves a tombstone; ends all sessions. This instance is over: the host makes a new one for whatever comes next.
   * Returns when the vault was erased, epoch milliseconds. @throws what the engine throws; then nothing was removed
   */
  erase(): number {
    const { host } = this.#state;
    const erasedAtMs = eraseEverything(host.sql, host.keys, host.clock.nowMs());
    this.#finish(CLOSE.vaultErased);
    host.log.event("warn", "vault.erased", {});
    return erasedAtMs;
  }

  /** What the room stands on is about to change: everybody is sent away, to come back to an instance made anew. This instance is over, as after `erase`. */
  reopen(): void {
    const { health, host } = this.#state;
    // What fits the journal is kept and receipted; what is on its way into chunks its authors still have.
    if (health.kind === "healthy" || health.kind === "unproven") this.#commits.commitNow();
    if (this.#state.isOver) return;
    this.#finish(CLOSE.reopening);
    host.log.event("warn", "room.reopened", {});
  }

  /** This instance does nothing any more, and everybody is sent away. */
  #finish(close: CloseCode): void {
    this.#state.isOver = true;
    this.#commits.stop();
    this.keeper.stop();
    for (const session of [...this.#sessions.all]) this.#sessions.end(session, close);
  }

  /** Lets an erased vault begin anew, empty. Returns whether it was erased. This instance is over, as after `erase`. */
  unerase(): boolean {
    const { host } = this.#state;
    const isLifted = liftTombstone(host.sql);
    if (isLifted) {
      this.#state.isOver = true;
      host.log.event("warn", "vault.unerased", {});
    }
    return isLifted;
  }
}
