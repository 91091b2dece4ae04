import { expect, test } from "vitest";
import { FaultySql, ObjectResetError, StatementFault } from "./faulty-sql.ts";
import { NodeSql } from "./node-sql.ts";

function open(): FaultySql {
  const sql = new FaultySql(new NodeSql());
  sql.turn(() => sql.exec("CREATE TABLE t (a INTEGER) STRICT"));
  return sql;
}

function values(sql: FaultySql): unknown[] {
  return sql.turn(() => sql.exec("SELECT a FROM t ORDER BY a").map((row) => row["a"]));
}

test("a failed statement fails alone", () => {
  const sql = open();
  sql.faults = { failStatements: new Set([3]) };
  sql.turn(() => {
    sql.exec("INSERT INTO t VALUES (1)");
    expect(() => sql.exec("INSERT INTO t VALUES (2)")).toThrow(StatementFault);
    sql.exec("INSERT INTO t VALUES (3)");
  });
  expect(values(sql)).toEqual([1, 3]);
});

test("a failed commit takes the turn and the instance", () => {
  const sql = open();
  let reset = "";
  sql.onReset = (reason) => (reset = reason);
  sql.turn(() => sql.exec("INSERT INTO t VALUES (1)"));
  sql.faults = { failCommit: 3 };
  expect(() => sql.turn(() => sql.exec("INSERT INTO t VALUES (2)"))).toThrow(ObjectResetError);
  expect(reset).toBe("commit 3 failed");
  expect(() => sql.exec("SELECT 1")).toThrow(ObjectResetError);
  expect(() => sql.beginTurn()).toThrow(ObjectResetError);
  expect(values(sql.reopen())).toEqual([1]);
});

test("a crash at a statement inside a transaction leaves the last commit", () => {
  const sql = open();
  sql.turn(() => sql.exec("INSERT INTO t VALUES (1)"));
  sql.faults = { crashAtStatement: sql.statements + 2 };
  expect(() =>
    sql.turn(() =>
      sql.transaction(() => {
        sql.exec("INSERT INTO t VALUES (2)");
        try {
          sql.exec("INSERT INTO t VALUES (3)");
        } catch {
          // Swallowing the error must not bring the instance back.
        }
        sql.exec("INSERT INTO t VALUES (4)");
      }),
    ),
  ).toThrow(ObjectResetError);
  expect(values(sql.reopen())).toEqual([1]);
});

test("an event that throws keeps its writes; a statement outside a turn is refused", () => {
  const sql = open();
  expect(() =>
    sql.turn(() => {
      sql.exec("INSERT INTO t VALUES (1)");
      throw new Error("handler");
    }),
  ).toThrow("handler");
  expect(values(sql)).toEqual([1]);
  expect(() => sql.exec("SELECT 1")).toThrow(/outside a turn/);
  sql.faults = { crashAfterCommit: sql.commits + 1 };
  expect(() => sql.turn(() => sql.exec("INSERT INTO t VALUES (2)"))).toThrow(ObjectResetError);
  expect(values(sql.reopen())).toEqual([1, 2]);
});
