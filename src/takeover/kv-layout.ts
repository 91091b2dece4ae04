/**
 * What the key-value layout and the pre-chunk `document` left in an object (compat sheet, 4, 4.3 and 4.4). Reads only; every chunk is
 * looked at once for its length, none is kept.
 */
import { bytesOf } from "./bytes-of.ts";
import { DOCUMENT_KEY } from "./kv-keys.ts";
import { findCheckpoints } from "./kv-checkpoints.ts";
import { findJournal } from "./kv-journal.ts";
import { joinFindings } from "./join-findings.ts";
import { LegacyDamageError, type LegacyEntry, type LegacyFindings, type LegacyStorage } from "./legacy.ts";

/** `document` first, then checkpoints, then journal entries, each in ascending order. */
export function findKvEntries(storage: LegacyStorage): LegacyFindings {
  return joinFindings([findDocument(storage), findCheckpoints(storage), findJournal(storage)]);
}

function findDocument(storage: LegacyStorage): LegacyFindings {
  const value = storage.get(DOCUMENT_KEY);
  if (value === undefined) return joinFindings([]);
  // No bytes: reading it says so. Whether that is a loss depends on what else there is.
  const byteLength = bytesOf(value)?.byteLength ?? 1;
  return { ...joinFindings([]), entries: [documentEntry(storage, byteLength)] };
}

function documentEntry(storage: LegacyStorage, byteLength: number): LegacyEntry {
  return {
    kind: "document",
    name: DOCUMENT_KEY,
    isLive: true,
    byteLength,
    partSizes: [byteLength],
    sha256: null,
    keys: [DOCUMENT_KEY],
    readPart: () => {
      const bytes = bytesOf(storage.get(DOCUMENT_KEY));
      if (bytes === null || bytes.byteLength !== byteLength) throw new LegacyDamageError(DOCUMENT_KEY, `invalid binary payload for ${DOCUMENT_KEY}`);
      return bytes;
    },
  };
}
