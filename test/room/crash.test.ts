import { describe, expect, it } from "vitest";
import { CrashHistory, type CrashHistoryOptions } from "../kit/crash-history.ts";
import { difference, plainDoc } from "../kit/compare.ts";
import { DocClient } from "../kit/doc-client.ts";
import type { Faults } from "../kit/faulty-sql.ts";
import { Random } from "../kit/random.ts";
import { TestRoom } from "../kit/test-room.ts";

/** How many seeds each kind of history is played with; the hour-long run sets it. */
const RUNS = Number(process.env["CRASH_RUNS"] ?? 2);
const SHORT: CrashHistoryOptions = { steps: 25, oversized: false, hibernates: true };
const LONG: CrashHistoryOptions = { steps: 160, oversized: false, hibernates: true };
const HUGE: CrashHistoryOptions = { steps: 50, oversized: true, hibernates: true };
/** Crash points tried in a long history. */
const SAMPLES = 8;

/** A reader who has nothing: what it gets is what the room kept. */
function reader(): DocClient {
  return new DocClient(plainDoc([], { clientId: 9 }));
}

function degradedTexts(client: DocClient): string[] {
  return client.texts.filter((text) => text.includes("yaos/degraded"));
}

function checkFrames(history: CrashHistory, where: string): void {
  const { framesReceived, ...outcomes } = history.room.look((room) => ({ ...room.counters }));
  expect(
    Object.values(outcomes).reduce((sum, count) => sum + count, 0),
    where,
  ).toBe(framesReceived);
}

/** Every client has a receipt for all it sent, and nobody differs from anybody. */
function checkSettled(history: CrashHistory, others: readonly DocClient[], where: string): void {
  expect(history.room.look((room) => room.health.kind), where).toBe("healthy");
  for (const client of history.clients) {
    expect(client.durableFrames, `${where}: frames of client ${client.doc.clientID} without a receipt`).toBe(client.sent.length);
    expect(client.doc.store.pendingStructs, where).toBeNull();
  }
  expect(history.divergence(others), where).toBeNull();
  checkFrames(history, where);
}

/**
 * After a death: first only a reader looks, then everybody comes back.
 * @param killed the whole process went, and the note outside the object with it
 */
function examine(history: CrashHistory, killed: boolean, where: string): void {
  const { room } = history;
  history.arrive();
  if (killed) room.kill();
  const expected = room.noteStands ? "unproven" : "healthy";

  const fresh = reader();
  room.connect(fresh);
  room.settle();
  expect(room.look((instance) => instance.health.kind), where).toBe(expected);
  expect(history.brokenPromise(fresh.doc), `${where}: broken promise`).toBeNull();
  expect(fresh.doc.store.pendingStructs, where).toBeNull();
  expect(fresh.answers, where).toBe(1);
  expect(room.sql.rowsWritten, `${where}: waking wrote`).toBe(0);
  expect(fresh.receipts.length > 0, `${where}: receipts while ${expected}`).toBe(expected === "healthy");
  expect(degradedTexts(fresh).length, where).toBe(expected === "healthy" ? 0 : 1);

  history.everybodyBack();
  const last = history.clients[0]!;
  last.doc.getText("text").insert(0, "proof");
  room.pass(5_000);
  history.note();
  checkSettled(history, [fresh], where);
  expect(fresh.durableFrames, `${where}: the reader's receipt`).toBe(fresh.sent.length);
  if (expected === "unproven") expect(degradedTexts(fresh).at(-1), where).toContain(`"reason":null`);
  room.kill();
  const later = reader();
  room.connect(later);
  room.settle();
  expect(history.brokenPromise(later.doc), `${where}: broken promise at the end`).toBeNull();
}

function crashAt(seed: number, options: CrashHistoryOptions, faults: Faults, killed: boolean): void {
  const history = new CrashHistory(seed, options, faults).play();
  const where = `seed ${seed} ${JSON.stringify(faults)} ${killed ? "killed" : "reset"}`;
  expect(history.died, `${where}: the fault must strike`).toBe(true);
  examine(history, killed, where);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at + 1);
}

