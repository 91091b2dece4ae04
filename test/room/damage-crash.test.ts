import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import type { ClientRange } from "../../src/update/news.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { difference, plainDoc } from "../kit/compare.ts";
import { DocClient } from "../kit/doc-client.ts";
import type { Faults } from "../kit/faulty-sql.ts";
import { Random } from "../kit/random.ts";
import { TestRoom } from "../kit/test-room.ts";

/** Crash points tried per kind of damage; the hour-long run sets it. */
const SAMPLES = Number(process.env["CRASH_RUNS"] ?? 2) * 4;

const FLIP = "CAST(substr(data, 1, length(data) / 2) || x'ff' || substr(data, length(data) / 2 + 2) AS BLOB)";

/** One kind of damage: what is done to the database, what of the vault it hits, and rows with bytes to keep. */
interface Damage {
  readonly name: string;
  readonly sql: string;
  readonly hits: "oldest chunk" | "youngest chunk" | "first journal row" | "deletions";
  readonly keptRows: number;
}

const DAMAGES: readonly Damage[] = [
  { name: "oldest chunk", sql: `UPDATE room_chunk SET data = ${FLIP} WHERE row = (SELECT min(row) FROM room_chunk)`, hits: "oldest chunk", keptRows: 1 },
  { name: "youngest chunk", sql: `UPDATE room_chunk SET data = ${FLIP} WHERE row = (SELECT max(row) FROM room_chunk)`, hits: "youngest chunk", keptRows: 1 },
  { name: "journal data", sql: `UPDATE room_journal SET data = ${FLIP} WHERE slot = 1`, hits: "first journal row", keptRows: 1 },
  { name: "journal summary", sql: `UPDATE room_journal SET summary = x'0102030405060708' WHERE slot = 1`, hits: "first journal row", keptRows: 1 },
  { name: "journal gap", sql: `DELETE FROM room_journal WHERE slot = 1`, hits: "first journal row", keptRows: 0 },
  { name: "delete row", sql: `UPDATE room_deletes SET data = ${FLIP} WHERE row = 1`, hits: "deletions", keptRows: 1 },
];

/** A room whose owner left, damaged on disk, then woken by readers, strangers and the owner, with a fault on the way. */
class DamagedRoom {
  readonly room = new TestRoom();
  readonly owner = new DocClient(plainDoc([], { clientId: 1_000 }));
  /** New to the room, with something of its own. */
  readonly stranger = new DocClient(plainDoc([], { clientId: 2_000 }));
  readonly readers: DocClient[] = [];
  readonly where: string;
  readonly promised: Uint8Array[] = [];
  readonly #damage: Damage;
  readonly #kept: readonly ClientRange[];
  readonly #all: readonly ClientRange[];

  constructor(damage: Damage, faults: Faults) {
    this.#damage = damage;
    this.where = `${damage.name} ${JSON.stringify(faults)}`;
    const { room, owner } = this;
    room.connect(owner);
    room.pass(2_000);
    for (let note = 0; note < 12; note += 1) {
      const text = owner.doc.getText("text");
      text.insert(Math.floor(text.length / 2), `note ${note} `.repeat(9_000));
      if (note % 2 === 0) text.delete(0, 500);
      room.pass(1_100);
    }
    room.look((r) => withoutPauses(r.compact()));
    for (let edit = 0; edit < 3; edit += 1) {
      owner.doc.getText("text").insert(10 * edit, `edit ${edit}`);
      owner.doc.getText("text").delete(500, 3);
      room.pass(1_100);
    }
    room.disconnect(owner);
    // What was receipted until now may lie in the row that is about to be hit.
    owner.sent = [];
    room.pass(2_000);
    const { chunks, journal } = room.look((r) => ({ chunks: r.store.index.chunks, journal: r.store.journal }));
    expect([chunks.length > 1, journal.length > 1], this.where).toEqual([true, true]);
    // By row as the statement goes, not by place in the index: a folded chunk is young and stands in front.
    const ids = chunks.map((chunk) => chunk.id);
    const hitId = { "oldest chunk": Math.min(...ids), "youngest chunk": Math.max(...ids), "first journal row": null, deletions: null }[damage.hits];
    const parts = [
      ...chunks.map((chunk) => ({
        hit: chunk.id === hitId,
        ranges: [...chunk.runs].map((run) => ({ client: run.client, from: run.clock, to: run.end })),
      })),
      ...journal.map((row) => ({ hit: damage.hits === "first journal row" && row.slot === 1, ranges: row.ranges })),
    ];
    this.#all = parts.flatMap((part) => part.ranges);
    this.#kept = parts.filter((part) => !part.hit).flatMap((part) => part.ranges);
    room.sql.inner.database.exec(damage.sql);
    room.kill();
    room.sql.faults = faults;
  }

  /** Everything that can happen to a damaged room, until the end or its death. */
  play(): this {
    const { room, owner, stranger } = this;
    const comes = (client: DocClient): void => {
      if (client === stranger) stranger.doc.getMap("map").set("mine", "stranger");
      room.connect(client);
    };
    const steps = [
      () => this.read(),
      () => comes(stranger),
      () => room.pass(1_500),
      // A checkpoint while something is lost must not forget it.
      () => room.turn((r) => compactIfPossible(r)),
      () => this.checkStored(),
      () => comes(owner),
      () => room.pass(1_500),
      () => owner.doc.getText("text").insert(0, "after the healing"),
      () => room.pass(1_500),
      () => room.turn((r) => compactIfPossible(r)),
      () => this.read(),
      () => room.pass(1_500),
    ];
    for (const step of steps) {
      step();
      if (room.deaths > 1) break;
      room.settle();
    }
    return this;
  }

