/** Runs the document summary over a whole room, one chunk at a time. */
import { LIMITS } from "../limits.ts";
import { release } from "../release.ts";
import { union } from "../update/delete-set.ts";
import { Pacer, withoutPauses } from "../update/pacer.ts";
import { readRun, readUpdate } from "../update/reader.ts";
import type { CommitWindow } from "../room/commit-window.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { type DocumentSummary, DocumentSummaryCounter } from "./document-summary.ts";

export type VaultSummary = { readonly summary: DocumentSummary; readonly reason: null } | { readonly summary: null; readonly reason: string };

/** Shows the counter everything stored, one chunk at a time, with pauses. @throws {DamagedRowError} */
export function* countStored(store: VaultStore, counter: DocumentSummaryCounter, pacer: Pacer): Generator<null, void> {
  for (const chunk of store.index.chunks) {
    const bytes = store.readChunk(chunk);
    const visitor = counter.visitor(bytes);
    for (const run of chunk.runs) readRun(bytes, run.offset, run.client, run.clock, run.structCount, visitor);
    pacer.spend(bytes.byteLength * 2);
    release(bytes);
    yield* pacer.pause();
  }
  for (const update of store.readJournalUpdates()) readUpdate(update, counter.visitor(update));
}

/** Counts, or says why not. Memory follows map entries and one chunk, not the notes. */
export function summarizeVault(store: VaultStore, window: CommitWindow): VaultSummary {
  const bytes = store.chunkBytes + store.journalBytes + window.byteLength;
  if (bytes > LIMITS.maxSummaryVaultBytes) {
    return { summary: null, reason: `vault of ${bytes} bytes exceeds the ${LIMITS.maxSummaryVaultBytes} bytes counted` };
  }
  try {
    const counter = new DocumentSummaryCounter(union(store.readDeletes(), window.deletes));
    withoutPauses(countStored(store, counter, new Pacer(Infinity)));
    for (const update of window.updates) readUpdate(update, counter.visitor(update));
    return { summary: counter.finish(), reason: null };
  } catch (error) {
    return { summary: null, reason: error instanceof Error ? error.message : String(error) };
  }
}
