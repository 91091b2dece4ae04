import { planFrame } from "../../src/update/assemble.ts";
import type { Chunk, ChunkRun, Source } from "../../src/update/chunk.ts";
import { collectCutPoints, type CutPoints, mergeCutPoints } from "../../src/update/cut-points.ts";
import { covers, DeleteSet, encodeDeleteSet, union } from "../../src/update/delete-set.ts";
import { type ClientRange, splitNews } from "../../src/update/news.ts";
import { rewrite } from "../../src/update/rewrite.ts";
import { decodeStateVector, encodeStateVector } from "../../src/update/state-vector.ts";
import type { HistoryRoom } from "./histories.ts";

/** What one update did to the room. */
export interface Received {
  /** False when everything in it was there: nothing would be written. */
  readonly isNews: boolean;
  /** It left structs behind a gap. */
  readonly held: boolean;
  /** Structs that covered known clocks in part (update laws, T2). */
  readonly overlaps: number;
}

/**
 * A room of the codec and nothing else: no storage, no sockets, no commit windows. It holds what the real room stores, in
 * the form it stores it (journal of cut updates, held updates, chunks, one delete set), so what a document loads from here
 * is what the codec makes of it.
 */
export class ModelRoom implements HistoryRoom {
  readonly known = new Map<number, number>();
  deletes: DeleteSet = DeleteSet.empty;
  journal: Uint8Array[] = [];
  /** Updates behind a gap, in order of arrival, each valid on its own. */
  held: Uint8Array[] = [];
  chunks: Chunk[] = [];
  /** Cut each struct list at the clocks other chunks refer to (update laws, A2); off shows that it changes no meaning. */
  useCuts = true;
  #heldRanges: ClientRange[] = [];

  receive(update: Uint8Array): Received {
    const news = splitNews(update, (client) => this.known.get(client) ?? 0);
    const newHeld = news.held.filter((range) => !this.#isHeld(range));
    const newDeletes = !covers(this.deletes, news.deletes);
    if (newDeletes) this.deletes = union(this.deletes, news.deletes);
    if (newHeld.length > 0 && news.heldUpdate !== null) {
      this.held.push(news.heldUpdate);
      this.#heldRanges.push(...news.held);
    }
    if (news.ready.length > 0) {
      const ready = news.wholeIsReady ? update : news.readyUpdate;
      if (ready === null) throw new Error("model room: news says ready and gives no update");
      this.#append(ready, news.ready);
      this.#placeHeld();
    }
    return { isNews: news.ready.length > 0 || newHeld.length > 0 || newDeletes, held: news.held.length > 0, overlaps: news.overlaps };
  }

  vector(): Uint8Array {
    return encodeStateVector(this.known);
  }

  /** One update for a client with that vector: what it lacks, the whole delete set at its end. */
  serve(vector: Uint8Array): Uint8Array {
    const known = decodeStateVector(vector);
    const parts = [...this.chunks, ...this.#journalChunks()].map((chunk, id) => ({ id, runs: chunk.runs, bytes: chunk.bytes }));
    const plan = planFrame(parts, (client) => known.get(client) ?? 0);
    const reads = new Map<number, number>();
    const deletes = encodeDeleteSet(this.deletes);
    const frame = plan.create(deletes, (id) => {
      reads.set(id, (reads.get(id) ?? 0) + 1);
      return (parts[id] as { bytes: Uint8Array }).bytes;
    });
    for (const [id, count] of reads) if (count !== 1) throw new Error(`model room: chunk ${id} was read ${count} times`);
    const planned = plan.byteLength + deletes.byteLength;
    if (frame.byteLength > planned) throw new Error(`model room: frame of ${frame.byteLength} bytes, planned ${planned}`);
    return frame;
  }

  serveAll(): Uint8Array {
    return this.serve(encodeStateVector(new Map()));
  }

  /** Journal to chunks. */
  checkpoint(chunkBytes: number): void {
    if (this.journal.length === 0) return;
    const made = rewrite(this.#journalSources(), { deletes: this.deletes, ...this.#cuts(this.chunks), chunkBytes });
    this.chunks.push(...made);
    this.journal = [];
  }

  /** Rewrites the chunks from `from` to `to` (excluded) in their place: what compaction does to one, folding to several. */
  compact(from: number, to: number, chunkBytes: number): void {
    const chosen = this.chunks.slice(from, to);
    const rest = [...this.chunks.slice(0, from), ...this.chunks.slice(to)];
    const made = rewrite(chosen, { deletes: this.deletes, ...this.#cuts([...rest, ...this.#journalSources()]), chunkBytes });
    this.chunks.splice(from, to - from, ...made);
  }

  /** Structs of all chunks and the journal, as one list of sources in arrival order. */
  sources(): Source[] {
    return [...this.chunks, ...this.#journalSources()];
  }

  #append(update: Uint8Array, ranges: readonly ClientRange[]): void {
    this.journal.push(update);
    for (const { client, from, to } of ranges) {
      const end = this.known.get(client) ?? 0;
      if (from !== end) throw new Error(`model room: ${client} is known to ${end}, news from ${from}`);
      this.known.set(client, to);
    }
  }

  /** Places what a closed gap sets free, in order of arrival, until nothing moves (update laws, T1). */
  #placeHeld(): void {
    for (let moved = true; moved; ) {
      moved = false;
      const waiting = this.held;
      this.held = [];
      this.#heldRanges = [];
      for (const update of waiting) {
        const news = splitNews(update, (client) => this.known.get(client) ?? 0);
        if (news.ready.length > 0) {
          this.#append(news.wholeIsReady ? update : (news.readyUpdate as Uint8Array), news.ready);
          moved = true;
        }
        if (news.heldUpdate !== null) {
          this.held.push(news.heldUpdate);
          this.#heldRanges.push(...news.held);
        }
      }
    }
  }

  #isHeld(range: ClientRange): boolean {
    let from = range.from;
    const own = this.#heldRanges.filter((held) => held.client === range.client).sort((a, b) => a.from - b.from);
    for (const held of own) if (held.from <= from && held.to > from) from = held.to;
    return from >= range.to;
  }

  #journalSources(): Source[] {
    return this.journal.map((bytes) => ({ bytes, runs: null as Iterable<ChunkRun> | null }));
  }

  #journalChunks(): Chunk[] {
    if (this.journal.length === 0) return [];
    return rewrite(this.#journalSources(), { deletes: this.deletes, chunkBytes: Number.MAX_SAFE_INTEGER });
  }

  #cuts(others: readonly Source[]): { cuts?: CutPoints } {
    return this.useCuts ? { cuts: mergeCutPoints([collectCutPoints(others)]) } : {};
  }
}
