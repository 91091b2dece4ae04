/**
 * Back to an older server and forward again, over one and the same data directory: what it left it finds again, what was written since comes by
 * push-back, and what it writes then is merged. The older servers are our own stand-in (`test/kit/old-server`).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as Y from "yjs";
import { fetchVault } from "../../scripts/push-back/fetch-vault.ts";
import { PIECE_BYTES } from "../../scripts/push-back/pieces.ts";
import { sendVault } from "../../scripts/push-back/send-vault.ts";
import { TIMINGS } from "../../scripts/push-back/timings.ts";
import type { VaultAddress } from "../../scripts/push-back/vault-connection.ts";
import { checkVault, readVault, writeVault } from "../../scripts/push-back/vault-file.ts";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";
import { killOldServers, type OldBuild, type OldServer, startOldServer } from "../kit/old-server/old-server.ts";
import { YaosClient } from "../kit/yaos-client.ts";

const TOKEN = "way-back-token-0123456789abcdef0123";
const VAULT = "notes & more";
const LONG = "word and more ".repeat(100_000);
/** As the real ones, but for the looks at counters and the quiet time, which the stand-in's short debounce allows. */
const QUICK = { ...TIMINGS, pollMs: 10, quietMs: 1_000 };

let dir: string;
let dataDir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "yaos-way-back-"));
  dataDir = join(dir, "data");
});
afterEach(() => {
  killStartedHosts();
  killOldServers();
  rmSync(dir, { recursive: true, force: true });
});

const startOurs = (at = dataDir): Promise<HostProcess> => startHost({ dataDir: at, env: { SYNC_TOKEN: TOKEN } });
const startOld = (build: OldBuild, at = dataDir, debounceMs = 20): Promise<OldServer> => startOldServer({ dataDir: at, build, token: TOKEN, debounceMs });
const address = (server: { url: string }) => ({ url: server.url, vault: VAULT, token: TOKEN });

/** A synced client with the server's document, for as long as `use` takes. */
async function withClient<T>(server: { wsUrl: string }, use: (client: YaosClient) => T | Promise<T>): Promise<T> {
  const client = new YaosClient({ wsUrl: server.wsUrl, token: TOKEN, vault: VAULT, doc: new Y.Doc() });
  try {
    await client.synced;
    return await use(client);
  } finally {
    client.close();
  }
}

/** Edits at an older server, and waits until its counters say they are saved. */
async function editOld(server: OldServer, edit: (doc: Y.Doc) => void): Promise<void> {
  const before = await savesOf(server);
  await withClient(server, async (client) => {
    client.doc.transact(() => edit(client.doc));
    await expect.poll(() => savesOf(server), { timeout: 10_000, interval: 10 }).toBeGreaterThan(before);
  });
}

async function savesOf(server: OldServer): Promise<number> {
  const { persistence } = await server.debug(VAULT);
  return persistence === undefined || persistence.pendingPersistence ? -1 : persistence.successfulSaveCount;
}

/** Edits at ours, and waits for the receipts. */
async function editOurs(server: HostProcess, edit: (doc: Y.Doc) => void): Promise<void> {
  await withClient(server, async (client) => {
    client.doc.transact(() => edit(client.doc));
    await expect.poll(() => client.durableFrames, { timeout: 10_000, interval: 10 }).toBe(client.sentFrames);
  });
}

/** What a new client sees. */
async function notesOf(server: { wsUrl: string }): Promise<Record<string, string>> {
  return withClient(server, ({ doc }) => Object.fromEntries([...doc.getMap<Y.Text>("idToText")].map(([id, text]) => [id, text.toString()])));
}

function note(doc: Y.Doc, id: string, content: string): void {
  const text = new Y.Text();
  text.insert(0, content);
  doc.getMap<Y.Text>("idToText").set(id, text);
  doc.getMap("meta").set(id, { path: `${id}.md` });
}

