import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { crc32 } from "node:zlib";
import type { VaultSyncServer } from "../../worker/room-object.ts";
import { DurableSql } from "../../worker/sql.ts";
import { type SqlFactory, registerSqlContract } from "../contract/sql-contract.ts";
import { registerVaultContract } from "../contract/vault-contract.ts";
import type { Env } from "../../worker/env.ts";

const rooms = (env as unknown as Env).YAOS_SYNC as unknown as DurableObjectNamespace<VaultSyncServer>;
let made = 0;

/** Each test in a room object of its own, in one of its turns. */
const inObject: SqlFactory = async (body) => {
  made += 1;
  await runInDurableObject(rooms.get(rooms.idFromName(`contract ${made}`)), (_room, state) => body(new DurableSql(state.storage)));
};

registerSqlContract("a Durable Object", inObject);
registerVaultContract("a Durable Object", inObject, (bytes) => crc32(bytes));
