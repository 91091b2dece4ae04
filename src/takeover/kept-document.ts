/**
 * The pre-chunk `document` that did not join, kept in a table of our own once its key is gone: an older server that found the key without anything beside it
 * would take it for the vault, and bring deleted files back.
 */
import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";
import { joinParts, splitParts } from "../storage/parts.ts";
import { bytesOf } from "./bytes-of.ts";
import type { LegacyStorage } from "./legacy.ts";

/** What `keep` of a record calls it. */
export const KEPT_DOCUMENT = "room_old_document";

const DDL = `CREATE TABLE IF NOT EXISTS room_old_document (
  number INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (number, part)) STRICT`;

/** Copies it. Call inside the transaction that deletes its key. */
export function keepDocument(sql: Sql, bytes: Uint8Array): void {
  sql.exec(DDL);
  // One that was kept before is another one.
  const number = (sql.exec<{ last: number | null }>(`SELECT max(number) AS last FROM room_old_document`)[0]?.last ?? 0) + 1;
  for (const [part, data] of splitParts(bytes, LIMITS.chunkBytes).entries()) sql.exec(`INSERT INTO room_old_document (number, part, data) VALUES (?, ?, ?)`, number, part, data);
}

/** The document's bytes, one Yjs update, where the older server left it or the last that a clean-up has kept; null when there is none. */
export function readDocument(legacy: LegacyStorage): Uint8Array | null {
  const left = bytesOf(legacy.get("document"));
  if (left !== null) return left;
  const { sql } = legacy;
  if (sql.exec(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'room_old_document'`).length === 0) return null;
  const parts = sql.exec<{ data: Uint8Array }>(`SELECT data FROM room_old_document WHERE number = (SELECT max(number) FROM room_old_document) ORDER BY part`);
  return parts.length === 0 ? null : joinParts(parts.map((row) => row.data));
}
