import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { updateFrame } from "../../src/protocol/frames.ts";
import { readMeta } from "../../src/storage/room-meta.ts";
import { DeleteSet, union } from "../../src/update/delete-set.ts";
import { splitNews } from "../../src/update/news.ts";
import { ByteWriter } from "../../src/update/varint.ts";
import { SchemaPath } from "../../src/room/schema-path.ts";
import { SchemaWatch } from "../../src/room/schema-watch.ts";
import { DocClient } from "../kit/doc-client.ts";
import { forSeeds } from "../kit/histories.ts";
import { Random } from "../kit/random.ts";
import { TestRoom } from "../kit/test-room.ts";

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
    const states = this.docs.map((doc) => Y.encodeStateAsUpdate(doc));
    for (const doc of this.docs) for (const state of states) Y.applyUpdate(doc, state, "remote");
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
      for (let step = 0; step < 40; step++) {
        authors.step();
        if (random.chance(0.4)) for (const update of authors.deliveries()) give(update);
      }
      for (const update of authors.settle()) give(update);
      expect(doc.store.pendingStructs).toBe(null);
      expect(room.version).toBe(versionOf(doc));
    });
    expect(compared).toBeGreaterThan(2_000);
  });

  it("[SC1] [SC3] a real room knows it over commits, checkpoints, sleep, death and a lost record", () => {
    forSeeds(40, (seed) => {
      const random = new Random(seed ^ 0x5c4e);
      const authors = new Authors(random);
      const room = new TestRoom();
      let doc = new Y.Doc();
      const carrier = new DocClient(new Y.Doc());
      room.connect(carrier);
      room.pass(0);
      const current = (): number | null => room.look((r) => r.schema.current(r.isStaging));
      const give = (update: Uint8Array): void => {
        carrier.outbox.push(updateFrame(update));
        room.settle();
        Y.applyUpdate(doc, update);
        if (random.chance(0.3)) room.pass(random.pick([0, 300, 2_000]));
        if (doc.store.pendingStructs === null && random.chance(0.7)) expect(current()).toBe(versionOf(doc));
      };
      for (let step = 0; step < 40; step++) {
        authors.step();
        if (random.chance(0.4)) for (const update of authors.deliveries()) give(update);
        if (random.chance(0.08)) {
          // Killed at any moment: what it knows is of what it still has, no more and no less.
          room.kill();
          room.connect(carrier);
          room.pass(0);
          doc = new Y.Doc();
          const joiner = new DocClient();
          room.connect(joiner);
          room.settle();
          room.disconnect(joiner);
          Y.applyUpdate(doc, Y.encodeStateAsUpdate(joiner.doc));
          for (const held of room.look((r) => r.store.held.map((row) => row.update))) Y.applyUpdate(doc, held);
          if (doc.store.pendingStructs === null) expect(current(), "killed").toBe(versionOf(doc));
        }
        if (random.chance(0.1)) {
          room.pass(2_000);
          expect(room.look((r) => r.window.isEmpty)).toBe(true);
          if (random.chance(0.3)) room.look((r) => [...r.compact()]);
          // A room of before it kept this.
          if (random.chance(0.2) && room.look((r) => !r.store.isFresh)) room.look(() => room.sql.exec(`DELETE FROM room_meta WHERE key = 'schema_path'`));
          if (random.chance(0.5)) room.hibernate();
          else {
            room.kill();
            room.connect(carrier);
            room.pass(0);
          }
        }
      }
      for (const update of authors.settle()) give(update);
      room.pass(2_000);
      expect(current()).toBe(versionOf(doc));
      room.kill();
      expect(current(), "as stored").toBe(versionOf(doc));
      // While nobody knows the version, older servers' record cannot follow it.
      if (room.look((r) => !r.store.isFresh && readMeta(room.sql, "schema_path") !== null)) {
        expect((room.keys.get("roomMeta") as { schemaVersion: number | null } | undefined)?.schemaVersion ?? null, "roomMeta").toBe(versionOf(doc));
      }
      if (room.look((r) => !r.store.isFresh)) room.look(() => room.sql.exec(`DELETE FROM room_meta WHERE key = 'schema_path'`));
      room.kill();
      expect(current(), "looked up").toBe(versionOf(doc));
    });
  });

  it("[SC1] a path over its limit keeps its newer half, and what hangs on the older is found by looking everything up", () => {
    const random = new Random(7);
    const room = new WatchedUpdates();
    const main = new Y.Doc();
    const updates: Uint8Array[] = [];
    main.on("update", (update: Uint8Array) => updates.push(update));
    const sets = LIMITS.maxSchemaPathRuns + 40;
    const late = new Y.Doc();
    for (let start = 1; start <= sets; start++) {
      main.clientID = random.int(1_000, 0xffff_ff00);
      main.getMap("sys").set("schemaVersion", start % 5);
      room.receive(updates.at(-1)!);
      room.watch.path.trim();
      if (room.version !== start % 5) throw new Error(`set ${start}: ${room.version}`);
      if (start === 20) Y.applyUpdate(late, Y.encodeStateAsUpdate(main));
    }
    expect(room.watch.path.runCount).toBeLessThanOrEqual(LIMITS.maxSchemaPathRuns);
    expect(room.watch.path.isTrimmed).toBe(true);
    // Who slept since the twentieth set comes back, with an id that wins against the twenty-first.
    late.clientID = 0xffff_ffff;
    const vector = Y.encodeStateVector(late);
    late.getMap("sys").set("schemaVersion", 7);
    const update = Y.encodeStateAsUpdate(late, vector);
    room.receive(update);
    Y.applyUpdate(main, update);
    expect(room.watch.isLost).toBe(true);
    const again = new WatchedUpdates();
    for (const known of updates) again.receive(known);
    expect(again.version).toBe(versionOf(main));
    expect(versionOf(main)).toBe(7);
  });

  it("[LM1] [SC1] what may hang on something unknown is kept up to a limit; over it the version is looked up anew", () => {
    const updateOf = (count: number): Uint8Array => {
      const writer = new ByteWriter();
      for (const number of [1, count, 77, 0]) writer.varUint(number);
      // ContentAny with one integer, hanging on another client's clocks, which nobody has.
      for (let clock = 0; clock < count; clock++) {
        writer.byte(0x88);
        for (const number of [99, clock, 1, 125, 3]) writer.varUint(number);
      }
      writer.varUint(0);
      return writer.finish();
    };
    const few = new WatchedUpdates();
    few.receive(updateOf(LIMITS.maxSchemaOrphans));
    expect([few.watch.isLost, few.watch.toJSON().orphans.length, few.version]).toEqual([false, LIMITS.maxSchemaOrphans, null]);
    const many = new WatchedUpdates();
    many.receive(updateOf(LIMITS.maxSchemaCandidates + 10));
    expect([many.watch.isLost, many.watch.toJSON().orphans.length]).toEqual([true, LIMITS.maxSchemaOrphans]);
  });

  it("[SC1] many concurrent first sets, in the worst order for it, cost no more than their number", () => {
    const path = new SchemaPath();
    const item = { end: 1, clock: 0, originClient: -1, originClock: -1, value: 1, isDeleted: false };
    for (let client = 1; client <= 100_000; client++) path.place({ ...item, client });
    expect(path.runCount).toBe(1);
    // Then a long path, and a rival for its end, again and again.
    for (let depth = 1; depth <= 100_000; depth++) path.place({ ...item, client: 200_000 + depth, originClient: depth === 1 ? 100_000 : 199_999 + depth, originClock: 0 });
    expect(path.runCount).toBe(100_001);
    for (let rival = 1; rival <= 100_000; rival++) path.place({ ...item, client: 400_000 + rival, originClient: 299_999, originClock: 0 });
    expect(path.runCount).toBe(100_001);
    expect(path.last).toEqual({ client: 500_000, clock: 0 });
  });
});

