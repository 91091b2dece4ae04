/**
 * The narrow ports through which the core meets its runtime. The core (`src/`) knows no Cloudflare and no Node type;
 * `worker/` adapts these to Durable Objects, `test/kit/` to `node:sqlite` and in-memory sockets.
 * Everything here is synchronous because the platform's SQL, sockets and attachments are.
 */

/** A value SQLite gives back. BLOBs are always `Uint8Array` (the adapter evens out `ArrayBuffer`). */
export type SqlValue = string | number | null | Uint8Array;

/** One result row by column name. */
export type SqlRow = Record<string, SqlValue>;

/** The object's SQL database. */
export interface Sql {
  /**
   * Runs one statement and returns all its rows.
   * @throws whatever the engine throws; a statement error fails that statement only (platform page, section 2).
   */
  exec<Row extends SqlRow = SqlRow>(query: string, ...params: readonly SqlValue[]): Row[];
  /**
   * Runs `body` in one transaction: its writes are kept together or, when it throws, not at all.
   * The callback must be synchronous: the platform ends the transaction at the first await.
   */
  transaction<T>(body: () => T extends PromiseLike<unknown> ? never : T): T;
  /** Rows read and written since this instance opened, as the platform bills them. */
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Database size in bytes, free pages left out. */
  readonly databaseSize: number;
}

/** Wall time and randomness. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** A fresh random identifier, at least 64 bits, URL-safe. */
  randomId(): string;
}

/** One-shot timers. A pending timer keeps a Durable Object awake, so only the commit window uses them. */
export interface Timers {
  /** Calls `task` in a later turn, not before `delayMs`. Returns a function that cancels it. */
  after(delayMs: number, task: () => void): () => void;
}

/** The durable alarm of the object: survives eviction, one at a time. */
export interface Alarm {
  /** Asks to be woken at `atMs` unless an earlier alarm is already set. */
  ensure(atMs: number): void;
}

/** One connected socket. `attachment` survives hibernation. */
export interface Peer {
  /** Queues a frame. The caller may free its buffer afterwards, not change it. Never throws: false says that the socket is closing or gone, and the frame lost. */
  send(frame: Uint8Array | string): boolean;
  /** Closes with a code 1000 or 3000..4999 and a reason of at most 123 UTF-8 bytes. */
  close(code: number, reason: string): void;
  /** JSON-able or structured-cloneable value, at most 16,384 bytes serialized. */
  readAttachment(): unknown;
  writeAttachment(value: unknown): void;
}

/** Structured log, one event per thing that happened. Never document content, tokens or full vault ids. */
export interface Log {
  event(level: "info" | "warn" | "error", name: string, fields: Record<string, string | number | boolean | null>): void;
}

/** CRC-32 (IEEE, zlib) of `bytes`, as an unsigned 32-bit integer. Native on both runtimes. */
export type Checksum = (bytes: Uint8Array) => number;
