/** The pre-chunk key `document` and the rule by which it still counts (compat sheet, 4.4). */
import * as Y from "yjs";
import { bytesOf } from "./bytes.ts";
import type { KeyValues } from "./platform.ts";

/** The update in `document`, when it has active files and the chunked state is as good as empty; else null. */
export async function readPrechunk(storage: KeyValues, chunked: readonly Uint8Array[]): Promise<Uint8Array | null> {
  const value = await storage.get("document");
  if (value === undefined) return null;
  const update = bytesOf(value, "document");
  const state = docOf(chunked);
  const isBare = ["meta", "pathToId", "idToText"].every((root) => state.getMap(root).size === 0);
  return isBare && activePaths(docOf([update])) > 0 ? update : null;
}

/** Files that `meta` names and does not call deleted. Nested metadata counts for nothing, as with the servers this stands for. */
export function activePaths(doc: Y.Doc): number {
  let count = 0;
  for (const value of doc.getMap("meta").values()) {
    const meta = value as { path?: unknown; deleted?: unknown; deletedAt?: unknown } | null;
    if (typeof meta === "object" && meta !== null && typeof meta.path === "string" && meta.deleted !== true && typeof meta.deletedAt !== "number") count += 1;
  }
  return count;
}

function docOf(updates: readonly Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}
