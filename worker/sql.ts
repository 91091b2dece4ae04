/** The object's SQLite as the core's `Sql` port. */
import type { Sql, SqlRow, SqlValue } from "../src/ports.ts";

export class DurableSql implements Sql {
  readonly #storage: DurableObjectStorage;
  rowsRead = 0;
  rowsWritten = 0;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
  }

  exec<Row extends SqlRow = SqlRow>(query: string, ...params: readonly SqlValue[]): Row[] {
    const cursor = this.#storage.sql.exec(query, ...params);
    const rows = cursor.toArray();
    this.rowsRead += cursor.rowsRead;
    this.rowsWritten += cursor.rowsWritten;
    for (const row of rows) {
      for (const column of Object.keys(row)) {
        const value = row[column];
        if (value instanceof ArrayBuffer) (row as Record<string, unknown>)[column] = new Uint8Array(value);
      }
    }
    return rows as unknown as Row[];
  }

  transaction<T>(body: () => T extends PromiseLike<unknown> ? never : T): T {
    return this.#storage.transactionSync(body);
  }

  get databaseSize(): number {
    return this.#storage.sql.databaseSize;
  }
}
