/**
 * Proves that the store holds what the sources held: reads both once more, unit by unit, and writes nothing. Memory: one chunk, two delete sets and some
 * numbers per client.
 */
import { release } from "../release.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { type DeleteSet, DeleteSetBuilder, covers, subtract } from "../update/delete-set.ts";
import { ELEMENT_WORK, type Pacer, STRUCT_WORK } from "../update/pacer.ts";
import { readRun, readUpdate } from "../update/reader.ts";
import { GC_REF, SKIP_REF, type StructView, type UpdateVisitor } from "../update/visitor.ts";
import { isInSomeSource } from "./disputed-units.ts";
import { CoveredClocks } from "./covered-clocks.ts";
import type { Source } from "./source.ts";
import { type Gone, addSourceUnits } from "./source-units.ts";
import { walkStructs } from "./struct-walk.ts";
import { UnitDigest } from "./unit-digest.ts";

/** How far a client's clocks are compared: the clock after the last. */
export type EndOf = (client: number) => number;

export interface StoreDigest {
  readonly digest: UnitDigest;
  /** All clocks that are GC structs in the store, those beyond what was asked for too. */
  readonly collected: DeleteSet;
}

export type Verdict =
  | { readonly ok: true; readonly digest: string; readonly units: number }
  | {
      readonly ok: false;
      /** What differs and of which clients. */
      readonly reason: string;
      /** Of the store; empty and 0 when a check before the digests failed. */
      readonly digest: string;
      readonly units: number;
    };

/** A reason names this many clients. */
const NAMED_CLIENTS = 5;

/**
 * Whether the store has everything of the sources below `expectedEnd`: clocks, deletions, content; where sources contradict each other, what one of them
 * has (`disputed-units.ts`). The store may have more, as after edits that came later: deletions of its own count on both sides. The caller must not write to
 * the store in between.
 * @throws {DamagedRowError} of the store, {LegacyDamageError} of a source, {UpdateRefusedError} when a source is not what it was
 */
export function* verify(store: VaultStore, sources: readonly Source[], expectedEnd: EndOf, pacer: Pacer): Generator<null, Verdict> {
  const clients = new Set<number>();
  for (const source of sources) {
    for (const section of source.sections) clients.add(section.client);
    pacer.spend(source.sections.length * ELEMENT_WORK);
    if (pacer.isDue) yield* pacer.pause();
  }
  const short = [...clients].filter((client) => store.clocks.end(client) < expectedEnd(client));
  if (short.length > 0) return failed("state vector", short);

  const deletes = store.readDeletes();
  yield null;
  // One by one: a union of thousands of small sets with a large one costs the large one each time.
  const undeleted = new Set<number>();
  for (const source of sources) {
    if (!covers(deletes, source.deletes)) for (const client of subtract(source.deletes, deletes).clients()) undeleted.add(client);
    pacer.spend(source.deletes.rangeCount * ELEMENT_WORK);
    if (pacer.isDue) yield* pacer.pause();
  }
  if (undeleted.size > 0) return failed("delete set", [...undeleted]);

  const covered = CoveredClocks.of(sources, expectedEnd);
  const stored = yield* digestStore(store, covered, deletes, pacer);
  const held = yield* digestSources(sources, covered, deletes, stored.collected, pacer);
  const gone = { deletes, collected: stored.collected };
  const differing: number[] = [];
  for (const client of stored.digest.difference(held)) {
    // The first that is wrong is reason enough: looking closer is slow.
    const isDisputed = differing.length === 0 && !covered.hasHole(client, 0, expectedEnd(client));
    if (!isDisputed || !(yield* isInSomeSource(store, sources, client, expectedEnd(client), gone, pacer))) differing.push(client);
  }
  const result = { digest: stored.digest.toString(), units: stored.digest.units };
  if (differing.length === 0) return { ok: true, ...result };
  return { ok: false, reason: differs("digest", differing), ...result };
}

function failed(what: string, clients: readonly number[]): Verdict {
  return { ok: false, reason: differs(what, clients), digest: "", units: 0 };
}

