/** What an old server lacks of a vault, in pieces it can save. */
import * as decoding from "lib0/decoding";
import * as Y from "yjs";
import { planFrame } from "../../src/update/assemble.ts";
import type { CutPoints } from "../../src/update/cut-points.ts";
import { type DeleteSet, encodeDeleteSet, subtract } from "../../src/update/delete-set.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { rewrite } from "../../src/update/rewrite.ts";
import { STRING_REF } from "../../src/update/visitor.ts";
import type { WholeVault } from "./vault-file.ts";

/** Bytes of a piece, give or take a struct. With the delete set beside it, it stays under what the old servers can save. */
export const PIECE_BYTES = 512 * 1024;
/** Text in one struct, as a paste leaves it, is cut into parts of so many UTF-16 units, at most three bytes each. */
const TEXT_PART_UNITS = 50_000;

export interface Missing {
  /** Updates in causal order, deleted content already gone from them: each can be taken in when it comes. */
  readonly pieces: readonly Uint8Array[];
  readonly deletes: DeleteSet;
}

/** @param serverVector encoded */
export function missingFrom(vault: WholeVault, serverVector: Uint8Array, serverDeletes: DeleteSet): Missing {
  const lacking = Y.diffUpdate(vault.update, serverVector);
  const chunks = rewrite([{ bytes: lacking, runs: null }], { deletes: vault.facts.deletes, cuts: longTextCuts(lacking), chunkBytes: PIECE_BYTES });
  const pieces = chunks.map((chunk) => planFrame([{ id: 0, runs: chunk.runs }], () => 0).create(NO_DELETES, () => chunk.bytes));
  return { pieces, deletes: subtract(vault.facts.deletes, serverDeletes) };
}

/**
 * The pieces with the last made so that the server saves it: with the deletions, and a new `sys.lastSync` as plugins set it. Old servers save only
 * when something was inserted (compat sheet, 5.3), and what they hold deleted in memory, from whomever, is then saved with it.
 * @param doc vault and server state together
 */
export function withClosing(missing: Missing, doc: Y.Doc, nowMs: number): Uint8Array[] {
  const pieces = [...missing.pieces];
  const last = pieces.pop();
  const deletions = new Uint8Array(Buffer.concat([NO_STRUCTS, encodeDeleteSet(missing.deletes)]));
  return [...pieces, Y.mergeUpdates([...(last === undefined ? [] : [last]), deletions, lastSync(doc, nowMs)])];
}

/** Clocks at which text that one piece should not hold is cut, never inside a surrogate pair: its halves would be lost (update laws, T6). */
function longTextCuts(update: Uint8Array): CutPoints {
  const cuts = new Map<number, Float64Array>();
  readUpdate(update, {
    struct: ({ ref, client, clock, length, contentStart, end }) => {
      if (ref !== STRING_REF || length <= TEXT_PART_UNITS) return;
      const text = decoding.readVarString(decoding.createDecoder(update.subarray(contentStart, end)));
      const clocks = [...(cuts.get(client) ?? [])];
      for (let at = TEXT_PART_UNITS; at < length; at += TEXT_PART_UNITS) clocks.push(clock + (isInsidePair(text, at) ? at - 1 : at));
      cuts.set(client, Float64Array.from(clocks));
    },
  });
  return cuts;
}

function isInsidePair(text: string, at: number): boolean {
  return /[\uD800-\uDBFF]/.test(text[at - 1] ?? "") && /[\uDC00-\uDFFF]/.test(text[at] ?? "");
}

const NO_DELETES = Uint8Array.of(0);
const NO_STRUCTS = Uint8Array.of(0);

/** A new `sys.lastSync`, as plugins set it. In a document of its own it rests on nothing that a server may not have yet. */
export function lastSync(doc: Y.Doc, nowMs: number): Uint8Array {
  const made: Uint8Array[] = [];
  const note = (update: Uint8Array): number => made.push(update);
  doc.on("update", note);
  doc.getMap("sys").set("lastSync", nowMs);
  doc.off("update", note);
  return Y.mergeUpdates(made);
}