function sampleCrashes(seed: number, options: CrashHistoryOptions, samples: number): void {
  const { statements, commits } = new CrashHistory(seed, options).play();
  const random = new Random(seed);
  for (let sample = 0; sample < samples; sample += 1) {
    crashAt(seed, options, { crashAtStatement: random.int(1, statements) }, random.chance(0.5));
    crashAt(seed, options, { failCommit: random.int(1, commits) }, false);
    crashAt(seed, options, { crashAfterCommit: random.int(1, commits) }, random.chance(0.5));
  }
}

/** One client, a journal, then a delta so large that it is staged over several turns. */
class StagedDelta {
  readonly room: TestRoom;
  readonly client = new DocClient(plainDoc([], { clientId: 1_000 }));
  readonly where: string;
  turns = 0;
  statements = 0;
  commits = 0;

  constructor(faults: Faults) {
    this.room = new TestRoom(faults);
    this.where = `staged ${JSON.stringify(faults)}`;
  }

  play(): this {
    const { room, client } = this;
    room.connect(client);
    client.doc.getText("text").insert(0, "before the delta");
    if (room.deaths === 0) room.pass(2_000);
    client.doc.transact(() => {
      for (let at = 0; at < 44; at += 1) client.doc.getMap("map").set(`note ${at}`, "z".repeat(100_000));
    });
    room.settle();
    for (; room.timers.pending > 0; ) this.turns += room.timers.advance(1_000);
    room.settle();
    this.statements = room.sql.statements;
    this.commits = room.sql.commits;
    return this;
  }

  examine(): void {
    const { room, client, where } = this;
    expect(room.deaths, where).toBe(1);
    client.read();
    const promised = client.durableFrames;
    const all = client.sent.length;
    client.lost();
    const fresh = reader();
    room.connect(fresh);
    room.settle();
    expect(fresh.doc.store.pendingStructs, where).toBeNull();
    const notes = fresh.doc.getMap("map").size;
    expect([0, 44], where).toContain(notes);
    if (promised === all && all > 0) expect(notes, where).toBe(44);
    if (promised > 1) expect(fresh.doc.getText("text").toString(), where).toBe("before the delta");
    room.connect(client);
    room.settle();
    // An instance that doubts its storage needs something to prove it with.
    client.doc.getText("text").insert(0, "proof");
    for (let round = 0; round < 100; round += 1) room.pass(1_000);
    expect(client.durableFrames, where).toBe(client.sent.length);
    expect(difference(fresh.doc, client.doc), where).toBeNull();
    room.kill();
    const later = reader();
    room.connect(later);
    room.settle();
    expect(difference(later.doc, client.doc), where).toBeNull();
    const stored = room.look((instance) => instance.store.index.chunks.reduce((sum, chunk) => sum + chunk.parts, 0));
    room.turn(() => expect(room.sql.exec("SELECT count(*) AS n FROM room_chunk"), where).toEqual([{ n: stored }]));
  }
}