function differs(what: string, clients: readonly number[]): string {
  const sorted = [...clients].sort((a, b) => a - b);
  const named = sorted.slice(0, NAMED_CLIENTS).join(", ");
  const more = sorted.length > NAMED_CLIENTS ? ` and ${sorted.length - NAMED_CLIENTS} more` : "";
  return `${what} of ${sorted.length === 1 ? "client" : "clients"} ${named}${more} differs`;
}

/** The units in chunks and journal that are covered, each of which the store holds once. @throws {DamagedRowError} */
export function* digestStore(store: VaultStore, covered: CoveredClocks, deletes: DeleteSet, pacer: Pacer): Generator<null, StoreDigest> {
  const digest = new UnitDigest();
  const collected = new DeleteSetBuilder();
  let bytes: Uint8Array = new Uint8Array(0);
  const visitor: UpdateVisitor = {
    struct: (view) => {
      if (view.ref === GC_REF) collected.add(view.client, view.clock, view.length);
      for (const { from, to } of covered.parts(view.client, view.clock, view.clock + view.length)) digest.add(view, bytes, from, to, deletes);
    },
  };
  for (const entry of store.index.chunks) {
    bytes = store.readChunk(entry);
    for (const run of entry.runs) {
      readRun(bytes, run.offset, run.client, run.clock, run.structCount, visitor);
      pacer.spend(run.byteLength + run.structCount * STRUCT_WORK);
      if (pacer.isDue) yield* pacer.pause();
    }
    release(bytes);
  }
  for (bytes of store.readJournalUpdates()) {
    const { structs } = readUpdate(bytes, visitor);
    pacer.spend(bytes.byteLength + structs * STRUCT_WORK);
    if (pacer.isDue) yield* pacer.pause();
  }
  return { digest, collected: collected.build() };
}

/**
 * The units of all sources that are covered, each once: of two contents for one clock that of the earlier source, unless it comes behind a gap which a later
 * source fills.
 * @param collected clocks that the store keeps as GC; a live unit among them counts as deleted where loading would have collected it (update laws, L4, T3)
 */
export function* digestSources(sources: readonly Source[], covered: CoveredClocks, deletes: DeleteSet, collected: DeleteSet, pacer: Pacer): Generator<null, UnitDigest> {
  const union = new SourceUnion(covered, { deletes, collected });
  let waiting = sources;
  for (let before = -1; waiting.length > 0 && union.progress !== before; ) {
    before = union.progress;
    const again: Source[] = [];
    for (const source of waiting) {
      pacer.spend(source.sections.length * ELEMENT_WORK);
      if (union.canUse(source)) yield* walkStructs(source, union.visit, pacer);
      if (union.lacks(source)) again.push(source);
      if (pacer.isDue) yield* pacer.pause();
    }
    waiting = again;
  }
  return union.digest;
}

class SourceUnion {
  readonly digest = new UnitDigest();
  /** Rises whenever something was counted. */
  progress = 0;
  readonly #covered: CoveredClocks;
  readonly #gone: Gone;
  /** Per client the clock up to which everything covered was counted. */
  readonly #ends = new Map<number, number>();

  constructor(covered: CoveredClocks, gone: Gone) {
    this.#covered = covered;
    this.#gone = gone;
  }

  /** Whether a section of the source may go on where its client's counted clocks end. */
  canUse(source: Source): boolean {
    return source.sections.some((section) => {
      const next = this.#next(section.client);
      return section.clock <= next && next < section.end;
    });
  }

  /** Whether the source, just read, has clocks that could not be counted yet. */
  lacks(source: Source): boolean {
    return source.sections.some((section) => this.#next(section.client) < section.end);
  }

  readonly visit = (view: StructView, bytes: Uint8Array): void => {
    if (view.ref === SKIP_REF) return;
    const { client, clock } = view;
    const next = this.#next(client);
    if (clock > next) return;
    for (const { from, to } of this.#covered.parts(client, next, clock + view.length)) {
      this.#ends.set(client, to);
      this.progress += 1;
      addSourceUnits(this.digest, view, bytes, from, to, this.#gone, from > clock);
    }
  };

  /** The first covered clock that was not counted. */
  #next(client: number): number {
    return this.#covered.next(client, this.#ends.get(client) ?? 0);
  }
}
