/** Runs the document summary over a whole room, one chunk at a time. */
import { LIMITS } from "../limits.ts";
import { union } from "../update/delete-set.ts";
import { readRun, readUpdate } from "../update/reader.ts";
import type { CommitWindow } from "../room/commit-window.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { type DocumentSummary, DocumentSummaryCounter } from "./document-summary.ts";

export type VaultSummary = { readonly summary: DocumentSummary; readonly reason: null } | { readonly summary: null; readonly reason: string };

/** Counts, or says why not. Memory follows map entries and one chunk, not the notes. */
export function summarizeVault(store: VaultStore, window: CommitWindow): VaultSummary {
  const bytes = store.chunkBytes + store.journalBytes + window.byteLength;
  if (bytes > LIMITS.maxSummaryVaultBytes) {
    return { summary: null, reason: `vault of ${bytes} bytes exceeds the ${LIMITS.maxSummaryVaultBytes} bytes counted` };
  }
  try {
    const counter = new DocumentSummaryCounter(union(store.readDeletes(), window.deletes));
    for (const chunk of store.index.chunks) {
      const data = store.readChunk(chunk);
      const visitor = counter.visitor(data);
      for (const run of chunk.runs) readRun(data, run.offset, run.client, run.clock, run.structCount, visitor);
    }
    for (const update of [...store.readJournalUpdates(), ...window.updates]) readUpdate(update, counter.visitor(update));
    return { summary: counter.finish(), reason: null };
  } catch (error) {
    return { summary: null, reason: error instanceof Error ? error.message : String(error) };
  }
}
