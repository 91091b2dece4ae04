/**
 * A short text over the few records that an older server changes with every write, to notice one that was put back. Asked at every wake:
 * some gets and sums, never the contents.
 */
import type { Sql } from "../ports.ts";
import { bytesOf } from "./bytes-of.ts";
import { CHECKPOINT_POINTER, CHECKPOINT_PREFIX, DOCUMENT_KEY, JOURNAL_META, JOURNAL_PREFIX } from "./kv-keys.ts";
import { LIMITS } from "../limits.ts";
import type { LegacyStorage } from "./legacy.ts";
import { lastIdGiven, tableState } from "./sql-tables.ts";

/** Null when nothing of any older layout is there. Equal texts: no older server wrote in between. */
export function legacyFingerprint(storage: LegacyStorage): string | null {
  const [pointer, meta, document] = [storage.get(CHECKPOINT_POINTER), storage.get(JOURNAL_META), storage.get(DOCUMENT_KEY)];
  // Rooms that never had another server ask this at every wake: one look tells that there is nothing.
  const hasKeys = pointer !== undefined || meta !== undefined || document !== undefined || storage.list(DOCUMENT_KEY, null, 1).length > 0;
  const hasTables = storage.sql.exec(`SELECT 1 FROM sqlite_schema WHERE name IN ('snapshot_chunks', 'journal') LIMIT 1`).length > 0;
  if (!hasKeys && !hasTables) return null;
  const parts = [
    documentPrint(document, storage),
    familyPrint(storage, CHECKPOINT_POINTER, pointer, CHECKPOINT_PREFIX, ["version"]),
    familyPrint(storage, JOURNAL_META, meta, JOURNAL_PREFIX, ["nextSeq", "entryCount", "totalBytes", "updatedAt"]),
    snapshotPrint(storage.sql),
    journalPrint(storage.sql),
  ];
  return parts.every((part) => part === null) ? null : parts.map((part) => part ?? "-").join(" ");
}

function documentPrint(value: unknown, storage: LegacyStorage): string | null {
  if (value === undefined) return null;
  const bytes = bytesOf(value);
  if (bytes === null) return "document:no bytes";
  // Fetched already, and nothing else tells of a change.
  const hash = storage.sha256();
  hash.update(bytes);
  return `document:${bytes.byteLength}:${hash.digest().slice(0, 16)}`;
}

/** The record at the head of a family changes with each of its writes. Without one the old server's next write makes one. */
function familyPrint(storage: LegacyStorage, headKey: string, head: unknown, prefix: string, fields: readonly string[]): string | null {
  if (head !== undefined) return `${headKey}:${fields.map((field) => short(field, head)).join(",")}`;
  const manifests = storage.list(`${prefix}manifest:`, null, LIMITS.legacyListBatch);
  if (manifests.length > 0) return `${prefix}manifest:${manifests.length}:${manifests.at(-1)![0]}`;
  const [first] = storage.list(prefix, null, 1);
  return first === undefined ? null : first[0];
}

function short(field: string, record: unknown): string {
  if (typeof record !== "object" || record === null) return typeof record;
  const value = (record as Record<string, unknown>)[field];
  return typeof value === "number" || typeof value === "string" ? String(value).slice(0, 40) : typeof value;
}

function snapshotPrint(sql: Sql): string | null {
  if (tableState(sql, "snapshot_chunks") !== "present") return null;
  const [sums] = sql.exec<{ n: number; bytes: number }>(`SELECT count(*) AS n, coalesce(sum(length(data)), 0) AS bytes FROM snapshot_chunks`);
  if (sums === undefined || sums.n === 0) return null;
  // Only the last chunk: SQLite reads a BLOB whole for any piece of it, and the end of an update, its delete set, changes most.
  const [last] = sql.exec<{ head: string; tail: string }>(
    `SELECT hex(substr(data, 1, 32)) AS head, hex(substr(data, -32)) AS tail FROM snapshot_chunks ORDER BY chunk_index DESC LIMIT 1`,
  );
  return `snapshot:${sums.n}:${sums.bytes}:${last?.head}:${last?.tail}`;
}

function journalPrint(sql: Sql): string | null {
  if (tableState(sql, "journal") !== "present") return null;
  const [sums] = sql.exec<{ n: number; last: number; bytes: number }>(
    `SELECT count(*) AS n, coalesce(max(id), 0) AS last, coalesce(sum(length(data)), 0) AS bytes FROM journal`,
  );
  const sequence = lastIdGiven(sql);
  if (sums === undefined) return null;
  // An emptied journal beside a snapshot still tells by its sequence that rows came and went. Alone it holds nothing.
  if (sums.n === 0 && (sequence === 0 || snapshotIsEmpty(sql))) return null;
  return `journal:${sums.n}:${sums.last}:${sums.bytes}:${sequence}`;
}

function snapshotIsEmpty(sql: Sql): boolean {
  return tableState(sql, "snapshot_chunks") !== "present" || sql.exec(`SELECT 1 FROM snapshot_chunks LIMIT 1`).length === 0;
}
