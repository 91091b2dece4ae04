import type { Sql, SqlRow, SqlValue } from "../../src/ports.ts";
import { NodeSql } from "./node-sql.ts";

/** Every call on an instance whose commit failed or that crashed ends in this. */
export class ObjectResetError extends Error {
  constructor(reason: string) {
    super(`Durable Object reset: ${reason}`);
    this.name = "ObjectResetError";
  }
}

/** Thrown by a statement told to fail; the room may handle it in place. */
export class StatementFault extends Error {
  constructor(statement: number, query: string) {
    super(`injected failure of statement ${statement}: SQLITE_ERROR (${query.slice(0, 80)})`);
    this.name = "StatementFault";
  }
}

/** What goes wrong and when. Statements and commits are counted from 1 over the life of this instance. */
export interface Faults {
  /** These statements throw and do nothing; the instance lives on. */
  readonly failStatements?: ReadonlySet<number>;
  /** This statement is never run: the instance dies at once and the turn's writes are gone. */
  readonly crashAtStatement?: number;
  /** The commit of this writing turn fails: the turn's writes are gone and the instance dies. */
  readonly failCommit?: number;
  /** The process dies right after this writing turn's commit: the writes stay, nothing sent in the turn left. */
  readonly crashAfterCommit?: number;
}

/**
 * `Sql` as a Durable Object has it, with faults. All writes of one turn (one event) are kept together at its end, so the
 * test's scheduler brackets every event with `beginTurn`/`endTurn` or `turn`; a statement outside a turn throws, since a
 * crash test that misses a boundary proves nothing. After a crash or a failed commit the database stands at the last
 * committed turn, the instance answers every call with `ObjectResetError`, and `onReset` tells the test to drop the room
 * with its sockets (1006) as the platform does. Frames sent in a turn may reach a client only after its `endTurn`: the output gate.
 */
export class FaultySql implements Sql {
  readonly inner: NodeSql;
  faults: Faults;
  onReset: (reason: string) => void = () => {};
  #inTurn = false;
  #dead: string | null = null;
  #statements = 0;
  #commits = 0;
  #writtenAtBegin = 0;

  constructor(inner: NodeSql, faults: Faults = {}) {
    this.inner = inner;
    this.faults = faults;
  }

  /** Statements seen, the failed ones included. */
  get statements(): number {
    return this.#statements;
  }

  /** Turns committed that wrote something. */
  get commits(): number {
    return this.#commits;
  }

  get isDead(): boolean {
    return this.#dead !== null;
  }

  get inTurn(): boolean {
    return this.#inTurn;
  }

  beginTurn(): void {
    this.#assertAlive();
    if (this.#inTurn) throw new Error("FaultySql: a turn is already open");
    this.inner.database.exec("BEGIN IMMEDIATE");
    this.#inTurn = true;
    this.#writtenAtBegin = this.inner.rowsWritten;
  }

  /** Commits the turn. @throws {ObjectResetError} when the instance died in the turn or the commit fails. */
  endTurn(): void {
    this.#assertAlive();
    if (!this.#inTurn) throw new Error("FaultySql: no turn is open");
    const wrote = this.inner.rowsWritten !== this.#writtenAtBegin;
    if (wrote) this.#commits += 1;
    if (wrote && this.#commits === this.faults.failCommit) this.#die(`commit ${this.#commits} failed`);
    try {
      this.inner.database.exec("COMMIT");
    } catch (error) {
      this.#die(`commit failed: ${(error as Error).message}`);
    }
    this.#inTurn = false;
    if (wrote && this.#commits === this.faults.crashAfterCommit) this.#die(`crash after commit ${this.#commits}`);
  }

  /**
   * Runs one event as a turn. An exception of the event does not undo the turn's writes: the platform commits them.
   * @throws what the event threw, or {ObjectResetError}.
   */
  turn<T>(event: () => T): T {
    this.beginTurn();
    let value: T;
    try {
      value = event();
    } catch (error) {
      if (!this.isDead) this.endTurn();
      throw error;
    }
    this.endTurn();
    return value;
  }

  exec<Row extends SqlRow = SqlRow>(query: string, ...params: readonly SqlValue[]): Row[] {
    this.#assertAlive();
    if (!this.#inTurn) throw new Error(`FaultySql: statement outside a turn: ${query.slice(0, 80)}`);
    this.#statements += 1;
    if (this.#statements === this.faults.crashAtStatement) this.#die(`crash at statement ${this.#statements}`);
    if (this.faults.failStatements?.has(this.#statements) === true) throw new StatementFault(this.#statements, query);
    return this.inner.exec<Row>(query, ...params);
  }

  transaction<T>(body: () => T extends PromiseLike<unknown> ? never : T): T {
    this.#assertAlive();
    if (!this.#inTurn) throw new Error("FaultySql: transaction outside a turn");
    try {
      return this.inner.transaction(body);
    } finally {
      // A body that swallowed the crash would otherwise end in SQLite's "no such savepoint".
      this.#assertAlive();
    }
  }

  get rowsRead(): number {
    return this.inner.rowsRead;
  }

  get rowsWritten(): number {
    return this.inner.rowsWritten;
  }

  get databaseSize(): number {
    return this.inner.databaseSize;
  }

  /** Kills the instance from outside, as an eviction under load or a killed process does: an open turn is lost. */
  crash(reason = "crash"): void {
    if (this.#dead !== null) return;
    try {
      this.#die(reason);
    } catch {
      // The caller asked for it.
    }
  }

  /** A fresh instance over the same database as it was last committed; this one is dead from here on. */
  reopen(faults: Faults = {}): FaultySql {
    this.crash("reopened");
    return new FaultySql(new NodeSql(this.inner.database), faults);
  }

  #assertAlive(): void {
    if (this.#dead !== null) throw new ObjectResetError(this.#dead);
  }

  #die(reason: string): never {
    this.#dead = reason;
    this.#inTurn = false;
    if (this.inner.database.isTransaction) this.inner.database.exec("ROLLBACK");
    this.onReset(reason);
    throw new ObjectResetError(reason);
  }
}
