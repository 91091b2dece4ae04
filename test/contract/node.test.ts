import { checksum } from "../kit/checksum.ts";
import { FaultySql } from "../kit/faulty-sql.ts";
import { NodeSql } from "../kit/node-sql.ts";
import { type SqlFactory, registerSqlContract } from "./sql-contract.ts";
import { registerVaultContract } from "./vault-contract.ts";

const onNode: SqlFactory = (body) => {
  const sql = new NodeSql();
  try {
    body(sql);
  } finally {
    sql.close();
  }
};

/** The whole test as one turn of an object. */
const inOneTurn: SqlFactory = (body) => {
  const sql = new FaultySql(new NodeSql());
  sql.turn(() => body(sql));
  sql.inner.close();
};

registerSqlContract("node:sqlite", onNode);
registerSqlContract("node:sqlite in one turn", inOneTurn);
registerVaultContract("node:sqlite", onNode, checksum);
