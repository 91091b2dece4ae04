/**
 * Frames no stock client sends, against the whole server. Each costs its sender the session, with the close SPEC.md names, and nobody else anything:
 * nothing is stored, two other sessions in the room go on, every frame has its outcome in debug, and the process stays small.
 */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { type RawPresence, awarenessFrame, gcUpdate, nestedAnyUpdate, syncFrame, varints, vectorOf } from "../kit/bad-frames.ts";
import { framesUnaccounted, readDebug } from "../kit/host-calls.ts";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";
import { type StockClient, openPlugin, openSync } from "../kit/stock-client.ts";
import { YaosClient } from "../kit/yaos-client.ts";

const MAX_RSS_BYTES = 400 * 1024 * 1024;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;
const BIG_CLIENT = 77;

let dataDir: string;
let host: HostProcess;
beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-bad-"));
  host = await startHost({ dataDir });
});
afterAll(async () => {
  await host.stop();
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Runs after every test, so that the one that let the process grow is named. */
afterEach(() => {
  expect(peakBytes(host.workerdPid)).toBeLessThan(MAX_RSS_BYTES);
});

const toClose: { close(): void }[] = [];
afterEach(() => {
  for (const client of toClose.splice(0)) client.close();
});

/** Two sessions that do nothing wrong, in a room with one durable edit. */
interface Bystanders {
  readonly writer: YaosClient;
  readonly reader: YaosClient;
}

async function bystanders(vault: string): Promise<Bystanders> {
  const open = (): YaosClient => {
    const client = new YaosClient({ wsUrl: host.wsUrl, token: host.token, vault, doc: new Y.Doc() });
    toClose.push(client);
    return client;
  };
  const both = { writer: open(), reader: open() };
  await Promise.all([both.writer.synced, both.reader.synced]);
  await exchange(both, "before");
  await soon(() => expect([both.writer.durableFrames, both.reader.durableFrames]).toEqual([both.writer.sentFrames, both.reader.sentFrames]));
  return both;
}

/** Both are connected, and an edit of one reaches the other. */
async function exchange({ writer, reader }: Bystanders, word: string): Promise<void> {
  expect([writer.isOpen, reader.isOpen]).toEqual([true, true]);
  writer.doc.getText("t").insert(0, `${word} `);
  await soon(() => expect(reader.doc.getText("t").toString()).toContain(`${word} `));
}

function soon(check: () => void | Promise<void>, timeout = 10_000): Promise<void> {
  return vi.waitFor(check, { timeout, interval: 10 });
}

async function hostileSocket(vault: string): Promise<WebSocket> {
  const socket = new WebSocket(`${host.wsUrl}/vault/sync/${vault}?token=${host.token}&schemaVersion=2&_pk=bad`, { perMessageDeflate: false });
  toClose.push({ close: () => socket.terminate() });
  socket.on("error", () => {}); // followed by close
  await once(socket, "open");
  return socket;
}

/** How the server ends a session that sends these frames. */
async function closeAfter(vault: string, ...frames: readonly (Uint8Array | string)[]): Promise<{ code: number; reason: string }> {
  const socket = await hostileSocket(vault);
  const closed = once(socket, "close") as Promise<[number, Buffer]>;
  for (const frame of frames) socket.send(frame);
  const [code, reason] = await closed;
  return { code, reason: reason.toString() };
}

/** What must not change. */
async function stored(vault: string) {
  const { journal, index, gaps } = await readDebug(host, vault);
  return { journal, index, gaps };
}

/** The most memory the process ever had, bytes (proc(5) status). */
function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

const deepState = "[".repeat(10_000) + "]".repeat(10_000);
const manyIds: RawPresence[] = Array.from({ length: LIMITS.maxAwarenessIdsPerSession + 1 }, (_, n) => ({ client: 500 + n, clock: 1, state: "{}" }));

/** Name, frame, and the close SPEC.md promises for it ([CK2] to [CK4], [CL1]). */
const REFUSED: readonly [name: string, frame: Uint8Array, code: number, reason: string][] = [
  ["an empty frame", new Uint8Array(0), 4400, "frame-empty"],
  ["a frame cut after its outer type", Uint8Array.of(0), 4400, "frame-truncated"],
  ["a length past the end", Uint8Array.of(0, 2, 0xff, 0xff, 0xff, 0x7f, 1), 4400, "frame-truncated"],
  ["a length of 2^53 - 1", new Uint8Array([0, 2, ...varints(MAX_SAFE)]), 4400, "frame-truncated"],
  ["a varint without an end", new Uint8Array(64).fill(0xff), 4400, "frame-bad-varint"],
  ["an unknown inner type", Uint8Array.of(0, 7, 0), 4400, "sync-inner-unknown"],
  ["an update cut short", syncFrame(2, Uint8Array.of(1, 1)), 4422, "truncated"],
  ["bytes after an update's end", syncFrame(2, Uint8Array.of(0, 0, 0)), 4422, "trailing-bytes"],
  ["a struct count of 2^53 - 1", syncFrame(2, varints(1, MAX_SAFE, BIG_CLIENT, 0)), 4413, "too-many-structs"],
  ["a client count of 2^53 - 1", syncFrame(2, varints(MAX_SAFE)), 4413, "too-many-clients"],
  ["a range count of 2^53 - 1", syncFrame(2, varints(0, 1, BIG_CLIENT, MAX_SAFE)), 4413, "too-many-ranges"],
  ["clocks over 2^53 - 1", syncFrame(2, gcUpdate(BIG_CLIENT, MAX_SAFE - 1, 5)), 4422, "clock-overflow"],
  ["a struct without length", syncFrame(2, gcUpdate(BIG_CLIENT, 0, 0)), 4422, "zero-length"],
  ["Any nested 10,000 deep", syncFrame(2, nestedAnyUpdate(BIG_CLIENT, 10_000)), 4413, "too-deep"],
  ["a state vector with a million clients", syncFrame(0, vectorOf(1_000_000)), 4413, "state-vector-too-large"],
  ["a state vector that claims a million clients", syncFrame(0, varints(1_000_000)), 4413, "too-many-clients"],
  ["a presence of 10 MB", awarenessFrame({ client: BIG_CLIENT, clock: 1, state: `"${"x".repeat(10_000_000)}"` }), 4413, "awareness-too-large"],
  ["a presence nested 10,000 deep", awarenessFrame({ client: BIG_CLIENT, clock: 1, state: deepState }), 4413, "awareness-too-deep"],
  ["a presence that is not JSON", awarenessFrame({ client: BIG_CLIENT, clock: 1, state: "{" }), 4400, "awareness-bad-json"],
  ["more presences than one connection may have", awarenessFrame(...manyIds), 4413, "awareness-too-many-ids"],
];

describe("refused", () => {
  it.each(REFUSED.map(([name, frame, code, reason], n) => ({ name, frame, code, reason, vault: `refused-${n}` })))(
    "[CK1] [CL1] $name: $code $reason",
    async ({ frame, code, reason, vault }) => {
      const others = await bystanders(vault);
      const before = await stored(vault);
      expect(await closeAfter(vault, frame)).toEqual({ code, reason });
      const debug = await readDebug(host, vault);
      expect(await stored(vault)).toEqual(before);
      expect(debug.refusals).toEqual({ [reason]: 1 });
      expect(debug.frames["framesRefused"]).toBe(1);
      expect(framesUnaccounted(debug.frames)).toBe(0);
      await exchange(others, "after");
    },
  );

  it("[CK1] frames behind a refused one are not read", async () => {
    const others = await bystanders("behind");
    const before = await stored("behind");
    const fine = new Y.Doc();
    fine.getText("t").insert(0, "late");
    const late = syncFrame(2, Y.encodeStateAsUpdate(fine));
    expect(await closeAfter("behind", new Uint8Array(0), late, late)).toEqual({ code: 4400, reason: "frame-empty" });
    expect(await stored("behind")).toEqual(before);
    expect(framesUnaccounted((await readDebug(host, "behind")).frames)).toBe(0);
    await exchange(others, "after");
    expect(others.reader.doc.getText("t").toString()).not.toContain("late");
  });
});

describe("ignored", () => {
  it("[SY8] unknown outer types, stray text and auth frames cost nobody anything and are counted", async () => {
    const others = await bystanders("stray");
    const before = await readDebug(host, "stray");
    const socket = await hostileSocket("stray");
    for (const frame of [Uint8Array.of(9, 1, 2), Uint8Array.of(0xff, 0x7f), Uint8Array.of(2, 0, 1, 65), "hello", "__YPS:{}", ""]) socket.send(frame);
    await soon(async () => expect((await readDebug(host, "stray")).frames["framesIgnored"]).toBe((before.frames["framesIgnored"] ?? 0) + 6));
    const after = await readDebug(host, "stray");
    expect(after.journal).toEqual(before.journal);
    expect(framesUnaccounted(after.frames)).toBe(0);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    await exchange(others, "after");
  });

  it("[AW3] presence of foreign ids takes nobody away for good", async () => {
    const sync = (): StockClient => {
      const client = openSync(host, "foreign");
      toClose.push({ close: () => client.destroy() });
      client.provider.awareness.setLocalStateField("name", "me");
      return client;
    };
    const [victim, witness] = [sync(), sync()];
    const id = victim.doc.clientID;
    const name = (): unknown => witness.provider.awareness.getStates().get(id)?.["name"];
    await soon(() => expect(name()).toBe("me"));
    const clock = victim.provider.awareness.meta.get(id)?.clock ?? 0;
    const socket = await hostileSocket("foreign");
    // A removal at the clock everybody knows, and a clock far ahead: neither is believed.
    socket.send(awarenessFrame({ client: id, clock, state: "null" }));
    socket.send(awarenessFrame({ client: id, clock: MAX_SAFE, state: '{"name":"stolen"}' }));
    // A repeat with the same clock owns nothing, so the close of this socket takes nothing along.
    socket.send(awarenessFrame({ client: id, clock, state: '{"name":"stolen"}' }));
    socket.send(awarenessFrame({ client: 4_242, clock: 1, state: '{"name":"mine"}' }));
    await soon(() => expect(witness.provider.awareness.getStates().get(4_242)).toEqual({ name: "mine" }));
    expect(name()).toBe("me");
    socket.close();
    await soon(() => expect(witness.provider.awareness.getStates().has(4_242)).toBe(false));
    expect(name()).toBe("me");

    // A newer clock is the one thing that counts; the victim's next change takes the id back.
    const second = await hostileSocket("foreign");
    second.send(awarenessFrame({ client: id, clock: clock + 1, state: '{"name":"stolen"}' }));
    await soon(() => expect(name()).not.toBe("me"));
    victim.provider.awareness.setLocalStateField("name", "still me");
    await soon(() => expect(name()).toBe("still me"));
    second.close();
    await soon(async () => expect((await readDebug(host, "foreign")).sessions.count).toBe(2));
    victim.provider.awareness.setLocalStateField("name", "always me");
    await soon(() => expect(name()).toBe("always me"));
    expect(framesUnaccounted((await readDebug(host, "foreign")).frames)).toBe(0);
  });
});

describe("as large as can be", () => {
  it("[JN7] takes a frame of exactly 32 MiB whole, and gives it back after a kill", async () => {
    const vault = "whole";
    const open = (): StockClient => {
      const client = openPlugin(host, vault);
      toClose.push({ close: () => client.destroy() });
      return client;
    };
    const [writer, reader] = [open(), open()];
    await soon(() => expect([writer.provider.synced, reader.provider.synced]).toEqual([true, true]));
    const { frame, notes } = updateFrameOf(LIMITS.maxFrameBytes);
    const socket = await hostileSocket(vault);
    socket.send(frame);
    await soon(async () => {
      const { storage, commitBuffer, journal, index } = await readDebug(host, vault);
      expect([storage.oversizedDeltaCount, commitBuffer.updates, journal.rows, index.clients]).toEqual([1, 0, 0, 1]);
    }, 30_000);
    await soon(() => expect(reader.doc.getMap("notes").size).toBe(notes));
    writer.doc.getText("t").insert(0, "after");
    await soon(() => expect(reader.doc.getText("t").toString()).toBe("after"));
    expect(socket.readyState).toBe(WebSocket.OPEN);
    expect([writer.closes, reader.closes]).toEqual([[], []]);
    expect(framesUnaccounted((await readDebug(host, vault)).frames)).toBe(0);
    expect(peakBytes(host.workerdPid)).toBeLessThan(MAX_RSS_BYTES);
    for (const client of toClose.splice(0)) client.close();
    await host.kill9Group();

    host = await startHost({ dataDir });
    const fresh = open();
    await soon(() => expect(fresh.provider.synced).toBe(true), 30_000);
    expect([fresh.doc.store.pendingStructs, fresh.doc.store.pendingDs]).toEqual([null, null]);
    const lengths = [...fresh.doc.getMap("notes").values()].map((note) => (note as Y.Text).length);
    expect(lengths).toEqual([...reader.doc.getMap("notes").values()].map((note) => (note as Y.Text).length));
    expect(lengths).toHaveLength(notes);
  });

  it("[CK7] meets a frame of one byte more with 1009, counted", async () => {
    const vault = "over";
    const others = await bystanders(vault);
    const before = await stored(vault);
    const socket = await hostileSocket(vault);
    socket.send(new Uint8Array(LIMITS.maxFrameBytes + 1));
    await soon(async () => expect((await readDebug(host, vault)).sessions.socketErrors).toBe(1));
    // The close frame is here, but the platform leaves the connection open, and with it the rest of the frame unread.
    await soon(() => expect(socket.readyState).toBe(WebSocket.CLOSING));
    const closed = once(socket, "close");
    socket.terminate();
    expect((await closed)[0]).toBe(1009);
    expect(await stored(vault)).toEqual(before);
    expect(framesUnaccounted((await readDebug(host, vault)).frames)).toBe(0);
    await exchange(others, "after");
  });
});

/** A frame of exactly `frameBytes` with a genuine update: notes of a megabyte each, the last one cut to fit. */
function updateFrameOf(frameBytes: number): { frame: Uint8Array; notes: number } {
  const noteLength = 1_048_576;
  const doc = new Y.Doc();
  const notes = doc.getMap("notes");
  const whole = Math.floor(frameBytes / noteLength) - 1;
  for (let n = 0; n < whole; n++) notes.set(`note ${n}`, new Y.Text("x".repeat(noteLength)));
  const last = new Y.Text("y".repeat(noteLength / 2));
  notes.set("last", last);
  for (;;) {
    const frame = syncFrame(2, Y.encodeStateAsUpdate(doc));
    const missing = frameBytes - frame.byteLength;
    if (missing === 0) return { frame, notes: notes.size };
    if (missing < 0) throw new Error(`The frame is ${-missing} bytes too long`);
    last.insert(last.length, "y".repeat(missing));
  }
}
