/**
 * What the core expects of its `Sql` port, whichever engine stands behind it. Runtime-neutral: the same file runs in Node and inside workerd.
 */
import { describe, expect, it } from "vitest";
import type { Sql } from "../../src/ports.ts";

/** Runs `body` with the SQL of a fresh, empty database. */
export type SqlFactory = (body: (sql: Sql) => void) => void | Promise<void>;

/** Registers the suite under `name`; every test gets a database of its own. */
export function registerSqlContract(name: string, withSql: SqlFactory): void {
  const check = (title: string, body: (sql: Sql) => void): void => {
    it(title, async () => {
      await withSql(body);
    });
  };

  describe(`Sql on ${name}`, () => {
    check("gives back each type as it was bound", (sql) => {
      sql.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, r REAL, s TEXT, b BLOB) STRICT`);
      sql.exec(`INSERT INTO t VALUES (?, ?, ?, ?, ?)`, 1, 2 ** 53 - 1, 0.5, "Überfluß 漢字 😀", Uint8Array.of(0, 255, 7));
      sql.exec(`INSERT INTO t VALUES (?, ?, ?, ?, ?)`, 2, -1, -2.5, "", new Uint8Array());
      sql.exec(`INSERT INTO t VALUES (?, ?, ?, ?, ?)`, 3, null, null, null, null);
      expect(sql.exec(`SELECT * FROM t ORDER BY id`)).toEqual([
        { id: 1, n: 2 ** 53 - 1, r: 0.5, s: "Überfluß 漢字 😀", b: Uint8Array.of(0, 255, 7) },
        { id: 2, n: -1, r: -2.5, s: "", b: new Uint8Array() },
        { id: 3, n: null, r: null, s: null, b: null },
      ]);
    });

    check("stores of a view exactly the viewed bytes, and gives blobs back as Uint8Array of their own", (sql) => {
      sql.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT`);
      const buffer = Uint8Array.from({ length: 64 }, (_, at) => at);
      sql.exec(`INSERT INTO t VALUES (1, ?)`, buffer.subarray(10, 14));
      // What is changed after the call is not what was stored.
      buffer.fill(9);
      const [row] = sql.exec<{ data: Uint8Array; bytes: number }>(`SELECT data, length(data) AS bytes FROM t`);
      expect(row?.data).toBeInstanceOf(Uint8Array);
      expect([...(row?.data ?? [])]).toEqual([10, 11, 12, 13]);
      expect(row?.bytes).toBe(4);
    });

    check("takes blobs up to what the server binds", (sql) => {
      sql.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT`);
      const data = Uint8Array.from({ length: 1_900_000 }, (_, at) => at % 251);
      sql.exec(`INSERT INTO t VALUES (?, ?)`, 1, data);
      const [row] = sql.exec<{ data: Uint8Array }>(`SELECT data FROM t`);
      expect(row?.data.byteLength).toBe(data.byteLength);
      expect(row?.data.every((byte, at) => byte === data[at])).toBe(true);
    });

    check("keeps a STRICT table strict", (sql) => {
      sql.exec(`CREATE TABLE t (n INTEGER NOT NULL, b BLOB) STRICT`);
      expect(() => sql.exec(`INSERT INTO t (n) VALUES (?)`, "no number")).toThrow();
      expect(() => sql.exec(`INSERT INTO t (n) VALUES (?)`, 1.5)).toThrow();
      expect(() => sql.exec(`INSERT INTO t (n) VALUES (?)`, null)).toThrow();
      expect(() => sql.exec(`INSERT INTO t (n, b) VALUES (?, ?)`, 1, "text")).toThrow();
      sql.exec(`INSERT INTO t (n) VALUES (?)`, 4_294_967_295);
      expect(sql.exec(`SELECT n, typeof(n) AS kind FROM t`)).toEqual([{ n: 4_294_967_295, kind: "integer" }]);
    });

    check("inserts or updates by key", (sql) => {
      sql.exec(`CREATE TABLE t (slot INTEGER PRIMARY KEY, v TEXT NOT NULL) STRICT`);
      const upsert = `INSERT INTO t (slot, v) VALUES (?, ?) ON CONFLICT (slot) DO UPDATE SET v = excluded.v`;
      sql.exec(upsert, 1, "a");
      sql.exec(upsert, 2, "b");
      sql.exec(upsert, 1, "c");
      expect(sql.exec(`SELECT slot, v FROM t ORDER BY slot`)).toEqual([
        { slot: 1, v: "c" },
        { slot: 2, v: "b" },
      ]);
      expect(() => sql.exec(`INSERT INTO t (slot, v) VALUES (1, 'd')`)).toThrow(/UNIQUE|PRIMARY/i);
    });

    check("leaves the work before a failed statement as it is", (sql) => {
      sql.exec(`CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT`);
      sql.exec(`INSERT INTO t VALUES (1)`);
      expect(() => sql.exec(`INSERT INTO t VALUES (2), (1)`)).toThrow();
      expect(() => sql.exec(`SELECT * FROM nowhere`)).toThrow();
      expect(sql.exec(`SELECT a FROM t`)).toEqual([{ a: 1 }]);
    });

    check("keeps all of a transaction, or nothing, and returns its value", (sql) => {
      sql.exec(`CREATE TABLE t (a INTEGER) STRICT`);
      expect(
        sql.transaction(() => {
          sql.exec(`INSERT INTO t VALUES (1)`);
          sql.exec(`INSERT INTO t VALUES (2)`);
          return "kept";
        }),
      ).toBe("kept");
      const failure = new Error("no");
      expect(() =>
        sql.transaction(() => {
          sql.exec(`INSERT INTO t VALUES (3)`);
          sql.exec(`CREATE TABLE made (a INTEGER) STRICT`);
          throw failure;
        }),
      ).toThrow(failure);
      expect(sql.exec(`SELECT a FROM t ORDER BY a`)).toEqual([{ a: 1 }, { a: 2 }]);
      expect(sql.exec(`SELECT name FROM sqlite_schema WHERE name = 'made'`)).toEqual([]);
    });

    check("undoes an inner transaction alone, and all of them with the outer one", (sql) => {
      sql.exec(`CREATE TABLE t (a INTEGER) STRICT`);
      sql.transaction(() => {
        sql.exec(`INSERT INTO t VALUES (1)`);
        expect(() =>
          sql.transaction(() => {
            sql.exec(`INSERT INTO t VALUES (2)`);
            throw new Error("inner");
          }),
        ).toThrow("inner");
        sql.transaction(() => void sql.exec(`INSERT INTO t VALUES (3)`));
      });
      expect(() =>
        sql.transaction(() => {
          sql.transaction(() => void sql.exec(`INSERT INTO t VALUES (4)`));
          throw new Error("outer");
        }),
      ).toThrow("outer");
      expect(sql.exec(`SELECT a FROM t ORDER BY a`)).toEqual([{ a: 1 }, { a: 3 }]);
    });

    check("a failed statement caught inside a transaction does not end it", (sql) => {
      sql.exec(`CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT`);
      sql.transaction(() => {
        sql.exec(`INSERT INTO t VALUES (1)`);
        expect(() => sql.exec(`INSERT INTO t VALUES (1)`)).toThrow();
        sql.exec(`INSERT INTO t VALUES (2)`);
      });
      expect(sql.exec(`SELECT count(*) AS n FROM t`)).toEqual([{ n: 2 }]);
    });

    check("counts rows read and written, deletes included, and knows its size", (sql) => {
      sql.exec(`CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT`);
      const written = sql.rowsWritten;
      sql.exec(`INSERT INTO t VALUES (1), (2)`);
      sql.exec(`DELETE FROM t WHERE a = 1`);
      expect(sql.rowsWritten - written).toBe(3);
      const read = sql.rowsRead;
      sql.exec(`SELECT a FROM t`);
      expect(sql.rowsRead - read).toBeGreaterThanOrEqual(1);
      expect(sql.rowsWritten - written).toBe(3);
      expect(sql.databaseSize).toBeGreaterThan(0);
    });

    check("refuses what the platform refuses: transaction statements and the version pragma", (sql) => {
      expect(() => sql.exec(`BEGIN`)).toThrow();
      expect(() => sql.exec(`PRAGMA user_version`)).toThrow();
    });
  });
}
