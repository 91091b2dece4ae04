/** Recognises a vault that an older server left in this object, so that it is never covered by an empty document. Reads only. */

/** Names what was found, or null. Key-value documents (compat sheet, 4) and the first SQL layout (5). */
export function foreignStorage(storage: DurableObjectStorage): string | null {
  for (const key of ["document", "document:checkpoint:", "document:journal:"]) {
    for (const [found] of storage.kv.list({ prefix: key, limit: 1 })) return `key-value ${found.split(":").slice(0, 2).join(":")}`;
  }
  for (const table of ["snapshot_chunks", "journal"]) {
    const exists = storage.sql.exec(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, table).toArray().length > 0;
    if (exists && storage.sql.exec(`SELECT 1 FROM ${table} LIMIT 1`).toArray().length > 0) return `SQL table ${table}`;
  }
  return null;
}
