/**
 * From a client's update to what is news: cut to what the room lacks, tested for cover, with what lies behind a gap kept apart.
 * Nothing here writes or sends. O(update), except that unknown deletions may read that client's stored ranges.
 */
import { LIMITS } from "../limits.ts";
import { type DeleteSet, DeleteSetBuilder, clientHash, clockCount, subtract } from "../update/delete-set.ts";
import { type ClientRange, type News, splitNews, withDeletes } from "../update/news.ts";
import { PendingFullError } from "../protocol/refused.ts";
import { UpdateRefusedError } from "../update/refused.ts";
import { ClockIndex } from "../storage/clock-index.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import type { CommitWindow } from "./commit-window.ts";
import type { Knows, SchemaWatch } from "./schema-watch.ts";

/** One piece of news, ready to relay and to store as it is. */
export interface Piece {
  readonly update: Uint8Array;
  readonly ranges: readonly ClientRange[];
  readonly deletes: DeleteSet;
  /** It waited behind a gap: whoever sent it, everybody live lacks it, the sender of the update that closed the gap included. */
  readonly wasHeld: boolean;
}

/** What an update brought. `pieces` is empty and `held` null when everything was covered. */
export interface Ingested {
  /** In order: the update's own news, then held structs whose gap it closed. */
  readonly pieces: readonly Piece[];
  /** Structs behind a gap, to be stored and asked for. */
  readonly held: Uint8Array | null;
  /** Rows of held structs that `pieces` now contain. */
  readonly released: readonly number[];
  /** Structs that overlapped what the room had (update laws, T2). */
  readonly overlaps: number;
  /** An answer of a client that has what was lost of the stored deletions, if anything was. */
  readonly bringsLostDeletes: boolean;
}

/** Up to this many delete ranges, a live edit's deletions are written without reading what is stored: it is hardly ever repeated. */
const SMALL_DELETE_RANGES = 16;

export class Ingest {
  readonly #store: VaultStore;
  readonly #window: CommitWindow;
  /** Durable and waiting clocks together. */
  readonly #known: ClockIndex;
  /** Clocks of held structs, all of them islands or repeats. */
  readonly #heldClocks = new ClockIndex();
  /** Held updates that are not placed yet, by their bytes, with the clocks they wait with. */
  readonly #waiting = new Map<Uint8Array, readonly ClientRange[]>();
  #heldBytes = 0;
  /** Held structs of the open window: they have no row yet. */
  #unstored: Uint8Array[] = [];
  readonly #schema: { readonly watch: SchemaWatch | null } | null;
  readonly #knows: Knows = (client, clock) => this.#known.has(client, clock, clock + 1);

  /** @param schema sees every struct that is news, once */
  constructor(store: VaultStore, window: CommitWindow, schema: { readonly watch: SchemaWatch | null } | null = null) {
    this.#store = store;
    this.#window = window;
    this.#schema = schema;
    this.#known = store.clocks.clone();
    for (const range of window.ranges) this.#known.add(range.client, range.from, range.to);
    for (const held of store.held) this.#rememberHeld(held.update);
    for (const update of window.held) {
      this.#rememberHeld(update);
      this.#unstored.push(update);
    }
  }

  /** What the room knows, durable or not. */
  get known(): ClockIndex {
    return this.#known;
  }

