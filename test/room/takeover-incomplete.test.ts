import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { decodeStateVector } from "../../src/update/state-vector.ts";
import type { ConnectOptions } from "../../src/room/room-host.ts";
import type { MissingPart } from "../../src/room/takeover-view.ts";
import { debugReport } from "../../src/report/debug.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { DocClient } from "../kit/doc-client.ts";
import type { Faults } from "../kit/faulty-sql.ts";
import { TestRoom } from "../kit/test-room.ts";

const STOCK: ConnectOptions = { door: "sync", text: false };
const READER: ConnectOptions = { door: "vault", text: true, access: { by: "reader", mode: "ro", accessEpoch: 0 } };
const TOLD = '__YPS:{"type":"yaos/degraded","reason":"vault incomplete: entry 7 is gone"}';
const NOTICE = '__YPS:{"type":"yaos/read-only","reason":"vault incomplete"}';

const text = (client: DocClient): string => client.doc.getText("t").toString();
const type = (client: DocClient, words: string): void => client.doc.getText("t").insert(client.doc.getText("t").length, words);

interface Vault {
  readonly room: TestRoom;
  /** All of the vault: "one two three", by one client. */
  readonly whole: Y.Doc;
  readonly client: number;
  /** Times the room said that its holes are filled. */
  readonly filled: () => number;
}

/** Clocks of "two ". */
const TWO = { from: 4, to: 8 };

/** A room that has "one " of an older vault, with a view of what is missing. After it is filled, nothing is missing any more. */
function incomplete(missing: (client: number) => Partial<MissingPart>, faults: Faults = {}): Vault {
  const room = new TestRoom();
  const whole = new Y.Doc();
  const seed = new DocClient();
  room.connect(seed);
  room.settle();
  whole.getText("t").insert(0, "one ");
  Y.applyUpdate(seed.doc, Y.encodeStateAsUpdate(whole));
  room.pass(2_000);
  room.disconnect(seed);
  room.pass(2_000);
  whole.getText("t").insert(4, "two ");
  whole.getText("t").insert(8, "three");
  room.kill();
  room.sql.faults = faults;
  let filled = 0;
  const before = room.takeover;
  room.takeover = {
    ...before,
    missing: { ranges: [], isUnnamed: false, reason: "entry 7 is gone", ...missing(whole.clientID) },
    filled: () => {
      filled += 1;
      room.takeover = before;
      room.replace();
    },
  };
  return { room, whole, client: whole.clientID, filled: () => filled };
}

const named = (client: number): Partial<MissingPart> => ({ ranges: [{ client, ...TWO }] });
const unnamed = (): Partial<MissingPart> => ({ isUnnamed: true });

function join(room: TestRoom, doc?: Y.Doc, options?: ConnectOptions): DocClient {
  const client = new DocClient(doc);
  room.connect(client, options);
  room.settle();
  return client;
}

function copyOf(doc: Y.Doc): Y.Doc {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  return copy;
}

/** A document with the first `end` clocks of the vault's only client. */
function upTo(vault: Vault, end: number): Y.Doc {
  const doc = new Y.Doc();
  doc.getText("t");
  Y.applyUpdate(doc, sliceOf(vault, 0, end));
  return doc;
}

/** Clocks `from` to `end` of the vault as an update. */
function sliceOf({ whole, client }: Vault, from: number, end: number): Uint8Array {
  const base = new Y.Doc();
  base.clientID = client;
  base.getText("t").insert(0, whole.getText("t").toString().slice(0, end));
  return Y.encodeStateAsUpdate(base, Y.encodeStateVector(new Map([[client, from]])));
}

/** Hands a live edit to the room, whatever the client's document. */
function send(room: TestRoom, client: DocClient, update: Uint8Array): void {
  client.sent.push(update);
  client.outbox.push(Uint8Array.of(0, 2, update.byteLength, ...update));
  room.settle();
}

