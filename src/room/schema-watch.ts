/**
 * Watches updates go by for sets of `sys.schemaVersion` and keeps the path of {@link SchemaPath} up to date, in whatever order, form or repetition they come.
 * One short look per struct; only those that begin the list, hang on it, or hang on something the room does not know yet are kept and placed afterwards.
 *
 * Text, formats and embeds are never sets of a map key, and no set has a right origin: no genuine client writes such, so they are passed over.
 */
import { LIMITS } from "../limits.ts";
import type { DeleteSet } from "../update/delete-set.ts";
import { DELETED_REF, EMBED_REF, FORMAT_REF, GC_REF, SKIP_REF, STRING_REF, type StructView } from "../update/visitor.ts";
import { readLastValue } from "../report/content-value.ts";
import { type SchemaItem, SchemaPath, type StoredPath } from "./schema-path.ts";

const ROOT_NAME = new TextEncoder().encode("sys");
const KEY_NAME = new TextEncoder().encode("schemaVersion");

/** Schema versions are small; times, the other numbers clients store under keys, are not. */
const MAX_LIKELY_VERSION = 1_000_000;

/** Whether the room has this clock, before the update that is being looked at. */
export type Knows = (client: number, clock: number) => boolean;

export class SchemaWatch {
  readonly path: SchemaPath;
  /** Items whose predecessor the room does not have, oldest first. */
  #orphans: SchemaItem[] = [];
  #orphanClients = new Set<number>();
  /** Of the update being looked at. */
  #found: SchemaItem[] = [];
  /** Clocks of `#found` per client, ascending as the update has them: pairs of first clock and end. */
  readonly #foundClocks = new Map<number, number[]>();
  #knows: Knows = () => false;
  /** Something was passed over that may matter: only a scan of everything tells. */
  isLost = false;
  /** Changed since the owner last stored it and set this to false. */
  isChanged = false;

  constructor(path: SchemaPath = new SchemaPath(), orphans: readonly SchemaItem[] = []) {
    this.path = path;
    this.#keep(orphans);
  }

  /** Begins an update; forgets one that was begun and not taken. */
  begin(knows: Knows): void {
    this.#knows = knows;
    if (this.#found.length === 0) return;
    this.#found = [];
    this.#foundClocks.clear();
  }

  /**
   * Looks at one struct that is news, in the order of the update.
   * @param from its first clock that is news, above `view.clock` when what lies before is known
   */
  look(view: StructView, bytes: Uint8Array, from: number): void {
    if (view.rightClient !== -1) return;
    let { originClient, originClock } = view;
    const { client, ref } = view;
    if (from > view.clock) {
      originClient = client;
      originClock = from - 1;
    }
    if (ref === STRING_REF || ref === GC_REF || ref === SKIP_REF || ref === FORMAT_REF || ref === EMBED_REF) return;
    if (originClient === -1) {
      if (view.parentKind !== 1 || view.subStart < 0 || !isText(bytes, view.subStart, view.subEnd, KEY_NAME)) return;
      if (!isText(bytes, view.parentNameStart, view.parentNameEnd, ROOT_NAME)) return;
    } else if (!this.path.has(originClient, originClock) && !this.#isOpen(originClient, originClock)) {
      // What the room knows and does not hang on the path never will; nor does what hangs on it.
      if (originClient === client || this.#knows(originClient, originClock)) {
        if (this.path.isTrimmed && isLikelyVersion(versionOf(view, bytes))) this.isLost = true;
        return;
      }
    }
    if (this.#found.length >= LIMITS.maxSchemaCandidates) {
      this.isLost = true;
      return;
    }
    const end = view.clock + view.length;
    this.#found.push({ client, clock: from, end, originClient, originClock, value: versionOf(view, bytes), isDeleted: ref === DELETED_REF });
    const clocks = this.#foundClocks.get(client);
    if (clocks === undefined) this.#foundClocks.set(client, [from, end]);
    else if (clocks.at(-1) === from) clocks[clocks.length - 1] = end;
    else clocks.push(from, end);
  }

  /** Whether this clock was found in the update or waits for its predecessor. */
  #isOpen(client: number, clock: number): boolean {
    if (this.#orphanClients.has(client) && this.#orphans.some((item) => item.client === client && item.clock <= clock && clock < item.end)) return true;
    const clocks = this.#foundClocks.get(client);
    if (clocks === undefined) return false;
    let low = 0;
    let high = clocks.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (clocks[middle * 2 + 1]! > clock) high = middle;
      else low = middle + 1;
    }
    return low < clocks.length / 2 && clocks[low * 2]! <= clock;
  }

