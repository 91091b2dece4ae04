import * as Y from "yjs";
import type { DeleteSet } from "../../src/update/delete-set.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { difference, plainDoc } from "./compare.ts";
import { DocClient } from "./doc-client.ts";
import type { Faults } from "./faulty-sql.ts";
import { PresentClient } from "./present-client.ts";
import { randomEdit } from "./random-edits.ts";
import { Random } from "./random.ts";
import { TestRoom } from "./test-room.ts";

/** What a crash history may hold; the rest follows from the seed. */
export interface CrashHistoryOptions {
  /** Things that happen: edits, losses of connection, reconnects, pauses, checkpoints. */
  readonly steps: number;
  /** Some edits bring more than a journal row holds, some of these behind a gap. */
  readonly oversized: boolean;
  /** The room hibernates when nothing keeps it awake. */
  readonly hibernates: boolean;
  /** Clients show their presence and change it between the steps; the steps are the same as without. */
  readonly presence?: boolean;
}

/** Stands in every presence state, and nowhere else. */
export const PRESENCE_MARK = "presence-mark";

const FAT_CHARS = 30_000;
const OVERSIZED_CHARS = 1_600_000;
/** Enough time for every window and retry pause a history can bring about. */
const QUIET_MS = 130_000;

/**
 * Clients with real documents on one room, played from a seed: same seed, options and room answers, same history. A fault ends it at the death of the instance;
 * statement and commit numbers of `faults` count over the whole history, hibernations included.
 */
export class CrashHistory {
  readonly seed: number;
  readonly room: TestRoom;
  readonly clients: DocClient[] = [];
  /** Updates whose frame some receipt covers, on whatever connection. */
  readonly promised = new Set<Uint8Array>();
  /** Vectors that receipts called durable. */
  readonly promisedVectors: Uint8Array[] = [];
  /** Connections the server closed. */
  serverCloses = 0;
  readonly #options: CrashHistoryOptions;
  readonly #random: Random;
  readonly #presenceRandom: Random | null;
  readonly #faults: Faults;
  #statementsBefore = 0;
  #commitsBefore = 0;
  #texts = 0;
  #secondLife = false;

  constructor(seed: number, options: CrashHistoryOptions, faults: Faults = {}) {
    this.seed = seed;
    this.#options = options;
    this.#faults = faults;
    this.#random = new Random(seed);
    this.room = new TestRoom(faults);
    this.#presenceRandom = options.presence === true ? new Random(seed + 1) : null;
    const count = this.#random.int(2, 4);
    for (let at = 0; at < count; at += 1) {
      const doc = plainDoc([], { clientId: 1_000 + at });
      this.clients.push(options.presence === true ? new PresentClient(doc) : new DocClient(doc));
    }
  }

  get died(): boolean {
    return this.room.deaths > 0;
  }