  read(): DocClient {
    const reader = new DocClient(plainDoc([], { clientId: 9_000 + this.readers.length }));
    this.readers.push(reader);
    this.room.connect(reader);
    this.room.settle();
    return reader;
  }

  /** The instance is gone; what had left it arrives, and what it promised counts. */
  arrive(): void {
    for (const client of [this.owner, this.stranger, ...this.readers]) {
      client.read();
      if (client !== this.owner && client !== this.stranger) this.checkReader(client);
      this.promised.push(...client.promised());
      client.lost();
    }
  }

  /** All or nothing: nobody is served around a hole. */
  checkReader(reader: DocClient): void {
    const { where } = this;
    expect(reader.doc.store.pendingStructs, where).toBe(null);
    if (reader.answers === 0) {
      expect(reader.relayed, where).toBe(0);
      return;
    }
    const vector = Y.decodeStateVector(Y.encodeStateVector(reader.doc));
    for (const range of this.#all) expect(vector.get(range.client) ?? 0, `${where}: a reader was served around ${range.client}:${range.from}`).toBeGreaterThanOrEqual(range.to);
  }

  /** What is stored or named as lost, before anybody brings anything back. */
  checkStored(): void {
    const { room, where } = this;
    const state = room.look((r) => {
      const has = (range: ClientRange): boolean => r.store.clocks.has(range.client, range.from, range.to);
      const { lost, lostUnknown } = r.store;
      return {
        health: r.health.kind,
        gone: this.#kept.filter((range) => !has(range)),
        unnamed: lostUnknown ? [] : this.#all.filter((range) => !has(range) && !lost.some((gone) => gone.client === range.client && gone.from <= range.from && range.to <= gone.to)),
        broken: this.promised.flatMap(rangesOf).filter((range) => !has(range)),
      };
    });
    expect(state.health, where).not.toBe("unreadable");
    expect(state.gone, `${where}: gone from rows that were whole`).toEqual([]);
    expect(state.unnamed, `${where}: missing without a name`).toEqual([]);
    expect(state.broken, `${where}: receipted and gone`).toEqual([]);
  }

  /** The owner has everything: after it came, so has the room, for good. */
  heal(): void {
    const { room, owner, stranger, where } = this;
    for (const client of [owner, stranger]) if (!client.online || client.peer.closed !== null) room.connect(client);
    room.settle();
    owner.doc.getText("text").insert(0, "proof");
    if (!stranger.doc.getMap("map").has("mine")) stranger.doc.getMap("map").set("mine", "stranger");
    for (let round = 0; round < 5; round += 1) {
      room.pass(2_000);
      for (const client of [stranger, owner]) {
        if (client.peer.closed === null) continue;
        room.disconnect(client);
        room.connect(client);
      }
    }
    expect(owner.durableFrames, where).toBe(owner.sent.length);
    expect(room.look((r) => [r.health.kind, r.store.lost, r.store.lostUnknown]), where).toEqual(["healthy", [], false]);
    for (let life = 0; life < 2; life += 1) {
      const fresh = this.read();
      expect(fresh.answers, where).toBe(1);
      expect(difference(fresh.doc, owner.doc), where).toBe(null);
      room.look((r) => withoutPauses(r.compact()));
      room.kill();
      room.turn(() => expect(room.sql.exec("SELECT count(*) AS n FROM room_damaged"), where).toEqual([{ n: this.#damage.keptRows }]));
    }
    expect(owner.doc.getMap("map").get("mine"), where).toBe("stranger");
  }
}

/** A compaction an admin asks for; it may fail with the fault under test. */
function compactIfPossible(room: { compact(): Generator<null, unknown> }): void {
  try {
    withoutPauses(room.compact());
  } catch {
    // The caller looks at the room, not at this answer.
  }
}

function rangesOf(update: Uint8Array): ClientRange[] {
  return Y.decodeUpdate(update).structs.map(({ id, length }) => ({ client: id.client, from: id.clock, to: id.clock + length }));
}

describe("damage and crashes together", () => {
  for (const damage of DAMAGES) {
    it(`[DG3] [SV5] ${damage.name}: wherever the instance dies on the way, the rest is kept, the lost is named, and the owner heals it`, () => {
      const calm = new DamagedRoom(damage, {}).play();
      expect(calm.room.deaths, damage.name).toBe(1);
      const { statements, commits } = calm.room.sql;
      calm.arrive();
      calm.room.kill();
      calm.checkStored();
      calm.heal();

      const random = new Random(statements * 31 + commits);
      const points = (count: number, most: number): number[] => random.shuffle(Array.from({ length: most }, (_, at) => at + 1)).slice(0, count);
      const faults: Faults[] = [
        ...points(SAMPLES, statements).map((n) => ({ crashAtStatement: n })),
        ...points(SAMPLES / 4, commits).map((n) => ({ failCommit: n })),
        ...points(SAMPLES / 4, commits).map((n) => ({ crashAfterCommit: n })),
      ];
      for (const fault of faults) {
        const story = new DamagedRoom(damage, fault).play();
        expect(story.room.deaths, `${story.where}: the fault must strike`).toBe(2);
        story.arrive();
        story.checkStored();
        const reader = story.read();
        story.checkReader(reader);
        story.checkStored();
        story.heal();
      }
    });
  }
});
