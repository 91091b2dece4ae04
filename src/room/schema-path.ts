/**
 * The list behind the map key `sys.schemaVersion`, as far as it decides the current value (update laws, A5).
 *
 * Every set of a map key is an item with its predecessor as origin and no right origin, so the list is a tree written in preorder, siblings ascending by
 * client id, and the rightmost item wins. What has to be kept is one path: from the winning first set down to the current one. An item counts when it hangs
 * on the path, and replaces what follows there when its client id is higher; whatever loses once never wins again, nor does anything that hangs on it.
 *
 * The path is kept as runs, because each clock of a longer item is the child of the clock before it.
 */
import { LIMITS } from "../limits.ts";

/** Clocks `clock` to `end - 1` of one client, each the child of the one before. */
interface PathRun {
  readonly client: number;
  readonly clock: number;
  readonly end: number;
}

/** One set of the key, or several of one client in a row. */
export interface SchemaItem {
  readonly client: number;
  readonly clock: number;
  /** Clock after the last. */
  readonly end: number;
  /** The predecessor, client -1 for a first set. */
  readonly originClient: number;
  readonly originClock: number;
  /** The version its last clock sets: an integer from 0 on, or null for everything else. */
  readonly value: number | null;
  /** Its content is gone already. */
  readonly isDeleted: boolean;
}

/** `unrelated`: it hangs on nothing of the path. */
export type Placement = "placed" | "lost" | "unrelated";

export class SchemaPath {
  #runs: PathRun[] = [];
  /** Places of each client's runs, ascending: almost no item needs a closer look. */
  readonly #places = new Map<number, number[]>();
  /** The version its end sets. */
  value: number | null = null;
  /** Whether its end is deleted; null when nobody has looked since it was placed. */
  isDeleted: boolean | null = null;
  /** Client of the first set, -1 while there is none. */
  #rootClient = -1;
  /** The older part was dropped. */
  #isTrimmed = false;

  get runCount(): number {
    return this.#runs.length;
  }

  get isTrimmed(): boolean {
    return this.#isTrimmed;
  }

  /** The id that sets the current value, or null. */
  get last(): { readonly client: number; readonly clock: number } | null {
    const run = this.#runs.at(-1);
    return run === undefined ? null : { client: run.client, clock: run.end - 1 };
  }

  has(client: number, clock: number): boolean {
    return this.#find(client, clock) >= 0;
  }

  /** Puts an item in its place. Each item must be offered once its predecessor was; the order among others does not matter. */
  place(item: SchemaItem): Placement {
    let keep = 0;
    let cutEnd = -1;
    if (item.originClient < 0) {
      if (this.#rootClient >= item.client) return "lost";
      this.#rootClient = item.client;
      this.#isTrimmed = false;
    } else {
      const at = this.#find(item.originClient, item.originClock);
      if (at < 0) return "unrelated";
      const run = this.#runs[at]!;
      const isInside = item.originClock + 1 < run.end;
      const rival = isInside ? run : this.#runs[at + 1];
      if (rival !== undefined && rival.client >= item.client) return "lost";
      keep = at + 1;
      if (isInside) cutEnd = item.originClock + 1;
    }
    while (this.#runs.length > keep) this.#places.get(this.#runs.pop()!.client)!.pop();
    if (cutEnd >= 0) this.#runs[keep - 1] = { ...this.#runs[keep - 1]!, end: cutEnd };
    const last = this.#runs.at(-1);
    if (last !== undefined && last.client === item.client && last.end === item.clock) this.#runs[this.#runs.length - 1] = { ...last, end: item.end };
    else this.#push({ client: item.client, clock: item.clock, end: item.end });
    this.value = item.value;
    this.isDeleted = item.isDeleted ? true : null;
    return "placed";
  }

  /** Drops the older half when there are more than `maxSchemaPathRuns`. An item that hangs on that part cannot be placed any more. */
  trim(): void {
    if (this.#runs.length <= LIMITS.maxSchemaPathRuns) return;
    const kept = this.#runs.slice(-Math.floor(LIMITS.maxSchemaPathRuns / 2));
    this.#runs = [];
    this.#places.clear();
    for (const run of kept) this.#push(run);
    this.#isTrimmed = true;
  }

  #push(run: PathRun): void {
    const places = this.#places.get(run.client);
    if (places === undefined) this.#places.set(run.client, [this.#runs.length]);
    else places.push(this.#runs.length);
    this.#runs.push(run);
  }

  /** Where on the path a clock stands, or -1. Newest first: what comes in hangs on the end, as a rule. */
  #find(client: number, clock: number): number {
    const places = this.#places.get(client);
    if (places === undefined) return -1;
    for (let i = places.length - 1; i >= 0; i--) {
      const run = this.#runs[places[i]!]!;
      if (run.clock <= clock && clock < run.end) return places[i]!;
    }
    return -1;
  }

  /** As stored: plain numbers, three per run. */
  toJSON(): StoredPath {
    return {
      runs: this.#runs.flatMap((run) => [run.client, run.clock, run.end - run.clock]),
      value: this.value,
      deleted: this.isDeleted,
      root: this.#rootClient,
      trimmed: this.#isTrimmed,
    };
  }

  static fromJSON(stored: StoredPath): SchemaPath {
    const path = new SchemaPath();
    for (let at = 0; at + 2 < stored.runs.length; at += 3) {
      const clock = stored.runs[at + 1]!;
      path.#push({ client: stored.runs[at]!, clock, end: clock + stored.runs[at + 2]! });
    }
    path.value = stored.value;
    path.isDeleted = stored.deleted;
    path.#rootClient = stored.root;
    path.#isTrimmed = stored.trimmed;
    return path;
  }
}

/** A path in JSON. */
export interface StoredPath {
  readonly runs: readonly number[];
  readonly value: number | null;
  readonly deleted: boolean | null;
  readonly root: number;
  readonly trimmed: boolean;
}
