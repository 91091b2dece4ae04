/**
 * Counts a vault's files from update bytes: the `documentSummary` of the debug answer (compat sheet, 7.4), without a document.
 *
 * Feed it every stored struct once, in any order (a repeat does no harm), then `finish`. It keeps the items that may stand behind a map key
 * and drops text as it passes, so memory follows map entries, their overwritten values included, not the notes. Unlike older servers it counts
 * nested metadata (schema 3) too.
 *
 * Read only structs that are part of the vault: nothing held behind a gap.
 */
import { type EntryValue, isTombstone, readLastValue, readText } from "./content-value.ts";
import { MapItems } from "./map-items.ts";
import {
  DELETED_REF,
  EMBED_REF,
  FORMAT_REF,
  GC_REF,
  SKIP_REF,
  STRING_REF,
  type StructView,
  type UpdateVisitor,
} from "../update/visitor.ts";

/** All counts are numbers of map entries. A "path" is an entry of `meta` with a readable path; two ids with one path count twice. */
export interface DocumentSummary {
  /** Entries of `meta` that are not tombstones. */
  readonly activePathCount: number;
  /** Entries of `meta` with a finite `deletedAt` or `deleted: true`. */
  readonly tombstonedPathCount: number;
  /** Sizes of the three maps. */
  readonly metaCount: number;
  readonly pathToIdCount: number;
  readonly idToTextCount: number;
  /** Active paths whose id, as `pathToId` names it, is in `idToText`. */
  readonly activePathsWithText: number;
  /** Active paths that `pathToId` does not name: all of them in a vault born with schema 2 or later. */
  readonly activePathsMissingFromPathToId: number;
  /** Active paths that `pathToId` names, with an id that is not in `idToText`. */
  readonly activePathsMissingText: number;
  /** Entries of `pathToId` that are no active path. */
  readonly pathToIdWithoutActiveMeta: number;
  /** `sys.schemaVersion` as it stands; null when absent or no scalar. */
  readonly schemaVersion: string | number | boolean | null;
}

/** Which clocks are deleted. A room's delete set answers this. */
export interface DeletedClocks {
  isDeleted(client: number, clock: number): boolean;
}

/** Heads of lists, by map key. */
type Heads = Map<string, number[]>;

/** The fields of nested metadata that matter here. */
const FIELDS: ReadonlySet<string> = new Set(["path", "deleted", "deletedAt"]);