describe("a vault taken over with a part missing", () => {
  it("[TK9] is served to everybody, empty clients too, and everybody is told first", () => {
    const { room, client } = incomplete(named);
    const [plugin, stock] = [join(room), join(room, undefined, STOCK)];
    room.pass(20_000);
    for (const session of [plugin, stock]) expect([text(session), session.answers, session.peer.closed]).toEqual(["one ", 1, null]);
    expect(plugin.texts[0]).toBe(TOLD);
    expect(decodeStateVector(plugin.receipts[0]!.sv)).toEqual(new Map([[client, 4]]));
    expect([stock.denials, stock.texts]).toEqual([["vault incomplete: entry 7 is gone"], []]);
    expect(room.look((r) => [r.health.kind, r.stats.parked])).toEqual(["healthy", 0]);
  });

  it("[TK9] takes no edit that brings nothing of what is missing, says so now and then, and the frame counts as dealt with", () => {
    const { room, filled } = incomplete(named);
    const [author, other] = [join(room), join(room)];
    room.pass(2_000);
    const writes = room.sql.commits;
    type(author, "more");
    author.doc.getText("t").delete(0, 1);
    room.settle();
    expect(author.texts.filter((frame) => frame === NOTICE).length).toBe(1);
    expect(author.durableFrames).toBe(author.sent.length);
    room.pass(LIMITS.readOnlyNoticeMs);
    author.doc.getText("t").delete(0, 1);
    room.pass(2_000);
    expect(author.texts.filter((frame) => frame === NOTICE).length).toBe(2);
    expect([text(other), author.peer.closed, room.sql.commits, filled()]).toEqual(["one ", null, writes, 0]);
    const stock = join(room, undefined, STOCK);
    type(stock, "more");
    room.settle();
    expect(stock.denials).toEqual(["vault incomplete: entry 7 is gone", "vault incomplete"]);
    expect(room.look((r) => [r.counters.framesReadOnly, r.store.head])).toEqual([4, 1]);
  });

  it("[TK9] refuses deletions alone, and structs behind a gap that are not missing", () => {
    const vault = incomplete(named);
    const { room } = vault;
    const author = join(room, upTo(vault, 4));
    author.doc.getText("t").delete(0, 2);
    room.pass(2_000);
    send(room, author, sliceOf(vault, 8, 13));
    room.pass(2_000);
    expect(text(join(room))).toBe("one ");
    expect(room.look((r) => [r.store.held.length, r.ingest.heldBytes, r.counters.framesReadOnly])).toEqual([0, 0, 2]);
  });

  it("[TK9] what the room has counts as covered and is receipted", () => {
    const vault = incomplete(named);
    const owner = join(vault.room, upTo(vault, 4));
    expect([owner.durableFrames, owner.sent.length]).toEqual([1, 1]);
    expect(owner.texts.filter((frame) => frame === NOTICE)).toEqual([]);
    expect(vault.room.look((r) => r.counters.framesCovered)).toBe(1);
  });

  it("[TK9] [RO5] a read-only device brings back nothing, and is told why as ever", () => {
    const { room, whole, filled } = incomplete(named);
    const reader = join(room, copyOf(whole), READER);
    room.pass(2_000);
    expect(reader.texts.filter((frame) => frame.includes("read-only"))).toEqual(['__YPS:{"type":"yaos/read-only","reason":"read-only credential"}']);
    expect([text(join(room)), filled()]).toEqual(["one ", 0]);
  });

  it("[TK9] checkpoints and compaction go on, and debug counts what is there", () => {
    const { room, filled } = incomplete(named);
    room.look((r) => withoutPauses(r.compact()));
    expect(room.look((r) => [r.store.journal.length, r.store.index.chunks.length])).toEqual([0, 1]);
    expect(room.look((r) => debugReport(r, "v", room.sql, room.clock.nowMs())["documentSummary"])).not.toBe(null);
    expect([text(join(room)), filled()]).toEqual(["one ", 0]);
  });

  it("[TK9] [DG1] is told again when a failing storage has recovered", () => {
    const vault = incomplete((client) => ({ ranges: [{ client, from: 4, to: 13 }] }));
    const { room, filled } = vault;
    const watcher = join(room);
    const owner = join(room, upTo(vault, 4));
    room.pass(2_000);
    room.sql.faults = { failStatements: new Set(Array.from({ length: 40 }, (_, at) => room.sql.statements + at + 1)) };
    send(room, owner, sliceOf(vault, 4, 8));
    room.pass(100);
    room.sql.faults = {};
    room.pass(10_000);
    const frames = watcher.texts.filter((frame) => frame.includes("degraded"));
    expect(frames).toEqual([TOLD, '__YPS:{"type":"yaos/degraded","reason":"a commit failed"}', TOLD]);
    expect([room.look((r) => r.health.kind), filled(), owner.durableFrames]).toEqual(["healthy", 0, owner.sent.length]);
  });
});