describe("a client with an older schema", () => {
  const CLIENT = { door: "vault", text: true } as const;
  const STOCK = { door: "sync", text: false } as const;

  function roomOfVersion(version: unknown): TestRoom {
    const room = new TestRoom();
    const author = new DocClient();
    room.connect(author);
    room.pass(0);
    author.doc.getMap("sys").set("schemaVersion", version);
    room.pass(2_000);
    room.disconnect(author);
    room.pass(2_000);
    return room;
  }

  function connect(room: TestRoom, options: Parameters<TestRoom["connect"]>[1]): DocClient {
    const client = new DocClient();
    room.connect(client, options);
    room.settle();
    return client;
  }

  it("[SC2] is refused at the YAOS door with both versions, fatally, and at the stock doors with 4426", () => {
    const room = roomOfVersion(3);
    for (const act of [() => {}, () => room.hibernate(), () => room.kill()]) {
      act();
      const old = connect(room, { ...CLIENT, schema: 2 });
      const json = '{"type":"error","code":"update_required","reason":"client_schema_older_than_room","clientSchemaVersion":2,"roomSchemaVersion":3}';
      expect([old.texts, old.peer.closed]).toEqual([[json, `__YPS:${json}`], { code: 1008, reason: "update required", by: "server" }]);
      const stock = connect(room, { ...STOCK, schema: 0 });
      expect([stock.texts, stock.peer.closed]).toEqual([[], { code: 4426, reason: "update required", by: "server" }]);
    }
    expect(room.look((r) => [r.stats.connects, r.stats.refusedConnects])).toEqual([0, 2]);
  });

  it("[SC2] a newer client, one that names none, and everybody in a room without a version are let in", () => {
    const room = roomOfVersion(3);
    for (const schema of [3, 4, 99, null]) expect(connect(room, { ...CLIENT, schema }).peer.closed).toBe(null);
    expect(connect(room, STOCK).peer.closed).toBe(null);
    for (const version of ["3", -1, 1.5, null]) expect(connect(roomOfVersion(version), { ...CLIENT, schema: 0 }).peer.closed).toBe(null);
    expect(connect(new TestRoom(), { ...CLIENT, schema: 0 }).peer.closed).toBe(null);
  });

  it("[SC2] is refused as soon as a newer client has set it, before that is durable", () => {
    const room = roomOfVersion(1);
    const newer = connect(room, { ...CLIENT, schema: 2 });
    newer.doc.getMap("sys").set("schemaVersion", 2);
    room.settle();
    expect(room.look((r) => r.window.isEmpty)).toBe(false);
    expect(connect(room, { ...CLIENT, schema: 1 }).peer.closed?.code).toBe(1008);
  });

  it("[SC3] the record costs a row when the version changes and none otherwise, and looking it up writes nothing", () => {
    const room = roomOfVersion(3);
    const client = connect(room, { ...CLIENT, schema: 3 });
    room.pass(2_000);
    const rowsOf = (edit: () => void): number => {
      const before = room.sql.rowsWritten;
      edit();
      room.pass(5_000);
      return room.sql.rowsWritten - before;
    };
    expect(rowsOf(() => client.doc.getText("t").insert(0, "x"))).toBe(1);
    expect(rowsOf(() => client.doc.getMap("sys").set("lastSync", 1))).toBe(1);
    expect(rowsOf(() => client.doc.getMap("sys").set("schemaVersion", 4))).toBe(2);
    room.look(() => room.sql.exec(`DELETE FROM room_meta WHERE key = 'schema_path'`));
    room.kill();
    const before = room.sql.rowsWritten;
    expect(connect(room, { ...CLIENT, schema: 3 }).peer.closed?.code).toBe(1008);
    room.pass(5_000);
    expect(room.sql.rowsWritten).toBe(before);
    const writer = connect(room, { ...CLIENT, schema: 4 });
    room.pass(2_000);
    writer.doc.getText("t").insert(0, "y");
    room.pass(5_000);
    expect(room.look(() => readMeta(room.sql, "schema_path"))).not.toBe(null);
  });

  it("[SC4] roomMeta follows the version, and stays as it is while the version does", () => {
    const room = roomOfVersion(2);
    const first = room.keys.get("roomMeta");
    expect(first).toEqual({ schemaVersion: 2, updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string });
    const client = connect(room, CLIENT);
    client.doc.getMap("sys").set("schemaVersion", 2);
    room.pass(5_000);
    expect(room.keys.get("roomMeta")).toEqual(first);
    client.doc.getMap("sys").delete("schemaVersion");
    room.pass(5_000);
    expect(room.keys.get("roomMeta")).toMatchObject({ schemaVersion: null });
    room.keys.set("roomMeta", { schemaVersion: "2", updatedAt: 1 });
    expect(room.look((r) => r.schema.roomMeta)).toBe(null);
  });

  it("[SC3] a version set in an update too large for a row is kept with its publication", () => {
    const room = new TestRoom();
    const author = new DocClient();
    room.connect(author);
    room.pass(0);
    author.doc.transact(() => {
      author.doc.getText("t").insert(0, "x".repeat(3_000_000));
      author.doc.getMap("sys").set("schemaVersion", 5);
    });
    room.settle();
    room.pass(5_000);
    room.pass(5_000);
    expect(room.look((r) => r.stats.oversized)).toBe(1);
    expect(room.look(() => readMeta(room.sql, "schema_path"))).not.toBe(null);
    room.kill();
    expect(connect(room, { ...CLIENT, schema: 4 }).peer.closed?.code).toBe(1008);
  });

  it("[SC3] whichever statement of the commit fails, or kills the room, the version is that of what is stored", () => {
    for (const how of ["fail", "crash"] as const) {
      for (let nth = 1; nth <= 14; nth++) {
        const room = roomOfVersion(2);
        const client = connect(room, CLIENT);
        room.pass(2_000);
        client.doc.getMap("sys").set("schemaVersion", 3);
        room.settle();
        const at = room.sql.statements + nth;
        room.sql.faults = how === "fail" ? { failStatements: new Set([at]) } : { crashAtStatement: at };
        room.timers.runDue();
        room.sql.faults = {};
        room.kill();
        const joiner = connect(room, CLIENT);
        room.pass(0);
        expect(room.look((r) => r.schema.current(false)), `${how} at ${nth}`).toBe(versionOf(joiner.doc));
      }
    }
  });

  it("[SC2] a room whose chunks cannot be read lets everybody in, as one without a version", () => {
    const room = roomOfVersion(3);
    room.look((r) => [...r.compact()]);
    room.look(() => {
      room.sql.exec(`DELETE FROM room_meta WHERE key = 'schema_path'`);
      room.sql.exec(`UPDATE room_chunk SET data = zeroblob(length(data))`);
    });
    room.kill();
    expect(connect(room, { ...CLIENT, schema: 1 }).texts.some((frame) => frame.includes("update_required"))).toBe(false);
  });
});
