/** Brings an old server everything of a vault that it lacks, as an ordinary client would, at a pace at which it can save all of it. */
import * as Y from "yjs";
import { covers, encodeDeleteSet, union } from "../../src/update/delete-set.ts";
import { lastSync, missingFrom, withClosing } from "./pieces.ts";
import { PushBackError } from "./push-back-error.ts";
import { SaveWatch } from "./save-watch.ts";
import { type Timings, TIMINGS } from "./timings.ts";
import { readFacts, reaches } from "./update-facts.ts";
import { type VaultAddress, VaultConnection } from "./vault-connection.ts";
import { docOf, type WholeVault } from "./vault-file.ts";

export interface SendReport {
  readonly pieces: number;
  readonly bytes: number;
  /** Ranges of deletions the server did not know. */
  readonly deleteRanges: number;
  /** The server's own counters say that all of it is saved; false: it has no counters. */
  readonly isSaveConfirmed: boolean;
}

/** What one save of the key-value servers may weigh (compat sheet, 4.2: about 2 MB), with room for frames of storage. */
const MAX_SAVE_BYTES = 1_900_000;

/**
 * @param tell hears of every piece that is saved
 * @throws {PushBackError} with what was sent before left in place: running it again goes on from there
 */
export async function sendVault(vault: WholeVault, address: VaultAddress, tell: (line: string) => void, timings: Timings = TIMINGS): Promise<SendReport> {
  const watch = await SaveWatch.begin(address, timings);
  const connection = await VaultConnection.open(address, vault.schemaVersion, timings);
  try {
    const ask = async (): Promise<Uint8Array> => Y.mergeUpdates(await connection.ask(Y.encodeStateVectorFromUpdate(vault.update)));
    const theirs = await ask();
    let deletes = readFacts(theirs).deletes;
    const missing = missingFrom(vault, connection.serverVector, deletes);
    const pieces = withClosing(missing, docOf(vault.update, theirs), Date.now());
    const marks = new Y.Doc();

    for (const [index, piece] of pieces.entries()) {
      // Each time: what devices delete meanwhile is in every save.
      if (!watch.isSql) assertSavable(pieces, encodeDeleteSet(union(vault.facts.deletes, deletes)).byteLength, watch.tells ? 0 : vault.update.byteLength, address, index);
      await watch.saved(
        async () => {
          connection.push(piece);
          // Taken in, once what was asked behind it is answered.
          await ask();
        },
        () => connection.push(lastSync(marks, Date.now())),
      );
      // The same connection still answers: nothing was started anew in between, so the save was of what it took in.
      deletes = readFacts(await ask()).deletes;
      tell(`piece ${index + 1} of ${pieces.length}: ${piece.byteLength} bytes ${watch.tells ? "saved" : "sent"}`);
    }
    await verify(vault, address, timings);
    return {
      pieces: pieces.length,
      bytes: pieces.reduce((sum, piece) => sum + piece.byteLength, 0),
      deleteRanges: missing.deletes.rangeCount,
      isSaveConfirmed: watch.tells,
    };
  } finally {
    connection.close();
  }
}

/**
 * Before a piece is sent: what these servers cannot save makes them save nothing any more (compat sheet, 5.4).
 * @param vaultBytes of a released server, else 0: once its vault is too large for a checkpoint, each save repeats everything since the last one
 * @param sent pieces that are there already
 */
function assertSavable(pieces: readonly Uint8Array[], deleteBytes: number, vaultBytes: number, address: VaultAddress, sent: number): void {
  const sizes = pieces.map((piece) => piece.byteLength);
  const heaviest = vaultBytes > MAX_SAVE_BYTES ? sizes.reduce((sum, size) => sum + size, 0) : Math.max(...sizes);
  if (heaviest + deleteBytes <= MAX_SAVE_BYTES) return;
  throw new PushBackError(
    "too-large",
    `${address.url} keeps vaults in the key-value layout and cannot save this one: ${heaviest} bytes of edits with ${deleteBytes} bytes of deletions exceed the ${MAX_SAVE_BYTES} it can save at once; ${sent === 0 ? "nothing was sent" : `the ${sent} pieces before stay`}`,
  );
}

/** With a new connection and a new document. @throws {PushBackError} `not-all-there` */
async function verify(vault: WholeVault, address: VaultAddress, timings: Timings): Promise<void> {
  const connection = await VaultConnection.open(address, vault.schemaVersion, timings);
  try {
    const theirs = Y.mergeUpdates(await connection.ask(Uint8Array.of(0)));
    const vector = Y.decodeStateVector(Y.encodeStateVector(docOf(theirs)));
    if (!reaches(vector, vault.facts.vector)) throw new PushBackError("not-all-there", `${address.url} does not have all edits of the vault after all were sent`);
    if (!covers(readFacts(theirs).deletes, vault.facts.deletes)) throw new PushBackError("not-all-there", `${address.url} does not have all deletions of the vault after all were sent`);
  } finally {
    connection.close();
  }
}