function text(doc: Y.Doc, id: string): Y.Text {
  return doc.getMap<Y.Text>("idToText").get(id)!;
}

function manyNotes(): Y.Doc {
  const doc = new Y.Doc();
  for (const id of ["a", "b"]) note(doc, id, LONG);
  return doc;
}

interface Ended {
  readonly code: number;
  readonly output: string;
}

/** The script as its npm line runs it. Fails when it shows the token. */
async function pushBack(args: readonly string[], token = TOKEN): Promise<Ended> {
  const script = join(import.meta.dirname, "../../scripts/push-back.ts");
  const child = spawn(process.execPath, [script, ...args], { env: { PATH: process.env["PATH"], YAOS_TOKEN: token }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (part: string) => (output += part));
  const [code] = (await once(child, "close")) as [number];
  expect(output).not.toContain(token);
  return { code, output };
}

describe("the way back", () => {
  it.each([
    ["main", "main"],
    ["sql", "sql"],
    // An owner who goes back to a newer build than the one before: it takes the key-value layout over while we are away.
    ["main", "sql"],
  ] as const)("[TK14] [TK15] from a vault of build %s to build %s loses nothing, and what is written there comes forward again", async (before, build) => {
    const first = await startOld(before);
    await editOld(first, (doc) => {
      doc.getMap("sys").set("schemaVersion", 2);
      note(doc, "kept", "kept as it was");
      note(doc, "cut", "this stays, this goes");
    });
    // Over what a journal may hold: a checkpoint in several chunks, each stored with all of the payload (compat sheet, 4.2).
    await editOld(first, (doc) => note(doc, "long", LONG));
    await editOld(first, (doc) => note(doc, "gone", "to be deleted at ours"));
    await first.kill();

    const ours = await startOurs();
    const left = { kept: "kept as it was", cut: "this stays, this goes", gone: "to be deleted at ours", long: LONG };
    expect(await notesOf(ours)).toEqual(left);
    await editOurs(ours, (doc) => note(doc, "new", "written at ours"));
    // The last edit is deletions alone: no state vector shows it.
    await editOurs(ours, (doc) => {
      text(doc, "cut").delete(10, 11);
      doc.getMap("idToText").delete("gone");
    });
    const file = join(dir, "vault.yjs");
    const saved = await pushBack(["save", "--from", ours.url, "--vault", VAULT, "--out", file]);
    expect(saved).toMatchObject({ code: 0, output: expect.stringMatching(/sha256 [0-9a-f]{64}\nwritten to /) });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await ours.stop();
    await ours.allClosed;

    const back = await startOld(build);
    // As it left it: our tables beside its own do not bother it.
    expect(await notesOf(back)).toEqual(left);
    expect((await back.debug(VAULT)).persistence).toMatchObject({ status: "healthy" });
    const sent = await pushBack(["send", "--file", file, "--to", back.url, "--vault", VAULT]);
    expect(sent).toMatchObject({ code: 0, output: expect.stringMatching(/every edit and every deletion is there/) });
    await back.kill();

    const again = await startOld(build);
    const united = { kept: "kept as it was", cut: "this stays", new: "written at ours", long: LONG };
    expect(await notesOf(again)).toEqual(united);
    await editOld(again, (doc) => note(doc, "later", "written at the old server"));
    await editOld(again, (doc) => text(doc, "kept").insert(0, "still "));
    await again.kill();

    const forward = await startOurs();
    const merged = { ...united, kept: "still kept as it was", later: "written at the old server" };
    expect(await notesOf(forward)).toEqual(merged);
    // And nothing of it was only in memory.
    await forward.kill9Group();
    expect(await notesOf(await startOurs())).toEqual(merged);
  });
});

describe.each(["main", "sql"] as const)("with the server of build %s", (build) => {
  it("[TK15] has the old server save deletions when nothing else differs, in one go from another address", async () => {
    const [ours, old] = [await startOurs(join(dir, "ours")), await startOld(build)];
    await editOld(old, (doc) => note(doc, "cut", "this stays, this goes"));
    await sendVault(await fetchVault(address(old)), address(ours), () => {}, QUICK);
    await editOurs(ours, (doc) => text(doc, "cut").delete(10, 11));
    const ended = await pushBack(["--from", ours.url, "--to", old.url, "--vault", VAULT]);
    expect(ended).toMatchObject({ code: 0, output: expect.stringMatching(/in 1 piece, with 1 ranges of deletions it did not have/) });
    await old.kill();
    expect(await notesOf(await startOld(build))).toEqual({ cut: "this stays" });
  });

  it("[TK15] brings it more than it can save at once, and goes on where it was cut off", async () => {
    const [ours, old] = [await startOurs(join(dir, "ours")), await startOld(build)];
    const notes = Object.fromEntries(["a", "b", "c"].map((id) => [id, id + LONG]));
    await editOurs(ours, (doc) => {
      for (const [id, content] of Object.entries(notes)) note(doc, id, content);
    });
    const vault = await fetchVault(address(ours));
    const saved: string[] = [];
    const cutOff = sendVault(vault, address(old), (line) => {
      if (saved.push(line) === 2) void old.kill();
    }, QUICK);
    await expect(cutOff).rejects.toMatchObject({ code: expect.stringMatching(/^(connection-lost|unreachable)$/) });

    const again = await startOld(build);
    const rest = await sendVault(vault, address(again), () => {}, QUICK);
    // What was told to be saved was: only the rest is sent.
    expect(rest.bytes).toBeLessThan(vault.update.byteLength - 2 * PIECE_BYTES + 200_000);
    await again.kill();
    expect(await notesOf(await startOld(build))).toEqual(notes);
  });
});

describe.each(["main", "sql"] as const)("with the server of build %s, where a device's save is under way", (build) => {
  it("[TK15] says saved of a piece only when a save of its own is on disk", async () => {
    const ours = await startOurs(join(dir, "ours"));
    await editOurs(ours, (doc) => note(doc, "a", "first"));
    const vault = await fetchVault(address(ours));
    // Longer than what lies between the piece and the end of the device's save, in which the piece waits.
    const old = await startOld(build, dataDir, 1_000);
    await withClient(old, async ({ doc }) => {
      await old.debug(VAULT);
      await old.holdSaves(VAULT);
      note(doc, "b", "of a device");
      await expect.poll(async () => (await old.debug(VAULT)).persistence?.queuedSaveCount, { timeout: 10_000, interval: 10 }).toBe(1);
      // Encoded and not written yet; now comes the piece.
      const sent = sendVault(vault, address(old), () => void old.kill(), QUICK);
      const ended = sent.then(() => "all there", (error: Error) => error.message);
      await expect.poll(() => doc.getMap("idToText").size, { timeout: 10_000, interval: 10 }).toBe(2);
      await old.releaseSaves(VAULT);
      // Killed in the moment it says so.
      expect(await ended).toMatch(/^(Cannot reach|http:.* closed the connection)/);
    });
    expect(await notesOf(await startOld(build))).toEqual({ a: "first", b: "of a device" });
  });
});

describe("push-back", () => {
  it("[TK15] waits a fixed time for a server without counters, and says that it cannot tell", async () => {
    const [ours, old] = [await startOurs(join(dir, "ours")), await startOld("1.6.1")];
    await editOurs(ours, (doc) => note(doc, "a", "first"));
    const begunMs = performance.now();
    const report = await sendVault(await fetchVault(address(ours)), address(old), () => {}, QUICK);
    expect(report.isSaveConfirmed).toBe(false);
    expect(performance.now() - begunMs).toBeGreaterThan(QUICK.quietMs);
    await old.kill();
    expect(await notesOf(await startOld("1.6.1"))).toEqual({ a: "first" });
  });

  it("[TK15] names what is wrong, with exit code 1, and leaves files alone", async () => {
    const ours = await startOurs(join(dir, "ours"));
    const old = await startOld("main");
    await editOurs(ours, (doc) => note(doc, "a", "first"));
    const file = join(dir, "vault.yjs");
    const save = () => ["save", "--from", ours.url, "--vault", VAULT, "--out", file];
    expect(await pushBack(save(), "wrong-token-0123456789abcdef01234567")).toMatchObject({ code: 1, output: expect.stringMatching(/^push-back: wrong-token: /) });
    await expect(fetchVault({ ...address(ours), vault: "misspelt" })).rejects.toMatchObject({ code: "vault-empty" });
    expect(existsSync(file)).toBe(false);
    expect((await pushBack(save())).code).toBe(0);
    const whole = readFileSync(file);
    expect(await pushBack(save())).toMatchObject({ code: 1, output: expect.stringMatching(/^push-back: file-exists: /) });
    expect(readFileSync(file)).toEqual(whole);
    writeVault(file, whole, true);

    const vault = readVault(file);
    const sent = (to: Partial<VaultAddress>) => sendVault(vault, { ...address(old), ...to }, () => {}, QUICK);
    await expect(sent({ token: "wrong-token" })).rejects.toMatchObject({ code: "wrong-token" });
    await expect(sent({ url: "http://127.0.0.1:1" })).rejects.toMatchObject({ code: "unreachable" });
    expect(() => readVault(join(dir, "none"))).toThrow(expect.objectContaining({ code: "file-unreadable" }) as Error);
    await editOld(old, (doc) => doc.getMap("sys").set("schemaVersion", 3));
    const refused = await pushBack(["send", "--file", file, "--to", old.url, "--vault", VAULT]);
    expect(refused).toMatchObject({ code: 1, output: expect.stringMatching(/push-back: schema-refused: .*\(the vault's is 3\)/) });
    writeFileSync(file, whole.subarray(0, whole.length - 3));
    expect(() => readVault(file)).toThrow(expect.objectContaining({ code: "file-damaged", message: expect.stringMatching(/truncated/) }) as Error);
  });

  it("[TK15] says so when the old server takes edits in and cannot save them", async () => {
    const [ours, old] = [await startOurs(join(dir, "ours")), await startOld("main")];
    await editOurs(ours, (doc) => note(doc, "a", "first"));
    await withClient(old, async ({ doc }) => {
      doc.getMap("other").set("one value", "x".repeat(2_200_000));
      await expect.poll(async () => (await old.debug(VAULT)).persistence?.failedSaveCount, { timeout: 10_000, interval: 10 }).toBe(1);
    });
    const failed = sendVault(await fetchVault(address(ours)), address(old), () => {}, QUICK);
    await expect(failed).rejects.toMatchObject({ code: "not-saved", message: expect.stringMatching(/SQLITE_TOOBIG/) });
  });

  it("[TK15] sends nothing that the old server could never save", async () => {
    const [ours, old] = [await startOurs(join(dir, "ours")), await startOld("main")];
    await editOurs(ours, (doc) => doc.getMap("other").set("one value", "x".repeat(2_000_000)));
    const refused = sendVault(await fetchVault(address(ours)), address(old), () => {}, QUICK);
    await expect(refused).rejects.toMatchObject({ code: "too-large" });
    expect(await withClient(old, ({ doc }) => doc.getMap("other").size)).toBe(0);
    // Released servers repeat everything since their last checkpoint, and this vault is too large for one.
    const released = await startOld("1.6.1", join(dir, "released"));
    const lacks = checkVault(Y.encodeStateAsUpdate(manyNotes()), "notes");
    await expect(sendVault(lacks, address(released), () => {}, QUICK)).rejects.toMatchObject({ code: "too-large" });
    // PR #51's tables take it.
    const sql = await startOld("sql", join(dir, "sql"));
    expect((await sendVault(await fetchVault(address(ours)), address(sql), () => {}, QUICK)).isSaveConfirmed).toBe(true);
  });
});