describe("a decision about what is missing", () => {
  it("[TK10] sends everybody away to a room anew, with what was taken kept and receipted", () => {
    const vault = incomplete((client) => ({ ranges: [{ client, from: 4, to: 13 }] }));
    const { room, filled } = vault;
    const [owner, stock] = [join(room), join(room, undefined, STOCK)];
    room.pass(2_000);
    send(room, owner, sliceOf(vault, 4, 8));
    const before = owner.durableFrames;
    room.look((r) => r.reopen());
    room.takeover = { ...room.takeover, missing: null };
    room.replace();
    room.settle();
    for (const session of [owner, stock]) expect(session.peer.closed?.code).toBe(4511);
    expect([before, owner.durableFrames, filled()]).toEqual([1, owner.sent.length, 0]);
    room.disconnect(owner);
    const again = join(room, upTo(vault, 13));
    room.pass(2_000);
    expect([text(join(room)), again.durableFrames]).toEqual(["one two three", again.sent.length]);
  });

  it("[TK10] a repeat of it does nothing, and one that finds the holes filled by what waited says so once", () => {
    const vault = incomplete(named);
    const { room, filled } = vault;
    const owner = join(room);
    room.pass(2_000);
    send(room, owner, sliceOf(vault, 4, 8));
    room.look((r) => {
      r.reopen();
      r.reopen();
    });
    expect([filled(), owner.peer.closed?.code]).toEqual([1, 4511]);
  });
});

