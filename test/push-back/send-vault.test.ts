/** Sending to a server that does not keep what it was sent: a stand-in over a document, which may lose edits or deletions. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import * as Y from "yjs";
import { sendVault, type SendReport } from "../../scripts/push-back/send-vault.ts";
import type { Timings } from "../../scripts/push-back/timings.ts";
import { checkVault } from "../../scripts/push-back/vault-file.ts";

const QUICK: Timings = { openMs: 5_000, answerMs: 5_000, saveMs: 5_000, pollMs: 5, quietMs: 1 };
const running: Server[] = [];

afterEach(() => {
  for (const server of running.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

function frame(inner: number, body: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, inner);
  encoding.writeVarUint8Array(encoder, body);
  return encoding.toUint8Array(encoder);
}

/** A server without counters. @param kept what becomes of an update that comes @returns its address */
async function standIn(doc: Y.Doc, kept: (update: Uint8Array) => Uint8Array | null): Promise<string> {
  const server = createServer((_request, answer) => void answer.end("{}"));
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