  /**
   * The update is taken: places what was found.
   * @param knows whether the room has a clock, now
   */
  take(knows: Knows): void {
    if (this.#found.length === 0) return;
    const items = [...this.#orphans, ...this.#found];
    this.#found = [];
    this.#foundClocks.clear();
    const waiting = new Children(items);
    const isPlaced = new Set<SchemaItem>();
    const next = items.filter((item) => item.originClient < 0 || this.path.has(item.originClient, item.originClock));
    for (let item = next.pop(); item !== undefined; item = next.pop()) {
      if (isPlaced.has(item)) continue;
      const placement = this.path.place(item);
      if (placement === "unrelated") continue;
      isPlaced.add(item);
      if (placement === "lost") continue;
      this.isChanged = true;
      next.push(...waiting.of(item));
    }
    // Kept is what hangs on something unknown, directly or over others that do.
    const kept: SchemaItem[] = [];
    const open = items.filter((item) => !isPlaced.has(item) && item.originClient >= 0 && !knows(item.originClient, item.originClock));
    const isKept = new Set<SchemaItem>();
    for (let item = open.pop(); item !== undefined; item = open.pop()) {
      if (isKept.has(item) || isPlaced.has(item)) continue;
      isKept.add(item);
      kept.push(item);
      open.push(...waiting.of(item));
    }
    if (kept.length > 0 || this.#orphans.length > 0) this.isChanged = true;
    if (kept.length > LIMITS.maxSchemaOrphans) this.isLost = true;
    this.#keep(kept.slice(-LIMITS.maxSchemaOrphans));
  }

  #keep(orphans: readonly SchemaItem[]): void {
    this.#orphans = [...orphans];
    this.#orphanClients = new Set(orphans.map((item) => item.client));
  }

  /** Notes deletions that came. */
  deleted(deletes: DeleteSet): void {
    if (deletes.isEmpty || this.path.isDeleted === true) return;
    const { last } = this.path;
    if (last === null || !deletes.isDeleted(last.client, last.clock)) return;
    this.path.isDeleted = true;
    this.isChanged = true;
  }

  /** As stored. */
  toJSON(): StoredWatch {
    return {
      ...this.path.toJSON(),
      orphans: this.#orphans.map((item) => [item.client, item.clock, item.end, item.originClient, item.originClock, item.value, item.isDeleted ? 1 : 0]),
    };
  }

  static fromJSON(stored: StoredWatch): SchemaWatch {
    const orphans = stored.orphans.map(([client, clock, end, originClient, originClock, value, isDeleted]) => ({
      client: client!,
      clock: clock!,
      end: end!,
      originClient: originClient!,
      originClock: originClock!,
      value: value!,
      isDeleted: isDeleted === 1,
    }));
    return new SchemaWatch(SchemaPath.fromJSON(stored), orphans);
  }
}

/** A watch in JSON: per orphan client, clock, end, origin client and clock, value, and 1 when deleted. */
export interface StoredWatch extends StoredPath {
  readonly orphans: readonly (readonly (number | null)[])[];
}

/** Items by the client of their origin, sorted by its clock. */
class Children {
  readonly #byClient = new Map<number, SchemaItem[]>();

  constructor(items: readonly SchemaItem[]) {
    for (const item of items) {
      const list = this.#byClient.get(item.originClient);
      if (list === undefined) this.#byClient.set(item.originClient, [item]);
      else list.push(item);
    }
    for (const list of this.#byClient.values()) list.sort((a, b) => a.originClock - b.originClock);
  }

  /** Those that hang on a clock of `parent`. */
  *of(parent: SchemaItem): Generator<SchemaItem, void> {
    const list = this.#byClient.get(parent.client) ?? [];
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (list[middle]!.originClock >= parent.clock) high = middle;
      else low = middle + 1;
    }
    for (let at = low; at < list.length && list[at]!.originClock < parent.end; at++) yield list[at]!;
  }
}

function versionOf(view: StructView, bytes: Uint8Array): number | null {
  if (view.ref === DELETED_REF) return null;
  const entry = readLastValue(bytes, view.ref, view.contentStart, view.length);
  if (entry.kind !== "scalar" || typeof entry.value !== "number") return null;
  return Number.isInteger(entry.value) && entry.value >= 0 ? entry.value : null;
}

function isLikelyVersion(value: number | null): boolean {
  return value !== null && value <= MAX_LIKELY_VERSION;
}

function isText(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start !== text.byteLength) return false;
  for (let at = 0; at < text.byteLength; at++) if (bytes[start + at] !== text[at]) return false;
  return true;
}
