/**
 * The vault of one room on disk: index, chunks, journal, delete set, held structs, as one thing with one state in memory.
 *
 * Called by the room. Reading never writes. Writers are `commit` (one journal row in the caller's turn) and the steps of `checkpoint` and `compact`.
 * What a crash leaves: before a commit or a publication the state before it, after it the state after it; chunks staged by a checkpoint that was not
 * published are not in the index, hence no part of the vault, and the next checkpoint drops them.
 * Memory: the index, the state vector, summaries of journal rows. Never chunk content, never the delete set.
 */
import { LIMITS } from "../limits.ts";
import type { Checksum, Sql } from "../ports.ts";
import { release } from "../release.ts";
import type { Chunk, Source } from "../update/chunk.ts";
import { DeleteSet, clientHash, clockCount, subtract, union, unionSteps } from "../update/delete-set.ts";
import { type CutPoints, collectCutPoints, mergeCutPoints, mergeCutPointsSteps } from "../update/cut-points.ts";
import { Pacer, withoutPauses } from "../update/pacer.ts";
import { rewriteSteps } from "../update/rewrite.ts";
import { RunList } from "../update/run-list.ts";
import { cutCount, withCuts } from "./chunk-cuts.ts";
import { ClockIndex } from "./clock-index.ts";
import type { ClientRange } from "../update/news.ts";
import { dropChunksExcept, readChunk, readChunkRaw, writeChunk } from "./chunk-store.ts";
import type { DamagedRowError } from "./damage.ts";
import { absorbDeletes, encodeStoredDeletes, publishDeletes, readDeletes, readDeletesRaw, readDeletesSteps, withoutDeleteRow } from "./delete-store.ts";
import { type DamagedRow, keepDamaged, listDamaged } from "./damaged-rows.ts";
import { type StoredError, listErrors, recordError } from "./error-ring.ts";
import { type JournalRowSummary, appendRow, emptyRow, encodeRowData, encodeRowSummary, readJournal, readRow, readRowRaw } from "./journal.ts";
import { type ChunkEntry, EMPTY_INDEX, type RoomIndex, readIndex, readIndexRaw, writeIndex } from "./room-index.ts";
import { migrate, noteProof, readSchemaVersion } from "./schema.ts";
import { type HeldRow, deleteHeld, insertHeld, readHeld, readHeldRaw } from "./held.ts";

/** What one commit window brings to disk. */
export interface CommitBatch {
  /** Updates in order of arrival, each cut to what was new. */
  readonly updates: readonly Uint8Array[];
  /** Clocks the updates add. */
  readonly ranges: readonly ClientRange[];
  /** Deletions the updates add. */
  readonly deletes: DeleteSet;
  /** Structs behind a gap, in order of arrival. */
  readonly held: readonly Uint8Array[];
  /** Rows of held structs that this batch has placed. */
  readonly released: readonly number[];
}

export interface StepReport {
  readonly kind: "noop" | "done";
  readonly bytesWritten: number;
  readonly chunksWritten: number;
}

/** How many source bytes one publication may write at once; above, chunks are written as they come, over several turns. */
const SINGLE_TURN_BYTES = 4 * LIMITS.chunkBytes;

/** A chunk is rewritten when this share of its clocks was deleted since its last rewrite. */
const REWRITE_DELETED_SHARE = 0.25;

const NO_CUTS: CutPoints = new Map();

export class VaultStore {
  readonly #sql: Sql;
  readonly #checksum: Checksum;
  #index: RoomIndex = EMPTY_INDEX;
  #journal: JournalRowSummary[] = [];
  #clocks = new ClockIndex();
  #journalDeletes = DeleteSet.empty;
  #schemaReady = false;
  #held: HeldRow[] = [];
  /** Journal rows that were missing at open, to be filled with empty ones. */
  #gaps: readonly number[] = [];
  #healingIsUnsaved = false;
  #freshDeletes = DeleteSet.empty;

  constructor(sql: Sql, checksum: Checksum) {
    this.#sql = sql;
    this.#checksum = checksum;
  }

