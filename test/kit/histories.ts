import * as Y from "yjs";
import { plainDoc, switchOffFormatCleanup } from "./compare.ts";
import { randomEdit } from "./random-edits.ts";
import { Random } from "./random.ts";

/** What a random history may hold; everything else follows from the seed. */
export interface HistoryOptions {
  /** Edits, syncs and accidents played. */
  readonly steps: number;
  /** Surrogate pairs, cut anywhere; such histories do not converge in Yjs itself (update laws, T6). */
  readonly surrogates: boolean;
  /** Updates vanish on the way, so gaps stay open for a while, or for good without `settle`. */
  readonly loss: boolean;
  /** At the end everybody syncs twice with the room. */
  readonly settle: boolean;
  /** Authors clean up format marks after remote transactions, as stock clients do; their deletions are edits like others. */
  readonly formatCleanup: boolean;
}

export const DEFAULT_HISTORY: HistoryOptions = { steps: 40, surrogates: false, loss: false, settle: true, formatCleanup: false };

/** One update as it reached the room. */
export interface Delivery {
  readonly author: number;
  readonly update: Uint8Array;
}

export interface History {
  readonly seed: number;
  readonly options: HistoryOptions;
  /** In order of arrival at the room. */
  readonly deliveries: readonly Delivery[];
  readonly authors: readonly Y.Doc[];
}

/** What the history's authors talk to. */
export interface HistoryRoom {
  receive(update: Uint8Array, author: number): void;
  /** What a client with that encoded vector lacks, with the delete set. */
  serve(vector: Uint8Array): Uint8Array;
  /** The room's encoded vector. */
  vector(): Uint8Array;
}

/** A room that is a plain document: the reference. */
export class DocRoom implements HistoryRoom {
  readonly doc = plainDoc();

  receive(update: Uint8Array): void {
    Y.applyUpdate(this.doc, update, "remote");
  }

  serve(vector: Uint8Array): Uint8Array {
    return Y.encodeStateAsUpdate(this.doc, vector);
  }

  vector(): Uint8Array {
    return Y.encodeStateVector(this.doc);
  }
}

interface Author {
  doc: Y.Doc;
  undo: Y.UndoManager | null;
  /** Own updates not sent yet. */
  outbox: Uint8Array[];
  /** Deliveries seen. */
  seen: number;
  offline: boolean;
}

const ALL_ROOTS = (doc: Y.Doc): Y.AbstractType<unknown>[] =>
  [doc.getText("text"), doc.getMap("map"), doc.getArray("array"), doc.getXmlFragment("xml"), doc.getMap("sys")] as Y.AbstractType<unknown>[];

/**
 * Plays a random history: two to four authors edit, go offline, come back, send updates one by one, merged, in part (Skips),
 * again or re-cut, restart from what the room serves, and may lose updates. Same seed, options and room answers, same history.
 * @param atPoint called some five times, between two steps, with what has arrived so far.
 */
export function playHistory(
  seed: number,
  options: Partial<HistoryOptions> = {},
  room: HistoryRoom = new DocRoom(),
  atPoint: (random: Random, authors: readonly Y.Doc[]) => void = () => {},
): History {
  const player = new Player(seed, { ...DEFAULT_HISTORY, ...options }, room);
  return player.play(atPoint);
}

class Player {
  readonly #seed: number;
  readonly #options: HistoryOptions;
  readonly #room: HistoryRoom;
  readonly #random: Random;
  readonly #deliveries: Delivery[] = [];
  readonly #authors: Author[] = [];
  readonly #clientIds = new Set<number>();

  constructor(seed: number, options: HistoryOptions, room: HistoryRoom) {
    this.#seed = seed;
    this.#options = options;
    this.#room = room;
    this.#random = new Random(seed);
    const count = this.#random.int(2, 4);
    for (let index = 0; index < count; index += 1) this.#authors.push(this.#newAuthor());
  }

