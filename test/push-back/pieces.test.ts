/** What is sent to an old server: everything it lacks, in pieces each of which it can take in when it comes. */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import { missingFrom, PIECE_BYTES, withClosing } from "../../scripts/push-back/pieces.ts";
import { readFacts } from "../../scripts/push-back/update-facts.ts";
import { checkVault, docOf } from "../../scripts/push-back/vault-file.ts";
import { difference, plainDoc } from "../kit/compare.ts";
import { randomEdit } from "../kit/random-edits.ts";
import { Random } from "../kit/random.ts";

const SEED = Number(process.env["YAOS_TEST_SEED"] ?? 20261121);
const HISTORIES = 40;

/** Feeds a server's document the pieces one by one. */
function feed(server: Y.Doc, pieces: readonly Uint8Array[]): void {
  for (const piece of pieces) {
    Y.applyUpdate(server, piece, "remote");
    expect(server.store.pendingStructs).toBeNull();
  }
}

function piecesFor(vault: Y.Doc, server: Y.Doc, nowMs: number): Uint8Array[] {
  const theirs = Y.encodeStateAsUpdate(server);
  const whole = checkVault(Y.encodeStateAsUpdate(vault), "the vault");
  const missing = missingFrom(whole, Y.encodeStateVector(server), readFacts(theirs).deletes);
  return withClosing(missing, docOf(whole.update, theirs), nowMs);
}

describe("pieces", () => {
  it("[TK15] bring a server that has part of the vault, and edits of its own, to the union", () => {
    for (let history = 0; history < HISTORIES; history += 1) {
      const random = new Random(SEED + history);
      const [vault, server] = [plainDoc([], { clientId: 1 }), plainDoc([], { clientId: 2 })];
      for (let edit = 0; edit < 20; edit += 1) randomEdit(random.chance(0.5) ? vault : server, random, { surrogates: false });
      Y.applyUpdate(vault, Y.encodeStateAsUpdate(server), "remote");
      for (let edit = 0; edit < 30; edit += 1) randomEdit(random.chance(0.7) ? vault : server, random, { surrogates: false });
      const union = plainDoc([Y.encodeStateAsUpdate(vault), Y.encodeStateAsUpdate(server)]);

      const pieces = piecesFor(vault, server, 1);
      feed(server, pieces);
      // The closing set of sys.lastSync is the one thing the union does not have.
      Y.applyUpdate(union, Y.encodeStateAsUpdate(server, Y.encodeStateVector(union)), "remote");
      expect(difference(server, union), `seed ${SEED + history}`).toBeNull();
      expect(server.getMap("sys").get("lastSync")).toBe(1);
    }
  });

  it("[TK15] of a large vault stay under their size and follow on, deletions included", () => {
    const vault = plainDoc([], { clientId: 1 });
    const notes = vault.getMap<Y.Text>("idToText");
    for (let note = 0; note < 30; note += 1) {
      const text = new Y.Text();
      notes.set(`note ${note}`, text);
      for (let part = 0; part < 10; part += 1) text.insert(0, `${note}.${part} `.repeat(2_000));
    }
    notes.get("note 3")!.delete(0, 1_000);
    const server = plainDoc([]);
    const pieces = piecesFor(vault, server, 1);
    expect(pieces.length).toBeGreaterThan(2);
    // The closing piece also has the deletions and the set of lastSync; a struct that ends a piece may pass the mark by itself.
    for (const piece of pieces) expect(piece.byteLength).toBeLessThan(PIECE_BYTES + 32 * 1024);
    feed(server, pieces);
    expect(server.getMap<Y.Text>("idToText").get("note 3")!.toString()).toBe(notes.get("note 3")!.toString());
    expect(Y.snapshot(server).ds.clients.get(1)).toEqual(Y.snapshot(vault).ds.clients.get(1));
  });

  it("[TK15] cut what was pasted in one go, never inside a surrogate pair", () => {
    const vault = plainDoc([], { clientId: 1 });
    const pasted = "x" + "😀".repeat(700_000);
    vault.getText("text").insert(0, pasted);
    const server = plainDoc([]);
    const pieces = piecesFor(vault, server, 1);
    expect(pieces.length).toBeGreaterThan(4);
    for (const piece of pieces) expect(piece.byteLength).toBeLessThan(PIECE_BYTES + 160 * 1024);
    feed(server, pieces);
    expect(server.getText("text").toString()).toBe(pasted);
  });

  it("[TK15] carry an insertion when only deletions differ, since old servers save nothing else", () => {
    const vault = plainDoc([], { clientId: 1 });
    vault.getText("text").insert(0, "keep drop");
    const server = plainDoc([Y.encodeStateAsUpdate(vault)], { clientId: 2 });
    vault.getText("text").delete(4, 5);
    const before = Y.encodeStateVector(server);
    const pieces = piecesFor(vault, server, 1_700_000_000_000);
    expect(pieces).toHaveLength(1);
    feed(server, pieces);
    expect(server.getText("text").toString()).toBe("keep");
    expect(Y.encodeStateVector(server)).not.toEqual(before);
    expect(server.getMap("sys").get("lastSync")).toBe(1_700_000_000_000);
  });
});