describe("crash", () => {
  it("a history without a fault converges with receipts for everything", () => {
    for (let seed = 1; seed <= RUNS * 5; seed += 1) {
      const history = new CrashHistory(seed, LONG).play();
      history.everybodyBack();
      const fresh = reader();
      history.room.connect(fresh);
      history.room.settle();
      checkSettled(history, [fresh], `seed ${seed}`);
      expect(history.brokenPromise(fresh.doc), `seed ${seed}`).toBeNull();
      expect(history.serverCloses).toBe(0);
    }
  });

  it("[JN3] [RC4] a crash at any statement of a short history loses nothing that was receipted", () => {
    for (let seed = 1; seed <= RUNS; seed += 1) {
      const { statements } = new CrashHistory(seed, SHORT).play();
      for (const n of upTo(statements)) crashAt(seed, SHORT, { crashAtStatement: n }, n % 2 === 0);
    }
  });

  it("[JN3] [RC7] any failing commit of a short history loses nothing that was receipted", () => {
    for (let seed = 1; seed <= RUNS; seed += 1) {
      const { commits } = new CrashHistory(seed, SHORT).play();
      for (const n of upTo(commits)) crashAt(seed, SHORT, { failCommit: n }, false);
    }
  });

  it("[JN3] a crash right after any commit loses nothing and keeps what was committed", () => {
    for (let seed = 1; seed <= RUNS; seed += 1) {
      const { commits } = new CrashHistory(seed, SHORT).play();
      for (const n of upTo(commits)) crashAt(seed, SHORT, { crashAfterCommit: n }, n % 2 === 0);
    }
  });

  it("[CP2] long histories with checkpoints survive sampled crashes", () => {
    for (let seed = 101; seed < 101 + RUNS; seed += 1) sampleCrashes(seed, LONG, SAMPLES);
  });

  it("[JN7] histories with oversized deltas survive sampled crashes", () => {
    for (let seed = 201; seed < 201 + RUNS; seed += 1) sampleCrashes(seed, HUGE, 2);
  });

  it("[JN7] a delta staged over several turns is there as a whole or comes again, wherever the instance dies", () => {
    const play = (faults: Faults): StagedDelta => new StagedDelta(faults).play();
    const { statements, commits, turns } = play({});
    expect(turns).toBeGreaterThan(3);
    const random = new Random(statements);
    const crashes = random.shuffle(upTo(statements)).slice(0, 4 * RUNS).map((n): Faults => ({ crashAtStatement: n }));
    const failures = random.shuffle(upTo(commits)).slice(0, 2 * RUNS).map((n): Faults => ({ failCommit: n }));
    const afters = random.shuffle(upTo(commits)).slice(0, 2 * RUNS).map((n): Faults => ({ crashAfterCommit: n }));
    for (const faults of [...crashes, ...failures, ...afters]) play(faults).examine();
  });

  it("[JN6] [RC7] any failing statement costs at most connections: edits are kept and receipts come after", () => {
    let degraded = 0;
    let told = 0;
    for (let seed = 1; seed <= RUNS; seed += 1) {
      const { statements } = new CrashHistory(seed, SHORT).play();
      for (const n of upTo(statements)) {
        const where = `seed ${seed} statement ${n} fails`;
        const history = new CrashHistory(seed, SHORT, { failStatements: new Set([n]) }).play();
        expect(history.died, where).toBe(false);
        const { room } = history;
        const [kind, failed] = room.look((instance) => [instance.health.kind, instance.stats.commits.failed]);
        if (failed > 0) {
          degraded += 1;
          // Nobody is told when nobody is there.
          if (history.clients.some((client) => degradedTexts(client).length > 0)) told += 1;
        }
        // What could not be read at open is not served for the life of that instance.
        if (kind === "unreadable") {
          history.arrive();
          room.kill();
        }
        history.everybodyBack();
        history.clients[0]!.doc.getText("text").insert(0, "after");
        room.pass(5_000);
        history.note();
        const fresh = reader();
        room.connect(fresh);
        room.settle();
        checkSettled(history, [fresh], where);
        expect(history.brokenPromise(fresh.doc), where).toBeNull();
      }
    }
    expect(told).toBeGreaterThan(degraded / 2);
    expect(degraded).toBeGreaterThan(0);
  });
});

