import { describe, expect, it } from "vitest";
import { CrashHistory, type CrashHistoryOptions, PRESENCE_MARK } from "../kit/crash-history.ts";
import { plainDoc } from "../kit/compare.ts";
import { DocClient } from "../kit/doc-client.ts";
import type { Faults } from "../kit/faulty-sql.ts";
import { PresentClient } from "../kit/present-client.ts";
import { Random } from "../kit/random.ts";
import { TestRoom } from "../kit/test-room.ts";

/** How many seeds each kind of history is played with; the hour-long run sets it. */
const RUNS = Number(process.env["CRASH_RUNS"] ?? 2);
const OPTIONS: CrashHistoryOptions = { steps: 60, oversized: false, hibernates: true, presence: true };

/** Every value of every table, as text where it is bytes. */
function everythingStored(room: TestRoom): string {
  const { database } = room.sql.inner;
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all() as { name: string }[];
  return tables
    .flatMap(({ name }) => database.prepare(`SELECT * FROM ${name}`).all())
    .flatMap((row) => Object.values(row))
    .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value)))
    .join("\n");
}

function present(history: CrashHistory): PresentClient[] {
  return history.clients as PresentClient[];
}

/** Everybody connected sees exactly those who are connected and show themselves, each with their latest state. */
function checkViews(clients: readonly PresentClient[], where: string): void {
  const shown = clients.filter((client) => client.online && client.awareness.getLocalState() !== null);
  const expected = shown.map((client) => client.doc.clientID).sort((a, b) => a - b);
  for (const client of clients) {
    if (!client.online) continue;
    const who = `${where}: what ${client.doc.clientID} sees`;
    expect(client.seen, who).toEqual(expected);
    for (const other of shown) expect(client.awareness.getStates().get(other.doc.clientID), who).toEqual(other.awareness.getLocalState());
  }
}

function checkHistory(history: CrashHistory, where: string): void {
  const clients = present(history);
  history.everybodyBack();
  expect(history.divergence(), where).toBe(null);
  for (const client of clients) expect(client.durableFrames, where).toBe(client.sent.length);
  for (const client of clients) client.renew();
  history.room.settle();
  checkViews(clients, where);
  expect(everythingStored(history.room).includes(PRESENCE_MARK), `${where}: presence on disk`).toBe(false);
  const reader = new DocClient(plainDoc([], { clientId: 9 }));
  history.room.connect(reader);
  history.room.settle();
  expect(history.brokenPromise(reader.doc), where).toBe(null);
}

describe("presence in crash histories", () => {
  it("[AW2] [AW3] [JN3] wherever the instance dies, edits are kept, nothing of presence is stored, and everybody sees who is there", () => {
    for (let seed = 401; seed < 401 + RUNS; seed += 1) {
      const calm = new CrashHistory(seed, OPTIONS).play();
      checkHistory(calm, `seed ${seed}`);
      const { statements, commits } = new CrashHistory(seed, OPTIONS).play();
      const random = new Random(seed);
      const faults: Faults[] = [
        { crashAtStatement: random.int(1, statements) },
        { crashAtStatement: random.int(1, statements) },
        { failCommit: random.int(1, commits) },
        { crashAfterCommit: random.int(1, commits) },
      ];
      for (const fault of faults) {
        const where = `seed ${seed} ${JSON.stringify(fault)}`;
        const history = new CrashHistory(seed, OPTIONS, fault).play();
        expect(history.died, `${where}: the fault must strike`).toBe(true);
        history.arrive();
        // Who is gone with the instance is not there: a newcomer sees nobody but those who came back.
        const [first] = present(history);
        first!.awareness.setLocalState({ name: PRESENCE_MARK, cursor: 0 });
        history.room.connect(first!);
        history.room.settle();
        expect(first!.seen, where).toEqual([first!.doc.clientID]);
        checkHistory(history, where);
      }
    }
  });

  it("[AW3] [HB1] a session restored after hibernation takes exactly its own presence with it", () => {
    for (let seed = 501; seed < 501 + RUNS * 3; seed += 1) {
      const history = new CrashHistory(seed, { ...OPTIONS, hibernates: false }).play();
      history.everybodyBack();
      const clients = present(history);
      const { room } = history;
      const random = new Random(seed);
      for (const client of clients) client.awareness.setLocalState({ name: PRESENCE_MARK, cursor: client.doc.clientID });
      room.pass(10_000);
      for (const [round, leaver] of random.shuffle(clients).entries()) {
        const where = `seed ${seed} round ${round}: ${leaver.doc.clientID} leaves`;
        checkViews(clients, where);
        history.hibernate();
        room.disconnect(leaver);
        room.settle();
        checkViews(clients, where);
        expect(room.sql.rowsWritten, `${where}: presence wrote`).toBe(0);
        if (random.chance(0.5)) {
          // Back with a new socket, after another sleep of the room.
          room.pass(10_000);
          history.hibernate();
          room.connect(leaver);
          room.pass(1_000);
          for (const client of clients) client.renew();
          room.pass(10_000);
          checkViews(clients, `${where} and comes back`);
        }
      }
    }
  });

  it("[AW3] after a wake, the late close of an old socket does not remove who has come back on a new one", () => {
    const room = new TestRoom();
    const [a, b] = [1_000, 1_001].map((clientId) => new PresentClient(plainDoc([], { clientId })));
    for (const client of [a!, b!]) {
      client.awareness.setLocalState({ name: PRESENCE_MARK });
      room.connect(client);
    }
    room.pass(10_000);
    const oldPeer = a!.peer;
    room.clients.delete(oldPeer);
    // A network change: the new socket comes first, the old one's close much later.
    room.connect(a!);
    a!.awareness.setLocalState({ name: PRESENCE_MARK, again: true });
    room.pass(10_000);
    room.hibernate();
    oldPeer.drop(1006);
    room.turn((r) => r.disconnect(oldPeer));
    room.settle();
    expect(b!.seen).toEqual([1_000, 1_001]);
    room.disconnect(a!);
    room.settle();
    expect(b!.seen).toEqual([1_001]);
  });

  it("[DB5] presence alone writes nothing", () => {
    const room = new TestRoom();
    const [a, b] = [1_000, 1_001].map((clientId) => new PresentClient(plainDoc([], { clientId })));
    for (const client of [a!, b!]) room.connect(client);
    a!.doc.getText("text").insert(0, "so that there are tables");
    room.pass(10_000);
    const before = room.sql.rowsWritten;
    for (let move = 0; move < 200; move += 1) {
      a!.awareness.setLocalState({ name: PRESENCE_MARK, cursor: move });
      room.pass(100);
    }
    expect(b!.awareness.getStates().get(1_000)).toEqual({ name: PRESENCE_MARK, cursor: 199 });
    expect(room.sql.rowsWritten).toBe(before);
    expect(everythingStored(room).includes("so that there are tables")).toBe(true);
  });
});