export class DocumentSummaryCounter {
  readonly #deletes: DeletedClocks;
  readonly #items = new MapItems();
  /** Values of items that are not deleted, by item number. */
  readonly #values = new Map<number, EntryValue>();
  readonly #roots: ReadonlyMap<string, Heads> = new Map([
    ["meta", new Map()],
    ["pathToId", new Map()],
    ["idToText", new Map()],
    ["sys", new Map()],
    ["pathToBlob", new Map()],
  ]);
  /** First sets of keys of nested types: which item, of which parent, under which key. */
  readonly #nested: { item: number; parentClient: number; parentClock: number; key: string }[] = [];

  /** @param deletes the room's whole delete set: base, deltas and journal */
  constructor(deletes: DeletedClocks) {
    this.#deletes = deletes;
  }

  /** Bytes the collected items take, about. */
  get estimateBytes(): number {
    return this.#items.count * 60 + this.#values.size * 120;
  }

  /** A visitor that collects from `bytes`, for one pass of `readUpdate` or any number of `readRun`. Delete ranges in them are not looked at. */
  visitor(bytes: Uint8Array): UpdateVisitor {
    // The struct before, when it cannot be behind a map key: what continues it is not, either.
    let client = -1;
    let clock = -1;
    return {
      struct: (view) => {
        const follows = view.client === client && view.originClient === client && view.clock === clock && view.originClock === clock - 1;
        const collected = !follows && this.#collect(bytes, view);
        // Behind a Skip the struct before is one that stands elsewhere.
        client = collected || view.ref === SKIP_REF ? -1 : view.client;
        clock = view.clock + view.length;
      },
    };
  }

  /** Counts. Call once, after all structs were visited. */
  finish(): DocumentSummary {
    this.#items.link();
    const meta = this.#current("meta");
    const pathToId = this.#current("pathToId");
    const idToText = this.#current("idToText");
    const nested = this.#nestedFields();

    const activePaths = new Set<string>();
    let activePathCount = 0;
    let tombstonedPathCount = 0;
    let activePathsWithText = 0;
    let activePathsMissingFromPathToId = 0;
    let activePathsMissingText = 0;
    for (const item of meta.values()) {
      const file = this.#file(item, nested);
      if (file === undefined) continue;
      if (file.deleted) {
        tombstonedPathCount++;
        continue;
      }
      activePathCount++;
      activePaths.add(file.path);
      const entry = pathToId.get(file.path);
      const id = entry === undefined ? undefined : this.#values.get(entry);
      if (id === undefined || (id.kind === "scalar" && !id.value)) activePathsMissingFromPathToId++;
      else if (id.kind === "scalar" && typeof id.value === "string" && idToText.has(id.value)) activePathsWithText++;
      else activePathsMissingText++;
    }
    let pathToIdWithoutActiveMeta = 0;
    for (const path of pathToId.keys()) if (!activePaths.has(path)) pathToIdWithoutActiveMeta++;

    return {
      activePathCount,
      tombstonedPathCount,
      metaCount: meta.size,
      pathToIdCount: pathToId.size,
      idToTextCount: idToText.size,
      activePathsWithText,
      activePathsMissingFromPathToId,
      activePathsMissingText,
      pathToIdWithoutActiveMeta,
      schemaVersion: this.#scalar(this.#current("sys").get("schemaVersion")) ?? null,
    };
  }

  /** Entries of `pathToBlob`: paths of attachments, which older servers kept in R2. Call after `finish`. */
  get blobPathCount(): number {
    return this.#current("pathToBlob").size;
  }

  /** Keeps the struct if it may stand behind a map key. Returns whether it, or what continues it, may. */
  #collect(bytes: Uint8Array, view: StructView): boolean {
    // Values of map keys are never text, formats or embeds, and never have a right origin. Children of GC structs are GC themselves.
    if (view.ref === GC_REF || view.ref === SKIP_REF || view.ref === STRING_REF || view.ref === EMBED_REF || view.ref === FORMAT_REF) return false;
    if (view.rightClient >= 0) return false;
    if (view.originClient >= 0) {
      this.#add(bytes, view);
      return true;
    }
    if (view.subStart < 0) return false;
    const key = readText(bytes, view.subStart, view.subEnd);
    if (view.parentKind === 1) {
      const name = readText(bytes, view.parentNameStart, view.parentNameEnd);
      const heads = this.#roots.get(name);
      if (heads === undefined || (name === "sys" && key !== "schemaVersion")) return false;
      const item = this.#add(bytes, view);
      const rivals = heads.get(key);
      if (rivals === undefined) heads.set(key, [item]);
      else rivals.push(item);
      return true;
    }
    if (view.parentKind !== 2 || !FIELDS.has(key)) return false;
    this.#nested.push({ item: this.#add(bytes, view), parentClient: view.parentClient, parentClock: view.parentClock, key });
    return true;
  }

  #add(bytes: Uint8Array, view: StructView): number {
    const item = this.#items.add(view.client, view.clock, view.length, view.originClient, view.originClock);
    const deleted = view.ref === DELETED_REF || this.#deletes.isDeleted(view.client, view.clock + view.length - 1);
    if (!deleted) this.#values.set(item, readLastValue(bytes, view.ref, view.contentStart, view.length));
    return item;
  }

  /** Present keys of a root map with the item of each one's value. */
  #current(root: string): Map<string, number> {
    const present = new Map<string, number>();
    for (const [key, heads] of this.#roots.get(root) ?? []) {
      const item = this.#items.rightmost(heads);
      if (this.#values.has(item)) present.set(key, item);
    }
    return present;
  }

  /** Heads of the fields of nested types, by the item that holds the type. */
  #nestedFields(): Map<number, Heads> {
    const fields = new Map<number, Heads>();
    for (const { item, parentClient, parentClock, key } of this.#nested) {
      const parent = this.#items.find(parentClient, parentClock);
      if (this.#values.get(parent)?.kind !== "map") continue;
      const heads = fields.get(parent) ?? new Map<string, number[]>();
      fields.set(parent, heads);
      const rivals = heads.get(key);
      if (rivals === undefined) heads.set(key, [item]);
      else rivals.push(item);
    }
    return fields;
  }

  #file(item: number, nested: ReadonlyMap<number, Heads>): { path: string; deleted: boolean } | undefined {
    const value = this.#values.get(item);
    if (value?.kind === "file") return value;
    if (value?.kind !== "map") return undefined;
    const field = (key: string): string | number | boolean | null | undefined =>
      this.#scalar(this.#items.rightmost(nested.get(item)?.get(key) ?? []));
    const path = field("path");
    return typeof path === "string" ? { path, deleted: isTombstone(field("deleted"), field("deletedAt")) } : undefined;
  }

  #scalar(item: number | undefined): string | number | boolean | null | undefined {
    const value = item === undefined ? undefined : this.#values.get(item);
    return value?.kind === "scalar" ? value.value : undefined;
  }
}