  play(atPoint: (random: Random, authors: readonly Y.Doc[]) => void): History {
    const pointEvery = Math.max(1, Math.floor(this.#options.steps / 5));
    const docs = (): Y.Doc[] => this.#authors.map((author) => author.doc);
    for (let step = 1; step <= this.#options.steps; step += 1) {
      this.#step(this.#random.int(0, this.#authors.length - 1));
      if (step % pointEvery === 0) atPoint(this.#random, docs());
    }
    if (this.#options.settle) this.#settle();
    return { seed: this.#seed, options: this.#options, deliveries: this.#deliveries, authors: docs() };
  }

  #newAuthor(): Author {
    const random = this.#random;
    const doc = new Y.Doc({ gc: random.chance(0.8), guid: "history" });
    do doc.clientID = random.chance(0.3) ? random.int(1, 200) : random.int(1, 0xffff_ffff);
    while (this.#clientIds.has(doc.clientID));
    this.#clientIds.add(doc.clientID);
    if (!this.#options.formatCleanup) switchOffFormatCleanup(doc);
    const roots = ALL_ROOTS(doc);
    const undo = random.chance(0.5) ? new Y.UndoManager(roots, { trackedOrigins: new Set(["local"]), captureTimeout: 0 }) : null;
    const author: Author = { doc, undo, outbox: [], seen: 0, offline: false };
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "remote") author.outbox.push(update);
    });
    return author;
  }

  #step(index: number): void {
    const random = this.#random;
    const author = this.#authors[index] as Author;
    const kind = random.unit();
    if (kind < 0.5) this.#edit(author);
    else if (kind < 0.56) author.offline = !author.offline;
    else if (kind < 0.59) this.#restart(index);
    else if (author.offline) this.#edit(author);
    else if (kind < 0.76) this.#push(index, author);
    else if (kind < 0.92) this.#pull(author);
    else if (kind < 0.96) this.#resync(index, author);
    else this.#repeat(index, author);
  }

  #edit(author: Author): void {
    const { undo } = author;
    if (undo !== null && undo.canUndo() && this.#random.chance(0.12)) undo.undo();
    else if (undo !== null && undo.canRedo() && this.#random.chance(0.3)) undo.redo();
    else randomEdit(author.doc, this.#random, this.#options);
  }

  #push(index: number, author: Author): void {
    const random = this.#random;
    const outbox = author.outbox.splice(0);
    if (outbox.length === 0) return;
    const kind = random.unit();
    if (kind < 0.6) for (const update of outbox) this.#deliver(index, update);
    else if (kind < 0.8) this.#deliver(index, Y.mergeUpdates(outbox));
    else {
      // A random part first: what it skips shows as Skip structs or as a gap, until the rest comes.
      const first = outbox.filter(() => random.chance(0.5));
      const rest = outbox.filter((update) => !first.includes(update));
      if (first.length > 0) this.#deliver(index, Y.mergeUpdates(first));
      if (rest.length > 0) this.#deliver(index, Y.mergeUpdates(random.shuffle(rest)));
    }
  }

  #pull(author: Author): void {
    const random = this.#random;
    if (random.chance(0.3)) {
      Y.applyUpdate(author.doc, this.#room.serve(Y.encodeStateVector(author.doc)), "remote");
      author.seen = this.#deliveries.length;
      return;
    }
    const end = random.chance(0.7) ? this.#deliveries.length : random.int(author.seen, this.#deliveries.length);
    for (; author.seen < end; author.seen += 1) {
      const delivery = this.#deliveries[author.seen] as Delivery;
      Y.applyUpdate(author.doc, delivery.update, "remote");
    }
  }

  /** Step 1 and 2 both ways, as after a reconnect. */
  #resync(index: number, author: Author): void {
    author.outbox = [];
    this.#deliver(index, Y.encodeStateAsUpdate(author.doc, this.#room.vector()), false);
    Y.applyUpdate(author.doc, this.#room.serve(Y.encodeStateVector(author.doc)), "remote");
    author.seen = this.#deliveries.length;
  }

  /** An old delivery again, or the author's state cut anew: from anywhere, so it may begin behind a gap. */
  #repeat(index: number, author: Author): void {
    const random = this.#random;
    if (random.chance(0.5) && this.#deliveries.length > 0) {
      const old = random.pick(this.#deliveries);
      this.#deliver(old.author, old.update);
      return;
    }
    const state = Y.encodeStateAsUpdate(author.doc);
    if (this.#options.surrogates) {
      this.#deliver(index, state);
      return;
    }
    const from = new Map([...Y.decodeStateVector(Y.encodeStateVector(author.doc))].map(([client, clock]) => [client, random.int(0, clock)]));
    this.#deliver(index, Y.diffUpdate(state, Y.encodeStateVector(from)));
  }

  /** A new client id, loaded from the room. Where updates may be lost, so are unsent edits, though a re-cut state may have shown some. */
  #restart(index: number): void {
    if (!this.#options.loss) this.#push(index, this.#authors[index] as Author);
    const author = this.#newAuthor();
    Y.applyUpdate(author.doc, this.#room.serve(Y.encodeStateVector(author.doc)), "remote");
    author.seen = this.#deliveries.length;
    author.outbox = [];
    this.#authors[index] = author;
  }

  #deliver(author: number, update: Uint8Array, mayLose = true): void {
    if (mayLose && this.#options.loss && this.#random.chance(0.12)) return;
    this.#deliveries.push({ author, update });
    this.#room.receive(update, author);
  }

  #settle(): void {
    for (let round = 0; round < 2; round += 1) {
      for (const [index, author] of this.#authors.entries()) this.#resync(index, author);
    }
  }
}

/** Runs `body` for each seed and names the seed of a failure. The seeds are `first` to `first + count - 1`. */
export function forSeeds(count: number, body: (seed: number) => void, first = Number(process.env["PROPERTY_SEED"] ?? 1)): void {
  for (let seed = first; seed < first + count; seed += 1) {
    try {
      body(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}