describe("bringing what is missing", () => {
  it("[TK10] a client that has it brings it by ordinary sync: relayed, receipted, and the room begins anew", () => {
    const { room, whole, filled } = incomplete(named);
    const [watcher, stock] = [join(room), join(room, undefined, STOCK)];
    const owner = join(room, copyOf(whole));
    expect([text(watcher), filled()]).toEqual(["one two three", 0]);
    room.pass(2_000);
    for (const session of [watcher, stock, owner]) expect(session.peer.closed).toEqual({ code: 4511, reason: "vault reopening", by: "server" });
    expect([owner.durableFrames, filled()]).toEqual([owner.sent.length, 1]);
    // Anew, and nothing is refused any more.
    for (const session of [watcher, stock, owner]) room.disconnect(session);
    const again = join(room, watcher.doc);
    expect(again.texts.filter((frame) => frame.includes("degraded"))).toEqual([]);
    type(again, "!");
    room.pass(2_000);
    expect([text(join(room)), again.durableFrames]).toEqual(["one two three!", again.sent.length]);
  });

  it("[TK10] a live edit brings it as well as an answer, also in parts and behind a gap", () => {
    const vault = incomplete(named);
    const { room, filled } = vault;
    const owner = join(room);
    send(room, owner, sliceOf(vault, 6, 13));
    room.pass(2_000);
    // Held, as behind any gap, and asked for.
    expect(room.look((r) => [r.store.held.length, r.ingest.known.end(vault.client)])).toEqual([1, 4]);
    expect([owner.durableFrames, filled()]).toEqual([owner.sent.length, 0]);
    // The same again brings nothing and is covered, not refused.
    send(room, owner, sliceOf(vault, 6, 13));
    room.pass(2_000);
    expect(room.look((r) => r.counters.framesReadOnly)).toBe(0);
    send(room, owner, sliceOf(vault, 4, 6));
    room.pass(2_000);
    expect([owner.peer.closed?.code, filled(), text(join(room))]).toEqual([4511, 1, "one two three"]);
  });

  it("[TK10] [JN7] what is missing may be too large for a journal row", () => {
    const { room, whole, client, filled } = incomplete((id) => ({ ranges: [{ client: id, from: 4, to: 14 }] }));
    whole.getText("t").insert(13, "y".repeat(2 * LIMITS.maxJournalRowBytes));
    const owner = join(room, copyOf(whole));
    room.pass(5_000);
    expect([owner.peer.closed?.code, owner.durableFrames, filled()]).toEqual([4511, owner.sent.length, 1]);
    expect(room.look((r) => r.store.clocks.end(client))).toBe(13 + 2 * LIMITS.maxJournalRowBytes);
  });

  it("[TK10] [CL1] an instance that is over commits nothing, and lets nobody in", () => {
    const { room, whole } = incomplete(named);
    const held = room.takeover;
    let over = 0;
    room.takeover = { ...held, filled: () => void (over += 1) };
    const owner = join(room, copyOf(whole));
    room.pass(2_000);
    const { commits } = room.sql;
    const late = join(room, copyOf(whole));
    expect(late.peer.closed?.code).toBe(4511);
    room.pass(60_000);
    room.look((r) => r.onAlarm());
    expect(() => room.look((r) => withoutPauses(r.compact()))).toThrow("begins anew");
    expect([over, owner.peer.closed?.code, room.sql.commits]).toEqual([1, 4511, commits]);
  });

  it("[TK10] nothing is reopened before the commit, whatever statement of it fails, and the next attempt does it", () => {
    let failures = 0;
    for (let statement = 0; statement < 8; statement++) {
      const { room, whole, filled } = incomplete(named);
      const owner = join(room, copyOf(whole));
      room.sql.faults = { failStatements: new Set([room.sql.statements + 1 + statement]) };
      room.pass(1);
      room.sql.faults = {};
      const isFailed = room.look((r) => r.health.kind) === "unproven";
      failures += Number(isFailed);
      if (isFailed) expect([owner.peer.closed, filled(), owner.durableFrames]).toEqual([null, 0, 0]);
      room.pass(10_000);
      expect([owner.peer.closed?.code, filled(), owner.durableFrames]).toEqual([4511, 1, owner.sent.length]);
      expect(text(join(room))).toBe("one two three");
    }
    expect(failures).toBeGreaterThan(0);
  });

  it("[TK10] [JN3] a crash at any statement of that commit, or at its end, leaves the room incomplete, and the client brings it again", () => {
    let crashes = 0;
    for (let statement = 0; statement < 6; statement++) {
      const { room, whole, filled } = incomplete(named);
      const view = room.takeover;
      const owner = join(room, copyOf(whole));
      room.sql.faults = statement === 0 ? { failCommit: room.sql.commits + 1 } : { crashAtStatement: room.sql.statements + statement };
      room.pass(1_000);
      if (room.deaths === 1) continue;
      crashes += 1;
      // What the host did in that turn is gone with it.
      room.takeover = view;
      expect([owner.durableFrames, text(join(room))]).toEqual([0, "one "]);
      const again = join(room, owner.doc);
      room.pass(10_000);
      expect([again.peer.closed?.code, again.durableFrames]).toEqual([4511, again.sent.length]);
      expect([text(join(room)), filled()]).toEqual(["one two three", statement === 0 ? 2 : 1]);
    }
    expect(crashes).toBeGreaterThan(1);
  });

  it("[TK10] where more may be missing than has a name, the answer of a client that had all is taken, deletions too", () => {
    const vault = incomplete(unnamed);
    const { room, whole, filled } = vault;
    whole.getText("t").delete(0, 4);
    const owner = join(room, copyOf(whole));
    room.pass(2_000);
    expect([owner.durableFrames, owner.peer.closed, text(join(room)), filled()]).toEqual([owner.sent.length, null, "two three", 0]);
    // A live edit is none of what was missing.
    type(owner, "!");
    room.pass(2_000);
    expect(text(join(room))).toBe("two three");
    expect(owner.texts.at(-2)).toBe(NOTICE);
  });

  it("[TK10] not that of one that lacked something, or had nothing, though it was served since", () => {
    const vault = incomplete(unnamed);
    const { room } = vault;
    const stale = join(room, upTo(vault, 3));
    const strange = new Y.Doc();
    strange.getText("t").insert(0, "notes of elsewhere");
    const stranger = join(room, strange);
    const empty = join(room);
    room.pass(2_000);
    for (const session of [stale, stranger, empty]) {
      // They ask again with all the room has, and answer again.
      const vector = Y.encodeStateVector(session.doc);
      session.outbox.push(Uint8Array.of(0, 0, vector.byteLength, ...vector));
      type(session, "edit");
      const answer = Y.encodeStateAsUpdate(session.doc, Y.encodeStateVector(new Map([[vault.client, 4]])));
      session.outbox.push(Uint8Array.of(0, 1, answer.byteLength, ...answer));
    }
    room.pass(2_000);
    expect(text(join(room))).toBe("one ");
    expect(room.look((r) => r.store.head)).toBe(1);
  });

  it("[TK10] where named parts are filled and more may be missing, the room stays as it is", () => {
    const { room, whole, filled } = incomplete((client) => ({ ...named(client), isUnnamed: true }));
    const owner = join(room, copyOf(whole));
    room.pass(2_000);
    const empty = join(room);
    type(empty, "x");
    room.pass(2_000);
    expect([owner.peer.closed, filled(), text(owner)]).toEqual([null, 0, "one two three"]);
    expect(empty.texts).toContain(NOTICE);
  });

  it("[TK10] where names may be wrong, a client that has everything else brings what it has under any name, and the names still end it", () => {
    const wrong = incomplete(() => ({ ranges: [{ client: 77, ...TWO }], isUnsure: true }));
    join(wrong.room, copyOf(wrong.whole));
    wrong.room.pass(2_000);
    expect([wrong.filled(), text(join(wrong.room))]).toEqual([0, "one two three"]);
    const right = incomplete((client) => ({ ...named(client), isUnsure: true }));
    join(right.room, copyOf(right.whole));
    right.room.pass(2_000);
    expect(right.filled()).toBe(1);
  });

  it("[TK10] [HB1] a wake says nothing anew, and whoever slept along brings what is missing with a later edit", () => {
    const vault = incomplete(named);
    const { room, filled } = vault;
    const owner = join(room, upTo(vault, 4));
    room.pass(20_000);
    const told = owner.texts.length;
    room.hibernate();
    room.pass(1_000);
    expect(owner.texts.length).toBe(told);
    send(room, owner, sliceOf(vault, 4, 13));
    room.pass(2_000);
    expect([filled(), owner.peer.closed?.code]).toEqual([1, 4511]);
  });

  it("[TK9] [TK10] [DG3] damage of the room itself is healed as ever by those who have it, and who needs it waits", () => {
    const vault = incomplete((client) => ({ ranges: [{ client, from: 8, to: 13 }] }));
    const { room, filled } = vault;
    room.sql.inner.database.exec(`UPDATE room_journal SET data = x'ffffffff' WHERE slot = 1`);
    const empty = join(room);
    expect([empty.answers, room.look((r) => r.store.lost.length)]).toEqual([0, 1]);
    room.pass(10_000);
    expect(empty.peer.closed?.code).toBe(4510);
    // Has what was lost, and nothing that is missing.
    const owner = join(room, upTo(vault, 4));
    room.pass(2_000);
    expect(room.look((r) => [r.store.lost, r.stats.healed])).toEqual([[], 1]);
    expect([text(join(room)), owner.peer.closed, filled()]).toEqual(["one ", null, 0]);
    type(owner, "x");
    room.pass(2_000);
    expect(owner.texts).toContain(NOTICE);
  });
});