describe("after a failed commit", () => {
  it("[RC7] a failed commit is followed by relays without receipts, one proof, and the receipts held back", () => {
    const history = new CrashHistory(1, { ...SHORT, steps: 0 }).play();
    const { room } = history;
    const [a, b] = [history.clients[0]!, history.clients[1]!];
    room.sql.faults = { failCommit: room.sql.commits + 1 };
    a.doc.getText("text").insert(0, "lost with the commit");
    room.pass(2_000);
    expect(history.died).toBe(true);
    history.arrive();
    room.connect(b);
    room.pass(0);
    expect(degradedTexts(b)).toEqual([`__YPS:{"type":"yaos/degraded","reason":"the last commit failed"}`]);
    expect(b.durableFrames).toBe(0);
    room.connect(a);
    room.settle();
    expect(b.doc.getText("text").toString()).toBe("lost with the commit");
    expect([a.durableFrames, b.durableFrames]).toEqual([0, 0]);
    room.pass(5_000);
    expect([a.durableFrames, b.durableFrames]).toEqual([a.sent.length, b.sent.length]);
    expect(degradedTexts(b).at(-1)).toBe(`__YPS:{"type":"yaos/degraded","reason":null}`);
    expect(room.look((instance) => instance.stats.commits.count)).toBe(1);
  });

  it("[RC7] statements that fail for a while are retried at growing pauses, and nothing is lost", () => {
    const history = new CrashHistory(2, { ...SHORT, steps: 0 }).play();
    const { room } = history;
    const [a, b] = [history.clients[0]!, history.clients[1]!];
    const from = room.sql.statements;
    room.sql.faults = { failStatements: new Set(upTo(400).map((n) => from + n)) };
    a.doc.getText("text").insert(0, "kept in the window");
    room.pass(20_000);
    expect(room.look((instance) => instance.health.kind)).toBe("unproven");
    expect(b.doc.getText("text").toString()).toBe("kept in the window");
    expect(a.durableFrames).toBe(a.sent.length - 1);
    expect(degradedTexts(a)).toHaveLength(1);
    const failed = room.look((instance) => instance.stats.commits.failed);
    expect(failed).toBeGreaterThan(2);
    expect(failed).toBeLessThan(8);
    room.sql.faults = {};
    room.pass(60_000);
    expect(a.durableFrames).toBe(a.sent.length);
    checkSettled(history, [], "after the retries");
  });

  it("an instance that cannot read its index closes the sockets it woke with and writes over nothing", () => {
    const history = new CrashHistory(3, { ...SHORT, steps: 0 }).play();
    const { room } = history;
    const a = history.clients[0]!;
    a.doc.getText("text").insert(0, "stored before");
    room.pass(5_000);
    history.note();
    expect(a.durableFrames).toBe(a.sent.length);
    room.hibernate();
    room.sql.faults = { failStatements: new Set([1]) };
    const stranger = reader();
    stranger.doc.getText("text").insert(0, "from somebody new");
    a.doc.getText("text").insert(0, "more");
    room.settle();
    room.pass(10_000);
    expect(a.peer.closed?.code).toBe(4507);
    room.connect(stranger);
    room.pass(5_000);
    room.pass(10_000);
    expect(stranger.peer.closed?.code).toBe(4507);
    expect(room.sql.rowsWritten).toBe(0);
    checkFrames(history, "unreadable");
    history.arrive();
    room.kill();
    const fresh = reader();
    room.connect(fresh);
    room.settle();
    expect(fresh.doc.getText("text").toString()).toBe("stored before");
    expect(history.brokenPromise(fresh.doc)).toBeNull();
  });
});

describe("hibernation", () => {
  it("[RC2] counts go on, nobody sends again what was receipted, and waking writes nothing", () => {
    let woken = 0;
    for (let seed = 301; seed < 301 + RUNS * 3; seed += 1) {
      const history = new CrashHistory(seed, { ...SHORT, steps: 30, hibernates: false }).play();
      const { room } = history;
      for (let round = 0; round < 4; round += 1) {
        room.pass(10_000);
        expect(room.timers.pending, `seed ${seed}`).toBe(0);
        const sent = history.clients.map((client) => client.sent.length);
        const answers = history.clients.map((client) => client.answers);
        history.hibernate();
        expect(room.look((instance) => [...instance.sessions].length), `seed ${seed}`).toBe(room.clients.size);
        room.pass(10_000);
        expect(room.sql.rowsWritten, `seed ${seed}: waking wrote`).toBe(0);
        expect(history.clients.map((client) => client.sent.length), `seed ${seed}`).toEqual(sent);
        expect(history.clients.map((client) => client.answers), `seed ${seed}`).toEqual(answers);
        for (const client of history.clients) {
          if (!client.online) continue;
          woken += 1;
          client.doc.getText("text").insert(0, `r${round}`);
          room.pass(3_000);
          expect(client.durableFrames, `seed ${seed} round ${round}`).toBe(client.sent.length);
          client.doc.getText("text").delete(0, 1);
          room.pass(3_000);
          expect(client.durableFrames, `seed ${seed} round ${round}`).toBe(client.sent.length);
        }
        checkFrames(history, `seed ${seed}`);
      }
      history.everybodyBack();
      const fresh = reader();
      room.connect(fresh);
      room.settle();
      checkSettled(history, [fresh], `seed ${seed}`);
    }
    expect(woken).toBeGreaterThan(0);
  });
});
