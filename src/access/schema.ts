/**
 * The config object's own tables. The keys older servers left there stay in the key-value storage (owner-record.ts); names begin with `access_`.
 * Made with the first write, so that reading a claimed install costs nothing. The version stands in a table because the runtime refuses PRAGMA user_version.
 */
import type { Sql } from "../ports.ts";

export const ACCESS_SCHEMA_VERSION = 1;

/** The tables were written by a newer server than this one can safely read. */
export class AccessSchemaTooNewError extends Error {
  readonly code = "access-schema-too-new";
  constructor(found: number) {
    super(`Cannot open the access tables: they need schema version ${found}, this server reads up to ${ACCESS_SCHEMA_VERSION}`);
  }
}

const DDL: readonly string[] = [
  `CREATE TABLE access_meta (lock INTEGER PRIMARY KEY CHECK (lock = 1), schema_version INTEGER NOT NULL) STRICT`,
  // A credential each. `vault` null: all vaults. `epoch`: the owner's epoch when it was issued. `revoked_ms` null: in force. Times in ms since the epoch.
  `CREATE TABLE access_devices (
     id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, name TEXT NOT NULL, vault TEXT, mode TEXT NOT NULL, epoch INTEGER NOT NULL,
     created_ms INTEGER NOT NULL, last_seen_ms INTEGER, revoked_ms INTEGER) STRICT, WITHOUT ROWID`,
  // The vaults a device ever had a socket in: whom to tell when it is revoked, the highest `turn` first; and whether it has been told.
  `CREATE TABLE access_device_rooms (
     number INTEGER PRIMARY KEY, device TEXT NOT NULL, vault TEXT NOT NULL, turn INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0,
     UNIQUE (device, vault)) STRICT`,
  // Every room that had a session: whom to tell when the owner's token changes; and which of the owner's epochs it was told of.
  `CREATE TABLE access_rooms (
     number INTEGER PRIMARY KEY, vault TEXT NOT NULL UNIQUE, turn INTEGER NOT NULL, told_epoch INTEGER NOT NULL DEFAULT 0) STRICT`,
  // Codes given out and not redeemed yet, as digests.
  `CREATE TABLE access_pairings (
     code_hash TEXT PRIMARY KEY, name TEXT NOT NULL, vault TEXT, mode TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `INSERT INTO access_meta (lock, schema_version) VALUES (1, ${ACCESS_SCHEMA_VERSION})`,
];

/** Whether the tables exist. Reads only. @throws {AccessSchemaTooNewError} */
export function accessTablesExist(sql: Sql): boolean {
  if (sql.exec(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'access_meta'`).length === 0) return false;
  const version = sql.exec<{ schema_version: number }>(`SELECT schema_version FROM access_meta`)[0]?.schema_version ?? 0;
  if (version > ACCESS_SCHEMA_VERSION) throw new AccessSchemaTooNewError(version);
  return true;
}

/** Makes the tables, in one transaction. Only when they do not exist. */
export function createAccessTables(sql: Sql): void {
  sql.transaction(() => {
    for (const statement of DDL) sql.exec(statement);
  });
}
