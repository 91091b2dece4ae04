/** What an older server left in an object, on the platform's synchronous storage. */
import { createHash } from "node:crypto";
import type { Sql } from "../src/ports.ts";
import type { LegacyStorage } from "../src/takeover/legacy.ts";

/** @param sql the object's own, which counts what is billed */
export function objectLegacy(storage: DurableObjectStorage, sql: Sql & { rowsWritten: number }): LegacyStorage {
  return {
    sql,
    get: (key) => storage.kv.get(key),
    list: (prefix, after, limit) => [...storage.kv.list({ prefix, limit, ...(after === null ? {} : { startAfter: after }) })],
    delete: (keys) => {
      let deleted = 0;
      for (const key of keys) if (storage.kv.delete(key)) deleted += 1;
      // Billed as rows.
      sql.rowsWritten += deleted;
      return deleted;
    },
    sha256: () => {
      const hash = createHash("sha256");
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
    },
  };
}
