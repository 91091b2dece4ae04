import { beforeAll, describe, expect, it } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { canonicalBytes, plainDoc } from "../kit/compare.ts";
import { DocClient } from "../kit/doc-client.ts";
import { Joiner } from "../kit/joiner.ts";
import { Random } from "../kit/random.ts";
import { TestRoom } from "../kit/test-room.ts";

const SEED = 4_711;
/** Four authors, taking turns, put blocks of text into what the others wrote, format them and delete some. */
const BLOCKS = 84;
const BLOCK_CHARS = 480_000;
const AUTHORS = 4;

/** A vault too large for one frame, as it was made: every update, in order. */
function makeUpdates(): Uint8Array[] {
  const random = new Random(SEED);
  const authors = Array.from({ length: AUTHORS }, (_, at) => plainDoc([], { clientId: 100 + at }));
  const updates: Uint8Array[] = [];
  for (const author of authors) {
    author.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin === "remote") return;
      updates.push(update);
      for (const other of authors) if (other !== author) Y.applyUpdate(other, update, "remote");
    });
  }
  for (let block = 0; block < BLOCKS; block += 1) {
    const author = authors[block % AUTHORS]!;
    const text = author.getText("text");
    author.transact(() => {
      const at = random.int(0, text.length);
      text.insert(at, String.fromCharCode(97 + (block % 26)).repeat(BLOCK_CHARS), block % 3 === 0 ? { bold: true } : {});
      author.getMap("map").set(`note ${block % 9}`, `written ${block}`);
      if (block % 7 === 6) text.delete(random.int(0, text.length - 200_000), 150_000);
    });
    // Small edits inside blocks, so that structs refer into chunks that are sealed by then.
    for (let small = 0; small < 3; small += 1) {
      const other = random.pick(authors);
      const length = other.getText("text").length;
      other.getText("text").insert(random.int(0, length), `edit ${block}.${small}`);
      other.getText("text").format(random.int(0, length - 2_000), 1_000, { bold: random.chance(0.5) ? true : null });
    }
  }
  return updates;
}

function expectSame(client: DocClient, writer: DocClient, where: string): void {
  expect(client.doc.store.pendingStructs, where).toBe(null);
  expect(client.doc.store.pendingDs, where).toBe(null);
  expect(Y.equalSnapshots(Y.snapshot(client.doc), Y.snapshot(writer.doc)), `${where}: snapshots`).toBe(true);
  expect(client.doc.getMap("map").toJSON(), where).toEqual(writer.doc.getMap("map").toJSON());
  // Compared as bytes: a message with two texts of this size helps nobody.
  expect(Buffer.compare(canonicalBytes(client.doc), canonicalBytes(writer.doc)), `${where}: encoded documents`).toBe(0);
}

/** Lengths of the text the client showed, one per change. */
function watchText(client: DocClient): number[] {
  const shown: number[] = [];
  client.doc.getText("text").observe((event) => void shown.push((event.target as Y.Text).length));
  return shown;
}

function kinds(joiner: Joiner): string[] {
  return joiner.answerFrames.map((frame) => frame.kind);
}

/** Whether `text` stands in the bytes of an update. */
function carries(update: Uint8Array, text: string): boolean {
  return Buffer.from(update.buffer, update.byteOffset, update.byteLength).includes(text);
}

