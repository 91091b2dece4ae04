/**
 * The Durable Object shapes the stand-in uses. Tests are checked with the Node types, whose globals clash with the Workers
 * types, so these are written out; the runtime is the judge.
 */

export interface KeyValues {
  get(key: string): Promise<unknown>;
  get(keys: string[]): Promise<Map<string, unknown>>;
  put(entries: Record<string, unknown>): Promise<void>;
  delete(keys: string[]): Promise<number>;
}

export interface ObjectStorage extends KeyValues {
  transaction<T>(body: (transaction: KeyValues) => Promise<T>): Promise<T>;
  transactionSync<T>(body: () => T): T;
  readonly sql: { exec(query: string, ...params: (ArrayBuffer | string | number)[]): { toArray(): Record<string, unknown>[] } };
}

export interface ObjectState {
  readonly id: { readonly name?: string };
  readonly storage: ObjectStorage;
  blockConcurrencyWhile<T>(body: () => Promise<T>): Promise<T>;
}

export interface ServerSocket {
  readonly readyState: number;
  accept(): void;
  send(frame: Uint8Array | string): void;
  close(code: number, reason: string): void;
  addEventListener(type: "message", listener: (event: { data: ArrayBuffer | string }) => void): void;
  addEventListener(type: "close" | "error", listener: () => void): void;
}

declare const WebSocketPair: new () => { 0: unknown; 1: ServerSocket };

/** The server's end of a new socket, not accepted yet, and the answer that hands the other end over. */
export function socketPair(): { server: ServerSocket; answer: Response } {
  const { 0: client, 1: server } = new WebSocketPair();
  return { server, answer: new Response(null, { status: 101, webSocket: client } as ResponseInit) };
}

export interface RoomStub {
  fetch(url: string, init?: RequestInit): Promise<Response>;
}

/** What the stand-in is told by its environment. */
export interface OldEnv {
  readonly YAOS_SYNC: { idFromName(name: string): unknown; get(id: unknown): RoomStub };
  readonly SYNC_TOKEN: string;
  /** Which build it stands for: a released server, `main` (both key-value), or PR #51's `sql`. */
  readonly OLD_BUILD: "1.6.1" | "main" | "sql";
  /** Pause after the last change before a save, and the longest after the first, ms. */
  readonly OLD_DEBOUNCE_MS: string;
  readonly OLD_MAX_WAIT_MS: string;
}