  /** The instance died and the history is not in its second life yet. */
  get #ended(): boolean {
    return this.died && !this.#secondLife;
  }

  get statements(): number {
    return this.#statementsBefore + this.room.sql.statements;
  }

  get commits(): number {
    return this.#commitsBefore + this.room.sql.commits;
  }

  /** Plays until the end or the death of the instance. */
  play(): this {
    for (const client of this.clients.slice(0, 2)) if (!this.died) this.#connect(client);
    for (let step = 0; step < this.#options.steps && !this.died; step += 1) this.#step();
    if (!this.died) this.room.pass(QUIET_MS);
    this.note();
    return this;
  }

  #step(): void {
    const { room } = this;
    this.#movePresence();
    const random = this.#random;
    const kind = random.unit();
    const client = random.pick(this.clients);
    const pauseMs = random.pick([0, 300, 1_100, 6_000]);
    if (kind < 0.5) randomEdit(client.doc, random, { surrogates: false });
    else if (kind < 0.56) this.#insert(client, FAT_CHARS);
    else if (kind < 0.58 && this.#options.oversized) this.#insert(client, OVERSIZED_CHARS);
    else if (kind < 0.7) room.pass(pauseMs);
    else if (kind < 0.76) room.settle();
    else if (kind < 0.82) room.turn((instance) => void compactIfPossible(instance));
    else if (kind < 0.9) {
      if (client.online) this.#disconnect(client);
    } else if (kind < 0.97) {
      if (!client.online) this.#comeBack(client);
    } else if (this.#options.hibernates && room.timers.pending === 0) this.hibernate();
    this.note();
    this.#reap();
  }

  /** Connects; where huge edits may be, sometimes with one before the room has what was written offline: it waits behind a gap. */
  #comeBack(client: DocClient): void {
    const pastes = this.#options.oversized && this.#random.chance(0.6);
    if (pastes) client.doc.getText("text").insert(0, "offline ");
    this.#connect(client);
    if (!pastes || this.#ended) return;
    this.#insertNow(client, OVERSIZED_CHARS);
    // The client reads what it is asked only after the room has stored this.
    for (const frame of client.outbox.splice(0)) if (!this.died) this.room.turn((room) => room.receive(client.peer, frame));
    this.room.timers.advance(1_100);
  }

  /** Somebody's cursor moves, or is gone. */
  #movePresence(): void {
    const random = this.#presenceRandom;
    if (random === null || random.chance(0.3)) return;
    const client = random.pick(this.clients) as PresentClient;
    client.awareness.setLocalState(random.chance(0.1) ? null : { name: PRESENCE_MARK, cursor: random.int(0, 1_000) });
    if (random.chance(0.5)) this.room.settle();
  }

  #insert(client: DocClient, chars: number): void {
    // A client that has answered the room has no gap.
    this.room.settle();
    this.#insertNow(client, chars);
  }

  #insertNow(client: DocClient, chars: number): void {
    this.#texts += 1;
    const text = client.doc.getText("text");
    text.insert(Math.min(text.length, 3), String.fromCharCode(97 + (this.#texts % 26)).repeat(chars));
  }

  hibernate(): void {
    const { room } = this;
    this.#statementsBefore += room.sql.statements;
    this.#commitsBefore += room.sql.commits;
    room.hibernate();
    room.sql.faults = this.#remainingFaults();
  }

  #remainingFaults(): Faults {
    const { failStatements, crashAtStatement, failCommit, crashAfterCommit } = this.#faults;
    return {
      ...(failStatements === undefined ? {} : { failStatements: new Set([...failStatements].map((n) => n - this.#statementsBefore)) }),
      ...(crashAtStatement === undefined ? {} : { crashAtStatement: crashAtStatement - this.#statementsBefore }),
      ...(failCommit === undefined ? {} : { failCommit: failCommit - this.#commitsBefore }),
      ...(crashAfterCommit === undefined ? {} : { crashAfterCommit: crashAfterCommit - this.#commitsBefore }),
    };
  }

  #connect(client: DocClient): void {
    this.room.connect(client);
  }

  #disconnect(client: DocClient): void {
    client.read();
    this.note();
    this.room.disconnect(client);
  }

  /** A client whose connection the server closed comes back, as providers do. */
  #reap(): void {
    for (const client of this.clients) {
      if (this.#ended || !client.online || client.peer.closed?.by !== "server") continue;
      this.serverCloses += 1;
      this.#disconnect(client);
      if (!this.#ended) this.#connect(client);
    }
  }

  /** Writes down what the receipts so far promise. */
  note(): void {
    for (const client of this.clients) {
      for (const update of client.promised()) this.promised.add(update);
      const vector = client.receipts.at(-1)?.sv;
      if (vector !== undefined && this.promisedVectors.at(-1) !== vector) this.promisedVectors.push(vector);
    }
  }

  /** After the death of the instance: what had left it before still arrives, then the connections are gone. */
  arrive(): void {
    for (const client of this.clients) {
      client.read();
      client.lost();
    }
    this.note();
  }

  /** Everybody who is away connects; then all is quiet. */
  everybodyBack(): void {
    this.#secondLife = true;
    for (let round = 0; round < 4; round += 1) {
      for (const client of this.clients) if (!client.online) this.#connect(client);
      this.room.pass(QUIET_MS);
      this.note();
      this.#reap();
    }
  }

  /** The first promise that `doc`, served by the room, and the room's held structs do not keep; null when all are kept. */
  brokenPromise(doc: Y.Doc): string | null {
    const vector = Y.decodeStateVector(Y.encodeStateVector(doc));
    const stored = this.room.look((room) => ({ held: room.store.held.map((held) => held.update), deletes: room.store.readDeletes() }));
    const held = stored.held.flatMap((update) => rangesOf(update));
    for (const update of this.promised) {
      const { structs, ds } = Y.decodeUpdate(update);
      for (const { id, length } of structs) {
        const end = id.clock + length;
        if (end <= (vector.get(id.client) ?? 0)) continue;
        if (held.some((range) => range.client === id.client && range.from <= id.clock && end <= range.to)) continue;
        return `struct ${id.client}@${id.clock}+${length} (vector ${vector.get(id.client) ?? 0})`;
      }
      for (const [client, ranges] of ds.clients) {
        for (const { clock, len } of ranges) {
          if (isDeleted(doc, client, clock, len, vector.get(client) ?? 0, stored.deletes)) continue;
          return `deletion ${client}@${clock}+${len}`;
        }
      }
    }
    for (const promised of this.promisedVectors) {
      for (const [client, clock] of Y.decodeStateVector(promised)) {
        if ((vector.get(client) ?? 0) < clock) return `vector ${client}:${clock} (has ${vector.get(client) ?? 0})`;
      }
    }
    return null;
  }

  /** What differs between any two clients, or null. */
  divergence(others: readonly DocClient[] = []): string | null {
    const [first, ...rest] = [...this.clients, ...others];
    for (const [at, client] of rest.entries()) {
      const found = difference(client.doc, first!.doc);
      if (found !== null) return `client ${at + 1}: ${found.slice(0, 2_000)}`;
    }
    return null;
  }
}

/** A compaction an admin asks for; it may be refused while a large delta is stored, or fail with the fault under test. */
function compactIfPossible(room: { compact(): Generator<null, unknown> }): void {
  try {
    withoutPauses(room.compact());
  } catch {
    // The caller looks at the room, not at this answer.
  }
}

function rangesOf(update: Uint8Array): { client: number; from: number; to: number }[] {
  return Y.decodeUpdate(update).structs.map(({ id, length }) => ({ client: id.client, from: id.clock, to: id.clock + length }));
}

/** Whether all clocks are deleted: in the document as far as it reaches, beyond it in what the room stores. */
function isDeleted(doc: Y.Doc, client: number, clock: number, length: number, reach: number, stored: DeleteSet): boolean {
  const snapshot = Y.snapshot(doc);
  for (let at = clock; at < clock + length; at += 1) {
    if (at < reach) {
      const range = (snapshot.ds.clients.get(client) ?? []).find((found) => found.clock <= at && at < found.clock + found.len);
      if (range === undefined) return false;
      at = range.clock + range.len - 1;
    } else if (!isIn(stored, client, at)) return false;
  }
  return true;
}

function isIn(set: DeleteSet, client: number, clock: number): boolean {
  const ranges = set.ranges(client);
  if (ranges === undefined) return false;
  const first = set.overlap(client, clock, clock + 1) * 2;
  return first < ranges.length;
}
