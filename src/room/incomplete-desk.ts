/**
 * A vault that was taken over from an older server with a part missing: what is there is served to everybody, and an edit is taken only when it brings
 * what is missing. Edits over a hole would be mixed with what comes back, and those who make them should know first.
 */
import { INCOMPLETE_REASON } from "../protocol/custom.ts";
import type { ClientRange } from "../update/news.ts";
import type { DamageDesk } from "./damage-desk.ts";
import { tellDegraded } from "./notices.ts";
import type { RoomState } from "./room-state.ts";
import type { Session } from "./session.ts";
import type { MissingPart } from "./takeover-view.ts";

export class IncompleteDesk {
  readonly #state: RoomState;
  readonly #damage: DamageDesk;
  readonly #finish: () => void;
  readonly #missingOf: ReadonlyMap<number, readonly ClientRange[]>;

  /** @param finish ends all sessions and this instance, so that the room is opened anew */
  constructor(state: RoomState, damage: DamageDesk, finish: () => void) {
    this.#state = state;
    this.#damage = damage;
    this.#finish = finish;
    this.#missingOf = Map.groupBy(state.host.takeover.missing?.ranges ?? [], (range) => range.client);
  }

  /** Null when nothing is missing, and where what is stored cannot be read at all. */
  get #missing(): MissingPart | null {
    const { host, health, isOver } = this.#state;
    return isOver || health.kind === "unreadable" || health.kind === "fallback" ? null : host.takeover.missing;
  }

  /** Tells a session that the vault is incomplete, if it is. Returns whether. */
  tell(session: Session, nowMs: number): boolean {
    const missing = this.#missing;
    if (missing === null) return false;
    tellDegraded(session, `${INCOMPLETE_REASON}: ${missing.reason}`, nowMs);
    return true;
  }

  /** A session said what it has. What it has before it is served shows whether it may have what nobody can name. */
  asked(session: Session, vector: ReadonlyMap<number, number>): void {
    if (session.hadAll !== null || this.#missing === null) return;
    // Answered before this instance: that was not the first time it asked.
    session.hadAll = !session.live && vector.size > 0 && this.#coversAll(vector);
  }

  /**
   * Whether an update is not to be taken: it has news, and none of what is missing here or was lost here.
   * @param isAnswer a step 2
   * @throws {UpdateRefusedError}
   */
  refuses(session: Session, update: Uint8Array, isAnswer: boolean): boolean {
    const missing = this.#missing;
    if (missing === null) return false;
    // As an answer, so that deletions are compared with what is stored, however few.
    const news = this.#damage.reading(() => this.#state.ingest.newsOf(update, true));
    if (!news.isNews || news.ranges.some((range) => this.#isWanted(range))) return false;
    const mayHaveUnnamed = isAnswer && session.hadAll === true;
    return !(mayHaveUnnamed && (missing.isUnnamed || missing.isUnsure === true || this.#state.store.lostUnknown));
  }

  /** After a commit: when all that is missing has a name and is durable, everybody is sent away and the room begins anew with what waited for it. */
  noticeFilled(): void {
    const missing = this.#missing;
    const { host, store, stats } = this.#state;
    if (missing === null || missing.isUnnamed || !missing.ranges.every((range) => store.clocks.has(range.client, range.from, range.to))) return;
    stats.trace(host.clock.nowMs(), "vault.filled", "what was missing of the older server's vault was brought back");
    host.log.event("warn", "vault.filled", { ranges: missing.ranges.length });
    this.#finish();
    host.takeover.filled();
  }

  #isWanted(news: ClientRange): boolean {
    const { ingest, store } = this.#state;
    const isBrought = (wanted: ClientRange): boolean => {
      const from = Math.max(news.from, wanted.from);
      const to = Math.min(news.to, wanted.to);
      return from < to && !ingest.known.has(news.client, from, to);
    };
    if (this.#missingOf.get(news.client)?.some(isBrought) === true) return true;
    return this.#damage.isOpen && store.lost.some((lost) => lost.client === news.client && isBrought(lost));
  }

  #coversAll(vector: ReadonlyMap<number, number>): boolean {
    for (const [client, end] of this.#state.ingest.known.reach()) if ((vector.get(client) ?? 0) < end) return false;
    return true;
  }
}