describe("a vault larger than a frame", () => {
  let updates: Uint8Array[];
  let room: TestRoom;
  let writer: DocClient;
  // Presence of a client that left is remembered by its id, so each joiner is somebody else.
  let nextClientId = 9;

  beforeAll(() => {
    updates = makeUpdates();
    room = new TestRoom();
    writer = new DocClient(plainDoc([], { clientId: 1 }));
    room.connect(writer);
    room.pass(2_000);
    for (const update of updates) {
      Y.applyUpdate(writer.doc, update, "author");
      if (update.byteLength > BLOCK_CHARS / 2) room.pass(1_100);
      else room.settle();
    }
    room.pass(5_000);
  });

  function join(options: { answersQueries: boolean; known?: readonly Uint8Array[] }): { joiner: Joiner; shown: number[] } {
    const joiner = new Joiner(room, { answersQueries: options.answersQueries, doc: plainDoc(options.known ?? [], { clientId: nextClientId++ }) });
    const shown = watchText(joiner);
    room.connect(joiner);
    return { joiner, shown };
  }

  it("[SV2] comes to an empty client in several frames, last first, and shows itself in the closing step 2 only", () => {
    expect(room.look((r) => r.store.chunkBytes), `seed ${SEED}`).toBeGreaterThan(LIMITS.maxServeFrameBytes);
    const { joiner, shown } = join({ answersQueries: true });
    room.settle();
    expect(kinds(joiner)).toEqual(["update", "update", "step 2"]);
    for (const frame of joiner.answerFrames) expect(frame.byteLength).toBeLessThan(LIMITS.maxServeFrameBytes);
    expect(shown).toEqual([writer.doc.getText("text").length]);
    // Deletions come with the structs they may name, not before.
    const deletes = joiner.answerFrames.map((frame) => Y.decodeUpdate(frame.update!).ds.clients.size);
    expect([deletes.slice(0, -1), deletes.at(-1)! > 0]).toEqual([[0, 0], true]);
    expectSame(joiner, writer, "empty client");
    // Its answer to the greeting brought nothing; and one query per frame was answered.
    expect(joiner.frames.filter((frame) => frame.kind === "query")).toHaveLength(3);
    expect(room.look((r) => [r.sendBudget.state, r.window.isEmpty])).toEqual([{ inFlightBytes: 0, waiting: 0 }, true]);
    room.disconnect(joiner);
  });

  it("[SV4] comes completely to a client that never answers, one frame per wait", () => {
    const { joiner } = join({ answersQueries: false });
    const startMs = room.clock.nowMs();
    for (let wait = 0; wait < 3; wait += 1) room.pass(LIMITS.sendCreditWaitMs);
    expect(joiner.answerFrames.map((frame) => [frame.kind, frame.atMs - startMs])).toEqual([
      ["update", 0],
      ["update", LIMITS.sendCreditWaitMs],
      ["step 2", 2 * LIMITS.sendCreditWaitMs],
    ]);
    expectSame(joiner, writer, "silent client");
    room.disconnect(joiner);
  });

  it("[SV2] no relay passes the closing frame, which carries what came in between", () => {
    const { joiner, shown } = join({ answersQueries: false });
    room.settle();
    const between: string[] = [];
    for (let frame = 0; frame < 2; frame += 1) {
      for (const where of ["uncommitted", "committed"]) {
        const text = `${where} after frame ${frame}`;
        between.push(text);
        writer.doc.getText("text").insert(7, text);
        writer.doc.getMap("map").set("last", text);
        room.pass(where === "committed" ? 1_200 : 100);
        expect(joiner.answerFrames).toHaveLength(frame + 1);
      }
      room.pass(LIMITS.sendCreditWaitMs - 1_300);
    }
    expect(kinds(joiner)).toEqual(["update", "update", "step 2"]);
    for (const text of between) {
      expect(joiner.answerFrames.map((frame) => carries(frame.update!, text)), text).toEqual([false, false, true]);
    }
    expect(shown).toEqual([writer.doc.getText("text").length]);
    expectSame(joiner, writer, "edits in between");
    // From here on it is as live as anybody.
    writer.doc.getText("text").insert(3, "relayed");
    room.pass(100);
    expect(kinds(joiner)).toEqual(["update", "update", "step 2", "update"]);
    expect(carries(joiner.answerFrames.at(-1)!.update!, "relayed")).toBe(true);
    expectSame(joiner, writer, "relay after the closing frame");
    room.disconnect(joiner);
  });

  it("a client that leaves in the middle, or whose room dies, starts over and ends complete", () => {
    const { joiner } = join({ answersQueries: false });
    room.settle();
    expect(kinds(joiner)).toEqual(["update"]);
    room.disconnect(joiner);
    expect(room.look((r) => r.sendBudget.state)).toEqual({ inFlightBytes: 0, waiting: 0 });
    room.pass(LIMITS.sendCreditWaitMs);
    room.connect(joiner);
    room.settle();
    expect(kinds(joiner)).toEqual(["update", "update"]);
    room.kill();
    room.connect(writer);
    room.connect(joiner);
    room.pass(4 * LIMITS.sendCreditWaitMs);
    expect(joiner.answers).toBe(1);
    expectSame(joiner, writer, "third attempt");
    room.disconnect(joiner);
  });

  it("a client that knows a little gets the rest in frames, one that knows enough in one", () => {
    for (const [share, frames] of [[0.1, null], [0.6, 1]] as const) {
      const known = updates.slice(0, Math.floor(updates.length * share));
      const { joiner } = join({ answersQueries: true, known });
      room.settle();
      if (frames === null) expect(joiner.answerFrames.length, `knows ${share}`).toBeGreaterThan(1);
      else expect(joiner.answerFrames.length, `knows ${share}`).toBe(frames);
      expect(kinds(joiner).at(-1)).toBe("step 2");
      expectSame(joiner, writer, `knows ${share}`);
      room.disconnect(joiner);
    }
  });

  it("two joiners at once do not mix up what was sent to whom", () => {
    const a = join({ answersQueries: false }).joiner;
    room.settle();
    const b = join({ answersQueries: true }).joiner;
    room.settle();
    room.pass(4 * LIMITS.sendCreditWaitMs);
    expect([a.answers, b.answers]).toEqual([1, 1]);
    expectSame(a, writer, "first");
    expectSame(b, writer, "second");
    room.disconnect(a);
    room.disconnect(b);
  });

  it("[SV2] [CP3] a checkpoint and rewrites of chunks in between lose nothing", () => {
    // The last test here: the vault is smaller after it.
    const { joiner, shown } = join({ answersQueries: false });
    const before = room.look((r) => r.store.index.chunks.map((chunk) => chunk.id));
    room.settle();
    const text = writer.doc.getText("text");
    let rewritten = 0;
    for (let frame = 0; frame < 2; frame += 1) {
      // Deletions in chunks of every frame, so that some are rewritten; text for the checkpoint.
      for (let at = 0; at + 600_000 < text.length; at += 2_500_000) text.delete(at, 500_000);
      text.insert(text.length, `block ${frame} `.repeat(3_000));
      room.settle();
      room.look((r) => r.commitNow());
      for (let step = 0; step < 8; step += 1) room.look((r) => withoutPauses(r.compact()));
      rewritten += room.look((r) => before.filter((id) => !r.store.index.chunks.some((chunk) => chunk.id === id)).length);
      room.pass(LIMITS.sendCreditWaitMs);
    }
    expect(rewritten).toBeGreaterThan(5);
    expect(joiner.answers).toBe(1);
    expect(kinds(joiner).length).toBeGreaterThan(1);
    expect(shown).toEqual([text.length]);
    expectSame(joiner, writer, "rewrites in between");
    room.disconnect(joiner);
  });
});
