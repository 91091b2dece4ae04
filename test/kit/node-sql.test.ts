import { expect, test } from "vitest";
import { NodeSql } from "./node-sql.ts";

test("a blob is stored as exactly the viewed bytes and comes back as a Uint8Array", () => {
  const sql = new NodeSql();
  sql.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT");
  sql.exec("INSERT INTO t VALUES (?, ?)", 7, new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
  expect(sql.exec("SELECT id, data FROM t")).toEqual([{ id: 7, data: new Uint8Array([2, 3]) }]);
  expect(sql.exec("SELECT typeof(?) AS kind", 1)).toEqual([{ kind: "real" }]);
});

test("limits of the platform hold: value, row, text, parameters, pragmas, transactions", () => {
  const sql = new NodeSql();
  sql.exec("CREATE TABLE t (a BLOB, b BLOB); CREATE INDEX i ON t (length(a));");
  expect(() => sql.exec("INSERT INTO t VALUES (?, NULL)", new Uint8Array(2_000_001))).toThrow("string or blob too big: SQLITE_TOOBIG");
  expect(() => sql.exec("INSERT INTO t VALUES (?, ?)", new Uint8Array(1_000_000), new Uint8Array(1_000_001))).toThrow("SQLITE_TOOBIG");
  expect(() => sql.exec("INSERT INTO t VALUES (zeroblob(1500000), zeroblob(1500000))")).toThrow("SQLITE_TOOBIG");
  expect(sql.exec("SELECT count(*) AS n FROM t")).toEqual([{ n: 0 }]);
  expect(() => sql.exec(`SELECT 1 /* ${"x".repeat(10)} */, '${"y".repeat(100_000)}'`)).toThrow();
  expect(() => sql.exec(`SELECT ${"?,".repeat(100)}?`, ...Array.from({ length: 101 }, () => 1))).toThrow(/too many SQL variables/);
  for (const query of ["BEGIN", "commit", "SAVEPOINT x", "ATTACH ':memory:' AS x", "VACUUM", "PRAGMA user_version", "CREATE TEMP TABLE x (a)"]) {
    expect(() => sql.exec(query), query).toThrow(/SQLITE_AUTH/);
  }
  expect(sql.exec("PRAGMA table_info(t)")).toHaveLength(2);
});

test("transactions nest, roll back alone and refuse promises", () => {
  const sql = new NodeSql();
  sql.exec("CREATE TABLE t (a INTEGER) STRICT");
  sql.transaction(() => {
    sql.exec("INSERT INTO t VALUES (1)");
    expect(() =>
      sql.transaction(() => {
        sql.exec("INSERT INTO t VALUES (2)");
        throw new Error("inner");
      }),
    ).toThrow("inner");
  });
  // @ts-expect-error a transaction takes no asynchronous callback
  expect(() => sql.transaction(async () => sql.exec("INSERT INTO t VALUES (3)"))).toThrow("synchronous");
  expect(sql.exec("SELECT a FROM t")).toEqual([{ a: 1 }]);
});

test("rows written count deletes like inserts", () => {
  const sql = new NodeSql();
  sql.exec("CREATE TABLE t (a INTEGER) STRICT");
  const start = sql.rowsWritten;
  sql.exec("INSERT INTO t VALUES (1), (2)");
  sql.exec("UPDATE t SET a = 3 WHERE a = 1 RETURNING a");
  sql.exec("DELETE FROM t");
  expect(sql.rowsWritten - start).toBe(5);
  expect(sql.rowsRead).toBe(1);
  expect(sql.databaseSize).toBeGreaterThan(0);
});