  /**
   * Reads index and journal summaries. Writes nothing.
   * @throws {DamagedRowError} when no copy of the index can be trusted; {SchemaTooNewError}. Other damage is returned, not thrown.
   */
  open(): { gaps: readonly number[]; damaged: readonly DamagedRowError[] } {
    this.#schemaReady = readSchemaVersion(this.#sql) > 0;
    this.#healingIsUnsaved = false;
    this.#index = EMPTY_INDEX;
    this.#journal = [];
    this.#clocks = new ClockIndex();
    this.#journalDeletes = DeleteSet.empty;
    this.#held = [];
    this.#gaps = [];
    if (!this.#schemaReady) return { gaps: [], damaged: [] };
    const { index, damaged } = readIndex(this.#sql, this.#checksum);
    this.#index = index;
    const journal = readJournal(this.#sql, this.#index.absorbed, this.#checksum);
    this.#journal = [...journal.rows];
    this.#gaps = journal.gaps;
    this.#recount();
    const held = readHeld(this.#sql, this.#checksum);
    this.#held = held.rows;
    return { gaps: journal.gaps, damaged: [...damaged, ...journal.damaged, ...held.damaged] };
  }

  /** It could not be read: stands as one that never stored anything, so that reading finds nothing. Nothing may be written through it any more. */
  standEmpty(): void {
    this.#schemaReady = false;
    this.#healingIsUnsaved = false;
    this.#index = EMPTY_INDEX;
    this.#journal = [];
    this.#held = [];
    this.#gaps = [];
    this.#recount();
  }

  /** Derives clocks and journal deletions from index and journal. */
  #recount(): void {
    this.#clocks = new ClockIndex();
    for (const chunk of this.#index.chunks) for (const run of chunk.runs) this.#clocks.add(run.client, run.clock, run.end);
    for (const row of this.#journal) for (const range of row.ranges) this.#clocks.add(range.client, range.from, range.to);
    this.#journalDeletes = union(...this.#journal.map((row) => row.deletes));
  }

  /** What was lost to damage and not brought back yet, as far as it is known by name. */
  get lost(): ClientRange[] {
    return this.#index.lost.filter((range) => !this.#clocks.has(range.client, range.from, range.to));
  }

  /** Whether something may be missing that nobody can name. */
  get lostUnknown(): boolean {
    return this.#index.healers !== null || this.#gaps.length > 0;
  }

  /**
   * Whether a client with this vector counts as one that has what was lost without a name: it has all the room had when it noticed. One that has nothing
   * never does, or an empty document would heal a room of which nothing can be read.
   */
  canHealUnknown(vector: ReadonlyMap<number, number>): boolean {
    if (vector.size === 0) return false;
    for (const [client, end] of this.#index.healers ?? []) if ((vector.get(client) ?? 0) < end) return false;
    return true;
  }

  /** Deletions that came as edits since a loss was noticed, and those in the journal then: none of what was lost. */
  noteFreshDeletes(deletes: DeleteSet): void {
    if (this.#index.lostDeletes.size > 0) this.#freshDeletes = union(this.#freshDeletes, deletes);
  }

  /**
   * Whether a client that answers with `deletes`, which is all it knows, has the deletions that were lost: the same ranges, or at least as many clocks
   * once those are left out that are known to be newer. A client that was away when they were made has fewer.
   */
  bringsLostDeletes(deletes: DeleteSet): boolean {
    for (const [client, lost] of this.#index.lostDeletes) {
      const ranges = deletes.ranges(client);
      if (ranges === undefined) return false;
      if (clientHash(ranges) === lost.hash) continue;
      const old = subtract(new DeleteSet(new Map([[client, ranges]])), this.#freshDeletes).ranges(client);
      if (old === undefined || clockCount(old) < lost.clocks) return false;
    }
    return true;
  }

  /** A client that has everything has answered: whatever was missing without a name is here now. Kept with the next commit or checkpoint. */
  unknownHealed(): void {
    this.#gaps = [];
    this.#index = { ...this.#index, healers: null, lostDeletes: new Map(), lost: this.lost };
    this.#freshDeletes = DeleteSet.empty;
    this.#healingIsUnsaved = true;
  }

  /** Whether a commit has something to write even without edits: that a loss is healed. */
  get wantsCommit(): boolean {
    return this.#healingIsUnsaved;
  }

  /**
   * Sets damaged rows aside: keeps their bytes in `room_damaged`, takes their clocks out of the state vector and notes them as lost. One transaction.
   * @throws {DamagedRowError} when it is the index as a whole: then the room stays unreadable and nothing is touched.
   */
  setAside(damaged: readonly DamagedRowError[], atMs: number): void {
    let index: RoomIndex = { ...this.#index, lost: this.lost };
    let journal = this.#journal;
    let isUnnamed = this.lostUnknown;
    let fresh = DeleteSet.empty;
    const heldGone: number[] = [];
    this.#sql.transaction(() => {
      for (const error of damaged) {
        const { origin } = error;
        const keep = (data: Uint8Array): void => keepDamaged(this.#sql, atMs, error, data);
        switch (origin.kind) {
          case "index":
            if (origin.copy === undefined) throw error;
            // The copy that was read is written over this one below.
            for (const part of readIndexRaw(this.#sql, origin.copy)) keep(part);
            break;
          case "chunk": {
            const entry = index.chunks.find((chunk) => chunk.id === origin.id);
            if (entry === undefined) break;
            for (const part of readChunkRaw(this.#sql, entry.id, entry.parts)) keep(part);
            const lost = [...entry.runs].map((run) => ({ client: run.client, from: run.clock, to: run.end }));
            index = { ...index, chunks: index.chunks.filter((chunk) => chunk !== entry), lost: [...index.lost, ...lost] };
            break;
          }
          case "journal": {
            const stored = readRowRaw(this.#sql, origin.slot);
            if (stored !== null) keep(stored);
            const summary = journal.find((row) => row.slot === origin.slot);
            // With its summary intact we know what was in it, and keep its deletions; else it may have held anything.
            const deletes = summary?.deletes ?? DeleteSet.empty;
            const seq = index.absorbed + origin.slot;
            const row = emptyRow(this.#sql, this.#checksum, { slot: origin.slot, seq, atMs, deletes });
            journal = [...journal.filter((other) => other.slot !== origin.slot), row].sort((a, b) => a.slot - b.slot);
            index = { ...index, lost: [...index.lost, ...(summary?.ranges ?? [])] };
            if (summary === undefined) isUnnamed = true;
            break;
          }
          case "deletes": {
            const stored = readDeletesRaw(this.#sql, origin.row);
            if (stored !== null) keep(stored);
            const rest = withoutDeleteRow(this.#sql, index, origin.row);
            const gone = [...index.hashes].filter(([client]) => !rest.hashes.has(client));
            // A client whose deletions were lost before is still owed those.
            index = { ...index, ...rest, lostDeletes: new Map([...gone, ...index.lostDeletes]) };
            isUnnamed = true;
            fresh = this.#journalDeletes;
            break;
          }
          case "held":
            for (const part of readHeldRaw(this.#sql, origin.row)) keep(part);
            deleteHeld(this.#sql, [origin.row]);
            heldGone.push(origin.row);
            break;
        }
      }
      for (const seq of this.#gaps) {
        journal = [...journal, emptyRow(this.#sql, this.#checksum, { slot: seq - index.absorbed, seq, atMs, deletes: DeleteSet.empty })];
      }
      journal.sort((a, b) => a.slot - b.slot);
      if (isUnnamed) index = { ...index, healers: this.#index.healers ?? this.#clocks.reach() };
      writeIndex(this.#sql, this.#checksum, index);
    });
    this.#index = index;
    this.#journal = journal;
    this.#freshDeletes = union(this.#freshDeletes, fresh);
    this.#gaps = [];
    this.#forgetHeld(heldGone);
    this.#recount();
  }

  /** Rows set aside so far, newest first, without their bytes. */
  damagedRows(): DamagedRow[] {
    return this.#schemaReady ? listDamaged(this.#sql) : [];
  }

  /** Keeps an error in the stored ring, once there are tables at all. @throws what the engine throws */
  recordError(atMs: number, event: string, detail: string): void {
    if (this.#schemaReady) recordError(this.#sql, atMs, event, detail);
  }

  /** Stored errors, newest first. */
  storedErrors(): StoredError[] {
    return this.#schemaReady ? listErrors(this.#sql) : [];
  }

  /** Durable clocks. */
  get clocks(): ClockIndex {
    return this.#clocks;
  }

  get index(): RoomIndex {
    return this.#index;
  }

  get journal(): readonly JournalRowSummary[] {
    return this.#journal;
  }

  /** Held structs in order of arrival, as read at open and added since. */
  get held(): readonly HeldRow[] {
    return this.#held;
  }

  get head(): number {
    return this.#journal.at(-1)?.seq ?? this.#index.absorbed;
  }

  get journalBytes(): number {
    return this.#journal.reduce((sum, row) => sum + row.byteLength, 0);
  }

  get chunkBytes(): number {
    return this.#index.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  }

  /** Whether anything was ever stored. */
  get isFresh(): boolean {
    return !this.#schemaReady;
  }

  /** Whether a batch fits one journal row with its summary. */
  fits(batch: CommitBatch): boolean {
    const data = batch.updates.reduce((sum, update) => sum + update.byteLength + 5, 5);
    return data + batch.ranges.length * 24 + batch.deletes.estimateBytes + 64 <= LIMITS.maxJournalRowBytes;
  }

  /**
   * Writes one window as one journal row, in the caller's turn; durable when the turn is.
   * @throws {RangeError} when the batch does not fit a row (`fits` was not asked), and what the engine throws; then nothing was written.
   */
  commit(batch: CommitBatch, atMs: number): void {
    if (!this.fits(batch)) throw new RangeError("Cannot commit: the batch does not fit a journal row");
    const seq = this.head + 1;
    const slot = seq - this.#index.absorbed;
    const data = encodeRowData(batch.updates);
    const summary = encodeRowSummary(batch.ranges, batch.deletes, this.#checksum);
    const held: HeldRow[] = [];
    this.#sql.transaction(() => {
      this.#makeTables();
      if (batch.updates.length > 0) {
        appendRow(this.#sql, { slot, seq, atMs, sum: this.#checksum(data), summary, data });
      }
      if (this.#healingIsUnsaved) writeIndex(this.#sql, this.#checksum, this.#index);
      deleteHeld(this.#sql, batch.released);
      let row = this.#nextHeldRow();
      for (const update of batch.held) held.push(insertHeld(this.#sql, this.#checksum, row++, atMs, update));
    });
    // Memory follows only after the statements stood.
    this.#healingIsUnsaved = false;
    this.#schemaReady = true;
    if (batch.updates.length > 0) {
      this.#journal.push({ slot, seq, atMs, byteLength: data.byteLength, ranges: batch.ranges, deletes: batch.deletes });
      this.#adopt(batch);
    }
    this.#forgetHeld(batch.released);
    this.#held.push(...held);
  }

  /** Writes one row that means nothing else: durable when the turn is, so that a room learns whether it can write. @throws what the engine throws */
  prove(atMs: number): void {
    this.#sql.transaction(() => {
      this.#makeTables();
      noteProof(this.#sql, atMs);
    });
    this.#schemaReady = true;
  }

  /** Makes the tables of an object that has none, for a fact to be kept before there is any edit. @throws what the engine throws */
  makeReady(): void {
    this.#ensureTables();
  }

  /** Whether the journal is large enough to be moved into chunks. */
  get wantsCheckpoint(): boolean {
    return this.#journal.length >= LIMITS.checkpointJournalRows || this.journalBytes >= LIMITS.checkpointJournalBytes;
  }

  /**
   * Moves the journal, and `oversized` after it, into chunks. A generator: between two yields at most one short turn of work; the caller must commit
   * nothing in between, and may drop the generator at any yield. Durable with the turn in which it returns.
   */
  *checkpoint(oversized: CommitBatch | null, atMs: number): Generator<null, StepReport> {
    if (this.#journal.length === 0 && oversized === null) return { kind: "noop", bytesWritten: 0, chunksWritten: 0 };
    const index = this.#index;
    const tail = index.chunks.at(-1);
    const keepsTail = tail === undefined || tail.byteLength >= LIMITS.tailChunkBytes;
    const kept = keepsTail ? index.chunks : index.chunks.slice(0, -1);
    const sources: Source[] = keepsTail ? [] : [{ bytes: readChunk(this.#sql, this.#checksum, tail), runs: tail.runs }];
    for (const row of this.#journal) {
      for (const bytes of readRow(this.#sql, row.slot, row.seq, this.#checksum)) sources.push({ bytes, runs: null });
    }
    if (oversized !== null) for (const bytes of oversized.updates) sources.push({ bytes, runs: null });
    const added = oversized === null ? this.#journalDeletes : union(this.#journalDeletes, oversized.deletes);
    const clients = new Set<number>(added.clients());
    for (const run of keepsTail ? [] : tail.runs) clients.add(run.client);
    for (const row of this.#journal) for (const range of row.ranges) clients.add(range.client);
    for (const range of oversized?.ranges ?? []) clients.add(range.client);
    yield null;
    const stored = yield* readDeletesSteps(this.#sql, this.#checksum, index, clients);
    const deletes = yield* unionSteps([stored, added], new Pacer(LIMITS.chunkBytes));
    yield null;

    const sourceBytes = sources.reduce((sum, source) => sum + source.bytes.byteLength, 0);
    const staged = sourceBytes > SINGLE_TURN_BYTES;
    const entries: ChunkEntry[] = [];
    const unwritten: { id: number; bytes: Uint8Array }[] = [];
    let nextChunkId = index.nextChunkId;
    let bytesWritten = 0;
    // What the new structs refer to in chunks that stay as they are.
    const references: CutPoints[] = [];
    for (const chunk of rewriteSteps(sources, { deletes, chunkBytes: LIMITS.chunkBytes, cuts: keepsTail ? NO_CUTS : tail.cuts })) {
      if (chunk !== null) {
        const id = nextChunkId++;
        bytesWritten += chunk.bytes.byteLength;
        // Writing the chunk's bytes was this turn's work.
        yield null;
        if (kept.length > 0) references.push(collectCutPoints([chunk]));
        if (staged) {
          this.#ensureTables();
          entries.push({ id, ...writeChunk(this.#sql, this.#checksum, id, chunk.bytes), byteLength: chunk.bytes.byteLength, deletedClocks: 0, cuts: NO_CUTS, runs: RunList.from(chunk.runs) });
          release(chunk.bytes);
        } else {
          unwritten.push({ id, bytes: chunk.bytes });
          entries.push({ id, parts: 0, sum: 0, byteLength: chunk.bytes.byteLength, deletedClocks: 0, cuts: NO_CUTS, runs: RunList.from(chunk.runs) });
        }
      }
      yield null;
    }
    const cuts = yield* mergeCutPointsSteps(references, new Pacer(LIMITS.chunkBytes));
    const stays = kept.map((chunk) => withCuts(withDeletions(chunk, added), cuts));
    yield null;
    this.#ensureTables();
    const absorbed = yield* absorbDeletes(this.#sql, this.#checksum, index, added, deletes);
    yield null;
    let published = index;
    const held: HeldRow[] = [];
    this.#sql.transaction(() => {
      for (const [position, chunk] of unwritten.entries()) {
        entries[position] = { ...entries[position]!, ...writeChunk(this.#sql, this.#checksum, chunk.id, chunk.bytes) };
      }
      published = {
        // First, because it may be the whole old index when nothing was deleted.
        ...absorbed.directory,
        lost: this.lost,
        healers: this.#index.healers,
        lostDeletes: this.#index.lostDeletes,
        absorbed: this.head,
        nextChunkId,
        chunks: [...stays, ...entries],
      };
      publishDeletes(this.#sql, this.#checksum, absorbed);
      writeIndex(this.#sql, this.#checksum, published);
      dropChunksExcept(this.#sql, new Map(published.chunks.map((chunk) => [chunk.id, chunk.parts])));
      if (oversized !== null) {
        deleteHeld(this.#sql, oversized.released);
        let row = this.#nextHeldRow();
        for (const update of oversized.held) held.push(insertHeld(this.#sql, this.#checksum, row++, atMs, update));
      }
    });
    // Or a vault that is taken over leaves a copy of itself for some later collection.
    for (const { bytes } of unwritten) release(bytes);
    if (!keepsTail) release(sources[0]!.bytes);
    this.#index = published;
    this.#healingIsUnsaved = false;
    this.#journal = [];
    this.#journalDeletes = DeleteSet.empty;
    if (oversized !== null) {
      for (const range of oversized.ranges) this.#clocks.add(range.client, range.from, range.to);
      this.#forgetHeld(oversized.released);
      this.#held.push(...held);
    }
    return { kind: "done", bytesWritten, chunksWritten: entries.length };
  }

  /** Whether a pass of compaction has something to do. */
  get wantsCompaction(): boolean {
    return this.#chooseCompaction() !== null;
  }

  /** Rewrites one chunk, or folds two small neighbours into one. One turn; durable with it. @throws {DamagedRowError} */
  compactOnce(): StepReport {
    return withoutPauses(this.compaction());
  }

  /**
   * The same with pauses, in which the room may commit but take no other step. May be dropped at any of them: nothing is written before the end.
   * Durable with the turn in which it returns. @throws {DamagedRowError}
   */
  *compaction(): Generator<null, StepReport> {
    const choice = this.#chooseCompaction();
    if (choice === null) return { kind: "noop", bytesWritten: 0, chunksWritten: 0 };
    const index = this.#index;
    const old = index.chunks.slice(choice.from, choice.to);
    const clients = new Set<number>();
    for (const chunk of old) for (const run of chunk.runs) clients.add(run.client);
    const stored = yield* readDeletesSteps(this.#sql, this.#checksum, index, clients);
    const deletes = yield* unionSteps([stored, this.#journalDeletes], new Pacer(LIMITS.chunkBytes));
    const sources = old.map((chunk) => ({ bytes: readChunk(this.#sql, this.#checksum, chunk), runs: chunk.runs }));
    const cuts = mergeCutPoints(old.map((chunk) => chunk.cuts));
    yield null;
    // Two small ones always become one, whatever the writer's guess of its size: each fold leaves a chunk less, so folding ends.
    const chunkBytes = old.length > 1 ? 2 * LIMITS.chunkBytes : LIMITS.chunkBytes;
    const rewritten: Chunk[] = [];
    for (const chunk of rewriteSteps(sources, { deletes, chunkBytes, cuts })) {
      if (chunk !== null) rewritten.push(chunk);
      yield null;
    }
    const entries: ChunkEntry[] = [];
    let nextChunkId = index.nextChunkId;
    let bytesWritten = 0;
    let published = index;
    this.#sql.transaction(() => {
      for (const chunk of rewritten) {
        const id = nextChunkId++;
        bytesWritten += chunk.bytes.byteLength;
        entries.push({ id, ...writeChunk(this.#sql, this.#checksum, id, chunk.bytes), byteLength: chunk.bytes.byteLength, deletedClocks: 0, cuts: NO_CUTS, runs: RunList.from(chunk.runs) });
      }
      published = { ...this.#index, nextChunkId, chunks: [...index.chunks.slice(0, choice.from), ...entries, ...index.chunks.slice(choice.to)] };
      writeIndex(this.#sql, this.#checksum, published);
      dropChunksExcept(this.#sql, new Map(published.chunks.map((chunk) => [chunk.id, chunk.parts])));
    });
    this.#index = published;
    return { kind: "done", bytesWritten, chunksWritten: entries.length };
  }

  #chooseCompaction(): { from: number; to: number } | null {
    const chunks = this.#index.chunks;
    for (const [position, chunk] of chunks.entries()) {
      const clocks = chunk.runs.clockCount;
      if (chunk.deletedClocks > clocks * REWRITE_DELETED_SHARE || cutCount(chunk.cuts) > LIMITS.chunkCutPoints) return { from: position, to: position + 1 };
    }
    // The tail is left alone: the next checkpoint rewrites it anyway.
    for (let position = 0; position + 2 < chunks.length; position++) {
      if (chunks[position]!.byteLength + chunks[position + 1]!.byteLength <= LIMITS.chunkBytes) return { from: position, to: position + 2 };
    }
    return null;
  }

  /** One chunk's bytes, checked. @throws {DamagedRowError} */
  readChunk(entry: ChunkEntry): Uint8Array {
    return readChunk(this.#sql, this.#checksum, entry);
  }

  /** All updates of the journal in order. @throws {DamagedRowError} */
  readJournalUpdates(): Uint8Array[] {
    return this.#journal.flatMap((row) => readRow(this.#sql, row.slot, row.seq, this.#checksum));
  }

  /** Durable deletions of these clients, or of all. @throws {DamagedRowError} */
  readDeletes(clients?: Iterable<number>): DeleteSet {
    const stored = this.#schemaReady ? readDeletes(this.#sql, this.#checksum, this.#index, clients) : DeleteSet.empty;
    return union(stored, this.#journalDeletes);
  }

  /** All durable deletions and `more`, encoded as at the end of an update. @throws {DamagedRowError} */
  encodeDeletes(more: DeleteSet): Uint8Array {
    return encodeStoredDeletes(this.#sql, this.#checksum, this.#index, union(this.#journalDeletes, more));
  }

  /** Deletions in the journal, in memory. */
  get journalDeletes(): DeleteSet {
    return this.#journalDeletes;
  }

  /** Hash of a client's stored ranges when the journal adds nothing to them; else undefined, and only the ranges can tell. */
  deleteHash(client: number): number | undefined {
    if (this.#journalDeletes.ranges(client) !== undefined) return undefined;
    return this.#index.hashes.get(client)?.hash;
  }

  #adopt(batch: CommitBatch): void {
    for (const range of batch.ranges) this.#clocks.add(range.client, range.from, range.to);
    this.#journalDeletes = union(this.#journalDeletes, batch.deletes);
  }

  /** A fresh object gets its tables and an empty index: from then on a room without an index is a damaged one, not a new one. */
  #makeTables(): void {
    if (migrate(this.#sql) && !this.#schemaReady) writeIndex(this.#sql, this.#checksum, EMPTY_INDEX);
  }

  /** For what is written ahead of the transaction that publishes it. */
  #ensureTables(): void {
    if (this.#schemaReady) return;
    this.#sql.transaction(() => this.#makeTables());
    this.#schemaReady = true;
  }

  #nextHeldRow(): number {
    return (this.#held.at(-1)?.row ?? 0) + 1;
  }

  #forgetHeld(rows: readonly number[]): void {
    if (rows.length === 0) return;
    const gone = new Set(rows);
    this.#held = this.#held.filter((held) => !gone.has(held.row));
  }
}

/** Counts the new deletions that fall into a chunk. */
function withDeletions(chunk: ChunkEntry, added: DeleteSet): ChunkEntry {
  let deletedClocks = chunk.deletedClocks;
  for (const run of chunk.runs) {
    const ranges = added.ranges(run.client);
    if (ranges === undefined) continue;
    for (let at = added.overlap(run.client, run.clock, run.end) * 2; at < ranges.length && ranges[at]! < run.end; at += 2) {
      deletedClocks += Math.min(ranges[at + 1]!, run.end) - Math.max(ranges[at]!, run.clock);
    }
  }
  return deletedClocks === chunk.deletedClocks ? chunk : { ...chunk, deletedClocks };
}