  /** Bytes of structs behind gaps, stored or not. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * Reads one update and takes its news into `known`. The caller relays and stores what comes back.
   * @param isAnswer a step 2, which repeats everything the client has deleted; else a live edit.
   * @throws {UpdateRefusedError} when the update is not one a stock document would take.
   * @throws {PendingFullError} when too much would be held behind gaps; what is held stays, and nothing of this update is taken.
   * @throws {DamagedRowError} when stored deletions must be read and cannot be.
   */
  take(update: Uint8Array, isAnswer: boolean): Ingested {
    const watch = this.#schema?.watch ?? null;
    const news = this.#split(update, watch);
    const held = this.#newHeld(news);
    if (held !== null && (this.#heldBytes + held.byteLength > LIMITS.maxPendingBytes || this.#waiting.size >= LIMITS.maxPendingUpdates)) {
      throw new PendingFullError(this.#heldBytes, held.byteLength);
    }
    const bringsLostDeletes = isAnswer && this.#store.bringsLostDeletes(news.deletes);
    const deletes = this.#newDeletes(news.deletes, isAnswer);
    this.#checkUnknownDeletes(deletes, news);
    this.#checkClients(news);
    const pieces: Piece[] = [];
    if (news.ready.length > 0 || !deletes.isEmpty) {
      const whole = news.wholeIsReady && deletes === news.deletes;
      pieces.push({ update: whole ? update : withDeletes(news.readyUpdate, deletes), ranges: news.ready, deletes, wasHeld: false });
      for (const range of news.ready) this.#known.add(range.client, range.from, range.to);
      watch?.take(this.#knows);
      watch?.deleted(deletes);
    }
    const released = news.ready.length > 0 ? this.#releaseHeld(pieces, watch) : [];
    if (held !== null) {
      this.#rememberHeld(held);
      this.#unstored.push(held);
    }
    if (!isAnswer) this.#store.noteFreshDeletes(deletes);
    return { pieces, held, released, overlaps: news.overlaps, bringsLostDeletes };
  }

  /** Whether `take` would bring anything. Takes nothing. @throws {UpdateRefusedError}, {DamagedRowError} as `take` */
  bringsNews(update: Uint8Array, isAnswer: boolean): boolean {
    return this.newsOf(update, isAnswer).isNews;
  }

  /**
   * What `take` would bring. Takes nothing.
   * @returns `ranges`: clocks of structs, those behind a gap included; `isNews`: there are such, or deletions
   * @throws {UpdateRefusedError}, {DamagedRowError} as `take`
   */
  newsOf(update: Uint8Array, isAnswer: boolean): { isNews: boolean; ranges: readonly ClientRange[] } {
    const news = splitNews(update, this.#known.end);
    const ranges = this.#newHeld(news) === null ? news.ready : [...news.ready, ...news.held];
    return { isNews: ranges.length > 0 || !this.#newDeletes(news.deletes, isAnswer).isEmpty, ranges };
  }

  #split(update: Uint8Array, watch: SchemaWatch | null): News {
    if (watch === null) return splitNews(update, this.#known.end);
    watch.begin(this.#knows);
    return splitNews(update, this.#known.end, (view, bytes, from) => watch.look(view, bytes, from));
  }

  /** The structs behind a gap, unless all of them are held already. */
  #newHeld(news: News): Uint8Array | null {
    return news.held.every((range) => this.#heldClocks.has(range.client, range.from, range.to)) ? null : news.heldUpdate;
  }

  /** A window was written: its held structs are rows now. Those that came since are in the open window. */
  windowClosed(): void {
    this.#unstored = [...this.#window.held];
  }

  /** Deletions of clocks that nobody has yet are kept, as documents keep them, but not without end (update laws, T13). @throws {UpdateRefusedError} */
  #checkUnknownDeletes(deletes: DeleteSet, news: News): void {
    // An import brings the structs with their deletions.
    const ends = new Map<number, number>();
    for (const range of [...news.ready, ...news.held]) ends.set(range.client, Math.max(ends.get(range.client) ?? 0, range.to));
    let unknown = 0;
    for (const client of deletes.clients()) {
      const ranges = deletes.ranges(client)!;
      const end = Math.max(this.#known.end(client), ends.get(client) ?? 0);
      for (let at = ranges.length - 2; at >= 0 && ranges[at]! > end; at -= 2) unknown += 1;
    }
    if (unknown > LIMITS.maxUnknownDeleteRanges) throw new UpdateRefusedError("too-many-ranges", 0);
  }

  /** A room with more clients than a message may name could not be asked for any more. @throws {UpdateRefusedError} */
  #checkClients(news: News): void {
    const { vector } = this.#known;
    if (vector.size + news.ready.length <= LIMITS.maxClientsPerMessage) return;
    const added = news.ready.filter((range) => !vector.has(range.client)).length;
    if (vector.size + added > LIMITS.maxClientsPerMessage) throw new UpdateRefusedError("too-many-clients", 0);
  }

  /** Which of these deletions the room does not have yet; `deletes` itself when that is all of them. */
  #newDeletes(deletes: DeleteSet, isAnswer: boolean): DeleteSet {
    if (deletes.isEmpty) return deletes;
    const unsure: number[] = [];
    for (const client of deletes.clients()) {
      if (this.#window.deletes.ranges(client) === undefined && this.#store.deleteHash(client) === clientHash(deletes.ranges(client)!)) continue;
      unsure.push(client);
    }
    const rest = unsure.length === deletes.clientCount ? deletes : only(deletes, unsure);
    if (rest.isEmpty) return rest;
    const recent = subtract(subtract(rest, this.#store.journalDeletes), this.#window.deletes);
    if (recent.isEmpty) return recent;
    if (!isAnswer && recent.rangeCount <= SMALL_DELETE_RANGES) return sameSize(recent, deletes) ? deletes : recent;
    const fresh = subtract(recent, this.#store.readDeletes(recent.clients()));
    return sameSize(fresh, deletes) ? deletes : fresh;
  }

  /** Places held structs whose gap has closed, in order of arrival, again and again while one lets the next in. */
  #releaseHeld(pieces: Piece[], watch: SchemaWatch | null): number[] {
    const rows: number[] = [];
    for (let progress = true; progress; ) {
      progress = false;
      const waiting: { row: number | null; update: Uint8Array }[] = [
        ...this.#store.held.filter((held) => !rows.includes(held.row)),
        ...this.#unstored.map((update) => ({ row: null, update })),
      ];
      for (const held of waiting) {
        let ranges = this.#waiting.get(held.update);
        if (ranges === undefined && held.row !== null) {
          // Stored, and unknown here: it is read again rather than thought placed.
          this.#rememberHeld(held.update);
          ranges = this.#waiting.get(held.update);
        }
        // All behind their gaps still: not worth reading again, it may be megabytes.
        if (ranges?.every((range) => range.from > this.#known.end(range.client)) === true) continue;
        if (ranges !== undefined) {
          const news = this.#split(held.update, watch);
          if (news.ready.length > 0) {
            pieces.push({ update: withDeletes(news.readyUpdate, news.deletes), ranges: news.ready, deletes: news.deletes, wasHeld: true });
            for (const range of news.ready) this.#known.add(range.client, range.from, range.to);
            watch?.take(this.#knows);
            progress = true;
          }
          // Placed in part: what still waits stays in its row, and the placed part is known from now on.
          if (news.held.length > 0) {
            this.#waiting.set(held.update, news.held);
            continue;
          }
          this.#waiting.delete(held.update);
          this.#heldBytes -= held.update.byteLength;
        }
        if (held.row !== null) rows.push(held.row);
        else {
          this.#unstored = this.#unstored.filter((update) => update !== held.update);
          this.#window.dropHeld(held.update);
        }
      }
    }
    return rows;
  }

  #rememberHeld(update: Uint8Array): void {
    this.#heldBytes += update.byteLength;
    const { ready, held } = splitNews(update, () => 0);
    const ranges = [...held, ...ready];
    this.#waiting.set(update, ranges);
    for (const range of ranges) this.#heldClocks.add(range.client, range.from, range.to);
  }
}

function only(set: DeleteSet, clients: readonly number[]): DeleteSet {
  const builder = new DeleteSetBuilder();
  for (const client of clients) {
    const ranges = set.ranges(client)!;
    for (let at = 0; at < ranges.length; at += 2) builder.add(client, ranges[at]!, ranges[at + 1]! - ranges[at]!);
  }
  return builder.build();
}

/** Whether a subset is the whole, without comparing every range: equal clocks covered means equal sets. */
function sameSize(subset: DeleteSet, whole: DeleteSet): boolean {
  return clocksOf(subset) === clocksOf(whole);
}

function clocksOf(set: DeleteSet): number {
  let count = 0;
  for (const client of set.clients()) count += clockCount(set.ranges(client)!);
  return count;
}
