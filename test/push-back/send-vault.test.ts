/** Sending to a server that does not keep what it was sent, or not yet: a stand-in over a document, which may lose edits or deletions, and saves when told. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { afterEach, describe, expect, it } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import * as Y from "yjs";
import { sendVault, type SendReport } from "../../scripts/push-back/send-vault.ts";
import type { Timings } from "../../scripts/push-back/timings.ts";
import { checkVault, docOf } from "../../scripts/push-back/vault-file.ts";

const QUICK: Timings = { openMs: 5_000, answerMs: 5_000, saveMs: 5_000, pollMs: 5, quietMs: 1 };
const running: Server[] = [];
const sockets = new Set<WebSocket>();

afterEach(() => {
  for (const server of running.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
  sockets.clear();
});

function frame(inner: number, body: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, inner);
  encoding.writeVarUint8Array(encoder, body);
  return encoding.toUint8Array(encoder);
}

/** @param kept what becomes of an update that comes @param debug what it tells of itself: nothing, without counters @returns its address */
async function standIn(doc: Y.Doc, kept: (update: Uint8Array) => Uint8Array | null, debug = () => ({})): Promise<string> {
  const server = createServer((_request, answer) => void answer.end(JSON.stringify(debug())));
  new WebSocketServer({ server }).on("connection", (socket) => {
    socket.send(frame(0, Y.encodeStateVector(doc)));
    socket.on("message", (data: Buffer) => {
      const decoder = decoding.createDecoder(new Uint8Array(data));
      decoding.readVarUint(decoder);
      const inner = decoding.readVarUint(decoder);
      const body = decoding.readVarUint8Array(decoder);
      const update = inner === 0 ? null : kept(body);
      if (inner === 0) socket.send(frame(1, Y.encodeStateAsUpdate(doc, body)));
      else if (update !== null) Y.applyUpdate(doc, update);
    });
    sockets.add(socket);
  });
  running.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The vault: text of which the end is deleted. */
const vault = new Y.Doc();
vault.getText("t").insert(0, "kept, deleted");
const before = Y.encodeStateAsUpdate(vault);
vault.getText("t").delete(4, 9);

async function sent(server: Y.Doc, kept: (update: Uint8Array) => Uint8Array | null): Promise<SendReport> {
  const url = await standIn(server, kept);
  return sendVault(checkVault(Y.encodeStateAsUpdate(vault), "the vault"), { url, vault: "v", token: "token" }, () => {}, QUICK);
}

describe("sending", () => {
  it("[TK15] is done when a new client finds everything", async () => {
    const server = new Y.Doc();
    expect(await sent(server, (update) => update)).toMatchObject({ pieces: 1, deleteRanges: 1, isSaveConfirmed: false });
    expect(server.getText("t").toJSON()).toBe("kept");
  });

  it("[TK15] fails when edits are not there afterwards", async () => {
    await expect(sent(new Y.Doc(), () => null)).rejects.toMatchObject({ code: "not-all-there", message: expect.stringContaining("edits") });
  });

  it("[TK15] fails when deletions are not there afterwards", async () => {
    const server = new Y.Doc();
    Y.applyUpdate(server, before);
    await expect(sent(server, () => null)).rejects.toMatchObject({ code: "not-all-there", message: expect.stringContaining("deletions") });
  });
});

/** What a server with counters has on disk, told in its debug answers. Times are steps of its own. */
class Disk {
  /** From now on everything falls into one millisecond. */
  isTimeFrozen = false;
  /** Whether the queue counts the save under way. */
  readonly countsRunning: boolean;

  readonly doc = new Y.Doc();
  /** Of this instance. */
  readonly told = { queuedSaveCount: 0, successfulSaveCount: 0, failedSaveCount: 0, lastSaveStartedAt: null as string | null, lastSaveSucceededAt: null as string | null, lastSaveError: null };
  saved = Y.encodeStateAsUpdate(new Y.Doc());
  #step = 0;
  #encoded: Uint8Array = this.saved;

  constructor(countsRunning = true) {
    this.countsRunning = countsRunning;
  }

  begin(): void {
    this.told.queuedSaveCount = this.countsRunning ? 1 : 0;
    this.told.lastSaveStartedAt = this.#time();
    this.#encoded = Y.encodeStateAsUpdate(this.doc);
  }

  end(): void {
    this.saved = this.#encoded;
    this.told.queuedSaveCount = 0;
    this.told.successfulSaveCount += 1;
    this.told.lastSaveSucceededAt = this.#time();
  }

  /** A save that finds the vector where it was. */
  skip(): void {
    this.told.lastSaveStartedAt = this.#time();
  }

  get text(): string {
    return docOf(this.saved).getText("t").toJSON();
  }

  #time(): string {
    if (!this.isTimeFrozen) this.#step += 1;
    return new Date(this.#step).toISOString();
  }
}

/** Sends the vault. @param came runs when an update has come, before it is taken in @param looks what happens before each debug answer from then on; after the last, nothing does */
async function sentTo(disk: Disk, came: (count: number) => void, looks: (() => void)[], seen: string[]): Promise<SendReport> {
  let count = 0;
  const kept = (update: Uint8Array): Uint8Array => {
    count += 1;
    came(count);
    return update;
  };
  const debug = (): object => {
    if (count > 0) looks.shift()?.();
    return { persistence: disk.told };
  };
  const url = await standIn(disk.doc, kept, debug);
  // What stands on disk when it says that a piece is saved.
  const tell = (): number => seen.push(disk.text);
  return sendVault(checkVault(Y.encodeStateAsUpdate(vault), "the vault"), { url, vault: "v", token: "token" }, tell, { ...QUICK, saveMs: 500 });
}

describe("a piece is saved", () => {
  const nothing = (): void => {};

  it("[TK15] by a save that began after it came, not by one that devices had begun before", async () => {
    const disk = new Disk();
    const seen: string[] = [];
    const looks = [nothing, () => disk.end(), nothing, nothing, () => disk.begin(), nothing, () => disk.end()];
    const report = await sentTo(disk, (count) => count === 1 && disk.begin(), looks, seen);
    expect({ report, seen, left: looks.length }).toMatchObject({ report: { isSaveConfirmed: true }, seen: ["kept"], left: 0 });
  });

  it("[TK15] by a save of its own, when that begins in the millisecond in which the one before ended", async () => {
    const disk = new Disk();
    const seen: string[] = [];
    const turn = (): void => {
      disk.end();
      disk.isTimeFrozen = true;
      disk.begin();
    };
    const later = (): void => {
      disk.isTimeFrozen = false;
      disk.begin();
    };
    await sentTo(disk, (count) => count === 1 && disk.begin(), [nothing, turn, nothing, () => disk.end(), later, () => disk.end()], seen);
    expect(seen).toEqual(["kept"]);
  });

  it("[TK15] by a save of its own, on a server whose queue leaves out the one under way", async () => {
    const disk = new Disk(false);
    const seen: string[] = [];
    await sentTo(disk, (count) => count === 1 && disk.begin(), [nothing, () => disk.end(), nothing, () => disk.begin(), nothing, () => disk.end()], seen);
    expect(seen).toEqual(["kept"]);
  });

  it("[TK15] by the second of two saves on a server that is never idle", async () => {
    const disk = new Disk();
    const seen: string[] = [];
    const next = (): void => {
      disk.end();
      disk.begin();
    };
    await sentTo(disk, (count) => count === 1 && disk.begin(), [nothing, next, nothing, next, nothing], seen);
    expect(seen).toEqual(["kept"]);
  });

  it("[TK15] and that save is asked for when one was over before anybody looked", async () => {
    const disk = new Disk();
    const seen: string[] = [];
    let marks = 0;
    const looks = [
      () => {
        disk.begin();
        disk.end();
      },
      // Deletions by a device: a save that saves nothing.
      () => disk.skip(),
      () => disk.begin(),
      () => disk.end(),
    ];
    await sentTo(disk, (count) => (marks = count - 1), looks, seen);
    expect({ seen, marks, left: looks.length }).toEqual({ seen: ["kept"], marks: 1, left: 0 });
  });

  it("[TK15] not by a save that found nothing to save", async () => {
    const disk = new Disk();
    const seen: string[] = [];
    disk.begin();
    disk.end();
    disk.isTimeFrozen = true;
    const early = sentTo(disk, nothing, [nothing, () => disk.skip()], seen);
    await expect(early).rejects.toMatchObject({ code: "timeout" });
    expect(seen).toEqual([]);
  });

  it("[TK15] not by a server that was started anew, whatever its counters say", async () => {
    const disk = new Disk();
    const seen: string[] = [];
    const restart = (): void => {
      for (const socket of sockets) socket.terminate();
      disk.begin();
    };
    const lost = sentTo(disk, nothing, [nothing, restart, () => disk.end()], seen);
    await expect(lost).rejects.toMatchObject({ code: "connection-lost" });
    expect(seen).toEqual([]);
  });
});

it("[TK15] the next piece is not sent when devices have deleted so much meanwhile that no save could hold it", async () => {
  const large = new Y.Doc();
  for (let part = 0; part < 20; part += 1) large.getText("t").insert(0, `${part} `.repeat(20_000));
  const server = new Y.Doc();
  const updates: Uint8Array[] = [];
  const url = await standIn(server, (update) => {
    updates.push(update);
    return Y.mergeUpdates([update, manyDeletes()]);
  }, () => ({ persistence: COUNTING }));
  const refused = sendVault(checkVault(Y.encodeStateAsUpdate(large), "the vault"), { url, vault: "v", token: "token" }, () => {}, QUICK);
  await expect(refused).rejects.toMatchObject({ code: "too-large", message: expect.stringContaining("the 1 pieces before stay") });
  // The piece and its mark.
  expect(updates).toHaveLength(2);
});

/** Of a server whose every look finds one more save. */
const COUNTING = {
  queuedSaveCount: 0,
  failedSaveCount: 0,
  lastSaveError: null,
  saves: 0,
  get successfulSaveCount(): number {
    return (this.saves += 1);
  },
  get lastSaveStartedAt(): string {
    return new Date(this.saves).toISOString();
  },
  get lastSaveSucceededAt(): string {
    return new Date(this.saves).toISOString();
  },
};

/** An update of deletions alone, over 1.4 MB, of clocks nobody has. */
function manyDeletes(): Uint8Array {
  const RANGES = 250_000;
  const encoder = encoding.createEncoder();
  for (const part of [0, 1, 77, RANGES]) encoding.writeVarUint(encoder, part);
  for (let range = 0; range < RANGES; range += 1) {
    encoding.writeVarUint(encoder, 2 ** 28 + range * 2);
    encoding.writeVarUint(encoder, 1);
  }
  return encoding.toUint8Array(encoder);
}
