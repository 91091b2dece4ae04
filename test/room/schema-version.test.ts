import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { DeleteSet, union } from "../../src/update/delete-set.ts";
import { splitNews } from "../../src/update/news.ts";
import { SchemaWatch } from "../../src/room/schema-watch.ts";
import { forSeeds } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";

/** What the document says, as the room is to read it. */
function versionOf(doc: Y.Doc): number | null {
  const value = doc.getMap("sys").get("schemaVersion");
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : null;
}

/** Authors that set, overwrite and delete the version, now and then something else; their updates leave in any order. */
class Authors {
  readonly docs: Y.Doc[] = [];
  readonly outbox: Uint8Array[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    for (let left = random.int(2, 4); left > 0; left--) this.add();
  }

  add(from?: Y.Doc): Y.Doc {
    const doc = new Y.Doc({ gc: this.#random.chance(0.8) });
    doc.clientID = this.#random.chance(0.3) ? this.#random.int(1, 99) * 100 + this.docs.length : this.#random.int(1, 0xffff_ffff);
    if (from !== undefined) Y.applyUpdate(doc, Y.encodeStateAsUpdate(from), "remote");
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "remote") this.outbox.push(update);
    });
    this.docs.push(doc);
    return doc;
  }

  step(): void {
    const random = this.#random;
    const doc = random.pick(this.docs);
    const sys = doc.getMap<unknown>("sys");
    const kind = random.unit();
    if (kind < 0.35) sys.set("schemaVersion", random.int(0, 9));
    else if (kind < 0.4) sys.set("schemaVersion", random.pick<unknown>(["3", null, undefined, -1, 2.5, true, [4], { version: 5 }, new Y.Map(), new Uint8Array([1])]));
    else if (kind < 0.48) sys.delete("schemaVersion");
    else if (kind < 0.54) {
      // Several sets at once: one transaction, one struct run.
      doc.transact(() => {
        for (let times = random.int(2, 5); times > 0; times--) sys.set("schemaVersion", random.int(0, 9));
        if (random.chance(0.3)) sys.delete("schemaVersion");
      });
    } else if (kind < 0.6) sys.set("schemaUpdatedAt", random.int(0, 9));
    else if (kind < 0.64) doc.getMap("meta").set("schemaVersion", random.int(0, 9));
    else if (kind < 0.7) doc.getText("t").insert(0, "word ");
    else if (kind < 0.75) doc.getArray("sys-list").push([random.int(0, 9), "x"]);
    else if (kind < 0.93) {
      // One hears of another, which the room need not hear of: tabs of one browser do so.
      const other = random.pick(this.docs);
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(other, random.chance(0.5) ? Y.encodeStateVector(doc) : undefined), "remote");
    } else if (kind < 0.96 && this.docs.length < 9) this.add(random.pick(this.docs));
  }

  /** Takes some of what waits, in a form a client might send it in: whole, merged, reordered, in part, again. */
  deliveries(): Uint8Array[] {
    const random = this.#random;
    if (random.chance(0.15)) {
      const doc = random.pick(this.docs);
      const ends = [...Y.decodeStateVector(Y.encodeStateVector(doc))].map(([client, clock]) => [client, random.int(0, clock)] as const);
      return [Y.diffUpdate(Y.encodeStateAsUpdate(doc), Y.encodeStateVector(new Map(ends)))];
    }
    const count = Math.min(this.outbox.length, random.int(0, 6));
    const taken = random.chance(0.5) ? this.outbox.splice(0, count) : random.shuffle(this.outbox).slice(0, count);
    const again = taken.filter(() => random.chance(0.1));
    const lost = taken.filter(() => !random.chance(0.15));
    if (lost.length > 1 && random.chance(0.3)) return [Y.mergeUpdates(lost), ...again];
    return [...lost, ...again];
  }

  /** Everybody learns everything; each sends all of it. */
  settle(): Uint8Array[] {
    for (let round = 0; round < 2; round++) {
      for (const doc of this.docs) for (const other of this.docs) Y.applyUpdate(doc, Y.encodeStateAsUpdate(other), "remote");
    }
    return this.#random.shuffle(this.docs).map((doc) => Y.encodeStateAsUpdate(doc));
  }
}

/** The watch behind nothing but the codec: what a room does with an update, held structs included. */
class WatchedUpdates {
  readonly known = new Map<number, number>();
  watch = new SchemaWatch();
  deletes = DeleteSet.empty;
  #held: Uint8Array[] = [];

  receive(update: Uint8Array): void {
    const { deletes, held } = this.#read(update);
    this.deletes = union(this.deletes, deletes);
    this.watch.deleted(deletes);
    if (held !== null) this.#held.push(held);
    for (let moved = true; moved; ) {
      moved = false;
      for (const waiting of this.#held.splice(0)) {
        const read = this.#read(waiting);
        moved ||= read.took;
        if (read.held !== null) this.#held.push(read.held);
      }
    }
  }

  #read(update: Uint8Array): { deletes: DeleteSet; held: Uint8Array | null; took: boolean } {
    const knows = (client: number, clock: number): boolean => clock < (this.known.get(client) ?? 0);
    this.watch.begin(knows);
    const news = splitNews(update, (client) => this.known.get(client) ?? 0, (view, bytes, from) => this.watch.look(view, bytes, from));
    for (const range of news.ready) this.known.set(range.client, range.to);
    this.watch.take(knows);
    return { deletes: news.deletes, held: news.heldUpdate, took: news.ready.length > 0 };
  }

  get version(): number | null {
    const { path } = this.watch;
    const { last } = path;
    if (last === null || path.isDeleted === true || this.deletes.isDeleted(last.client, last.clock)) return null;
    return path.value;
  }
}

describe("schema version of a room", () => {
  it("[SC1] equals the document's, whatever order, form and repetition the updates come in", () => {
    let compared = 0;
    forSeeds(300, (seed) => {
      const random = new Random(seed);
      const authors = new Authors(random);
      const room = new WatchedUpdates();
      const doc = new Y.Doc();
      const give = (update: Uint8Array): void => {
        room.receive(update);
        Y.applyUpdate(doc, update);
        // As the room that wakes up knows it.
        if (random.chance(0.2)) room.watch = SchemaWatch.fromJSON(JSON.parse(JSON.stringify(room.watch)) as ReturnType<SchemaWatch["toJSON"]>);
        // A document does not take what waits for something; the room takes it and knows that it hangs in the air.
        if (doc.store.pendingStructs !== null) return;
        compared += 1;
        expect(room.version).toBe(versionOf(doc));
      };
      for (let step = 0; step < 60; step++) {
        authors.step();
        if (random.chance(0.4)) for (const update of authors.deliveries()) give(update);
      }
      for (const update of authors.settle()) give(update);
      expect(doc.store.pendingStructs).toBe(null);
      expect(room.version).toBe(versionOf(doc));
    });
    expect(compared).toBeGreaterThan(2_000);
  });
});
