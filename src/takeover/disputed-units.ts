/**
 * Where sources themselves have different contents for one clock, which of them the store has depends on what could be placed first: documents differ about
 * surrogate pairs that one of them has torn, and about a client id that was used twice (update laws, T1, T2, T6). So when the digests of a client differ,
 * each of its units in the store must be that of at least one source.
 */
import { release } from "../release.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { type Pacer, STRUCT_WORK } from "../update/pacer.ts";
import { readRun, readUpdate } from "../update/reader.ts";
import { SKIP_REF, type StructView, type UpdateVisitor } from "../update/visitor.ts";
import type { Source } from "./source.ts";
import { type Gone, addSourceUnits } from "./source-units.ts";
import { walkRun } from "./struct-walk.ts";
import { UnitDigest } from "./unit-digest.ts";

/** Clocks compared at a time: 9 bytes of memory each. */
const WINDOW_CLOCKS = 1024 * 1024;
/** Nobody types so much: it is a length made up by somebody, and reading the sources so often would take too long. */
const MAX_WINDOWS = 256;

/**
 * Whether every unit of `client` below `end` that the store has is in some source. Reads the client's structs once per million clocks.
 * @throws {DamagedRowError} of the store, {LegacyDamageError} of a source, {UpdateRefusedError} when a source is not what it was
 */
export function* isInSomeSource(store: VaultStore, sources: readonly Source[], client: number, end: number, gone: Gone, pacer: Pacer): Generator<null, boolean> {
  if (end > MAX_WINDOWS * WINDOW_CLOCKS) return false;
  const window = new UnitWindow(client, gone, Math.min(end, WINDOW_CLOCKS));
  for (let base = 0; base < end; base += WINDOW_CLOCKS) {
    window.begin(base, Math.min(end, base + WINDOW_CLOCKS));
    yield* readStored(store, window, pacer);
    for (const source of sources) {
      const section = source.sections.find((each) => each.client === client);
      if (section === undefined || section.clock >= window.end || section.end <= base) continue;
      yield* walkRun(source.bytes, section, window.compare, pacer);
      source.bytes.forget?.();
      yield* pacer.pause();
    }
    if (window.unmatched > 0) return false;
  }
  return true;
}

function* readStored(store: VaultStore, window: UnitWindow, pacer: Pacer): Generator<null, void> {
  const { client } = window;
  let bytes: Uint8Array = new Uint8Array(0);
  const visitor: UpdateVisitor = {
    struct: (view) => {
      if (view.client === client) window.store(view, bytes);
    },
  };
  for (const entry of store.index.chunks) {
    const runs = [...entry.runs].filter((run) => run.client === client && run.clock < window.end && run.end > window.base);
    if (runs.length === 0) continue;
    bytes = store.readChunk(entry);
    for (const run of runs) {
      readRun(bytes, run.offset, client, run.clock, run.structCount, visitor);
      pacer.spend(run.byteLength + run.structCount * STRUCT_WORK);
      yield* pacer.pause();
    }
    release(bytes);
  }
  for (bytes of store.readJournalUpdates()) {
    const { structs } = readUpdate(bytes, visitor);
    pacer.spend(bytes.byteLength + structs * STRUCT_WORK);
    yield* pacer.pause();
  }
}

/** Hashes of the units of one client in a window of clocks. */
class UnitWindow {
  readonly client: number;
  base = 0;
  end = 0;
  unmatched = 0;
  readonly #gone: Gone;
  readonly #stored: Int32Array;
  readonly #found: Int32Array;
  readonly #isMatched: Uint8Array;
  #target: Int32Array;
  readonly #digest = new UnitDigest((clock, hash) => {
    const at = clock - this.base;
    this.#target[at] = (this.#target[at]! + hash) | 0;
  });

  constructor(client: number, gone: Gone, size: number) {
    this.client = client;
    this.#gone = gone;
    this.#stored = new Int32Array(size);
    this.#found = new Int32Array(size);
    this.#isMatched = new Uint8Array(size);
    this.#target = this.#stored;
  }

  begin(base: number, end: number): void {
    this.base = base;
    this.end = end;
    this.unmatched = end - base;
    this.#stored.fill(0);
    this.#isMatched.fill(0);
  }

  store(view: StructView, bytes: Uint8Array): void {
    this.#target = this.#stored;
    this.#digest.add(view, bytes, Math.max(view.clock, this.base), Math.min(view.clock + view.length, this.end), this.#gone.deletes);
  }

  readonly compare = (view: StructView, bytes: Uint8Array): void => {
    const from = Math.max(view.clock, this.base);
    const to = Math.min(view.clock + view.length, this.end);
    if (view.ref === SKIP_REF || from >= to) return;
    this.#target = this.#found;
    this.#found.fill(0, from - this.base, to - this.base);
    addSourceUnits(this.#digest, view, bytes, from, to, this.#gone, false);
    for (let at = from - this.base; at < to - this.base; at++) {
      if (this.#isMatched[at] === 1 || this.#found[at] !== this.#stored[at]) continue;
      this.#isMatched[at] = 1;
      this.unmatched -= 1;
    }
  };
}
