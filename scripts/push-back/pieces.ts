/** What an old server lacks of a vault, in pieces it can save. */
import * as Y from "yjs";
import { planFrame } from "../../src/update/assemble.ts";
import { type DeleteSet, encodeDeleteSet, subtract } from "../../src/update/delete-set.ts";
import { rewrite } from "../../src/update/rewrite.ts";
import type { WholeVault } from "./vault-file.ts";

/** Bytes of a piece, unless one struct alone is larger. With the delete set beside it, it stays under what the old servers can save. */
export const PIECE_BYTES = 512 * 1024;

export interface Missing {
  /** Updates in causal order, deleted content already gone from them: each can be taken in when it comes. */
  readonly pieces: readonly Uint8Array[];
  readonly deletes: DeleteSet;
}

/** @param serverVector encoded */
export function missingFrom(vault: WholeVault, serverVector: Uint8Array, serverDeletes: DeleteSet): Missing {
  const lacking = Y.diffUpdate(vault.update, serverVector);
  const chunks = rewrite([{ bytes: lacking, runs: null }], { deletes: vault.facts.deletes, chunkBytes: PIECE_BYTES });
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

const NO_DELETES = Uint8Array.of(0);
const NO_STRUCTS = Uint8Array.of(0);

function lastSync(doc: Y.Doc, nowMs: number): Uint8Array {
  const made: Uint8Array[] = [];
  const note = (update: Uint8Array): number => made.push(update);
  doc.on("update", note);
  doc.getMap("sys").set("lastSync", nowMs);
  doc.off("update", note);
  return Y.mergeUpdates(made);
}
