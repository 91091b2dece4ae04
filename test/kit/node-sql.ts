import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { Sql, SqlRow, SqlValue } from "../../src/ports.ts";
import { splitStatements } from "./split-statements.ts";

/** Limits production documents; the local runtime enforces a softer row size (platform facts, section 2). */
const PLATFORM_LIMITS = {
  length: 2_000_000,
  sqlLength: 100_000,
  column: 100,
  exprDepth: 100,
  compoundSelect: 5,
  functionArg: 32,
  attach: 0,
  likePatternLength: 50,
  variableNumber: 100,
};
const MAX_PARAMETERS = 100;
const MAX_CACHED_STATEMENTS = 256;

const REFUSED_START = /^(?:BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b/i;
const NOT_AUTHORIZED = /^(?:ATTACH|DETACH|VACUUM|CREATE\s+TEMP(?:ORARY)?)\b/i;
const ALLOWED_PRAGMA =
  /^PRAGMA\s+(?:table_info|table_xinfo|table_list|index_list|index_info|index_xinfo|foreign_key_list|foreign_key_check|foreign_keys|defer_foreign_keys|ignore_check_constraints|recursive_triggers|reverse_unordered_selects|case_sensitive_like|legacy_alter_table|quick_check|optimize|data_version|page_size)\b/i;

/** SQLite primary result codes whose names the platform appends to its messages. */
const CODE_NAMES: Record<number, string> = {
  1: "SQLITE_ERROR", 5: "SQLITE_BUSY", 6: "SQLITE_LOCKED", 8: "SQLITE_READONLY", 10: "SQLITE_IOERR", 11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL", 18: "SQLITE_TOOBIG", 19: "SQLITE_CONSTRAINT", 20: "SQLITE_MISMATCH", 23: "SQLITE_AUTH",
};

/** A statement kept for reuse. */
interface Prepared {
  readonly statement: StatementSync;
  readonly isCreate: boolean;
}

/**
 * `Sql` on `node:sqlite`, as strict as production where the local runtime is lenient: 2,000,000 bytes for a value or a row,
 * 100 KB of statement text, 100 parameters, no transaction statements and few pragmas through `exec`.
 * JS numbers bind as REAL on both engines, so a STRICT INTEGER column converts them and `typeof(?)` is `real`.
 */
export class NodeSql implements Sql {
  readonly database: DatabaseSync;
  #statements = new Map<string, Prepared>();
  #changes: StatementSync | null = null;
  #rowsRead = 0;
  #rowsWritten = 0;
  #depth = 0;

  /** @param location a file path or `:memory:` (default), or an open database to share (used by `FaultySql.reopen`). */
  constructor(location: string | DatabaseSync = ":memory:") {
    this.database = typeof location === "string" ? new DatabaseSync(location, { limits: PLATFORM_LIMITS }) : location;
  }

  /** @throws {Error} as the platform words it, with the SQLite code's name at the end of the message. */
  exec<Row extends SqlRow = SqlRow>(query: string, ...params: readonly SqlValue[]): Row[] {
    const cached = this.#statements.get(query);
    if (cached !== undefined) return this.#run(cached, params) as Row[];
    const texts = splitStatements(query);
    const last = texts.pop();
    if (last === undefined) throw new Error("SQL code did not contain a statement: SQLITE_ERROR");
    // One by one: a later statement may need the table an earlier one creates. Only the last takes parameters.
    for (const text of texts) this.exec(text);
    return this.#run(this.#prepare(last, texts.length === 0 ? query : null), params) as Row[];
  }

  transaction<T>(body: () => T extends PromiseLike<unknown> ? never : T): T {
    const name = `kit_${this.#depth}`;
    this.database.exec(`SAVEPOINT ${name}`);
    this.#depth += 1;
    try {
      const value = body() as T;
      if (isThenable(value)) throw new TypeError("transaction: the callback must be synchronous");
      this.database.exec(`RELEASE ${name}`);
      return value;
    } catch (error) {
      // An error like a full disk may have ended the whole transaction already.
      if (this.database.isOpen && this.database.isTransaction) this.database.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw error;
    } finally {
      this.#depth -= 1;
    }
  }

  /** Rows returned to the caller: a lower bound of what the platform bills. */
  get rowsRead(): number {
    return this.#rowsRead;
  }

  /** Rows inserted, updated or deleted (each 1, index rows left out), and 2 for a CREATE TABLE. */
  get rowsWritten(): number {
    return this.#rowsWritten;
  }

  get databaseSize(): number {
    const pragma = (name: string): number => Number(Object.values(this.database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size");
  }

  close(): void {
    this.#statements.clear();
    if (this.database.isOpen) this.database.close();
  }

  #prepare(text: string, key: string | null): Prepared {
    refuseForbidden(text);
    const prepared = { statement: translate(() => this.database.prepare(text)), isCreate: /^CREATE\s+TABLE\b/i.test(text) };
    if (key === null) return prepared;
    if (this.#statements.size >= MAX_CACHED_STATEMENTS) this.#statements.clear();
    this.#statements.set(key, prepared);
    return prepared;
  }

  #run(prepared: Prepared, params: readonly SqlValue[]): SqlRow[] {
    if (params.length > MAX_PARAMETERS) throw new Error(`too many SQL variables: ${params.length}: SQLITE_ERROR`);
    checkRowSize(params);
    const before = this.#totalChanges();
    const rows = translate(() => prepared.statement.all(...(params as SQLInputValue[])) as SqlRow[]);
    this.#rowsRead += rows.length;
    this.#rowsWritten += this.#totalChanges() - before + (prepared.isCreate ? 2 : 0);
    return rows;
  }

  #totalChanges(): number {
    this.#changes ??= this.database.prepare("SELECT total_changes() AS n");
    return Number(this.#changes.get()?.["n"]);
  }
}

/** SQLite checks each value and each stored record; the sum of parameters is refused too, so a row cannot slip past by a computed column. */
function checkRowSize(params: readonly SqlValue[]): void {
  let bytes = 0;
  for (const value of params) {
    if (value instanceof Uint8Array) bytes += value.byteLength;
    else if (typeof value === "string") bytes += Buffer.byteLength(value);
    else if (typeof value === "bigint") throw new TypeError("Cannot bind a BigInt: the platform refuses it");
  }
  if (bytes > PLATFORM_LIMITS.length) throw new Error("string or blob too big: SQLITE_TOOBIG");
}

function refuseForbidden(text: string): void {
  if (REFUSED_START.test(text)) {
    throw new Error("To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs: SQLITE_AUTH");
  }
  if (NOT_AUTHORIZED.test(text)) throw new Error("not authorized: SQLITE_AUTH");
  if (/^PRAGMA\b/i.test(text) && !ALLOWED_PRAGMA.test(text)) throw new Error("not authorized: SQLITE_AUTH");
}

function translate<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    const code = (error as { errcode?: number }).errcode;
    if (code === undefined) throw error;
    const name = CODE_NAMES[code & 0xff] ?? `SQLITE_${code}`;
    throw new Error(`${(error as Error).message}: ${name}`, { cause: error });
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
