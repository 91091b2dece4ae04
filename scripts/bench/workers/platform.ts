/**
 * The few Durable Object shapes the two comparison servers use. The bench is checked with the Node types, whose globals clash with the
 * Workers types, so these are written out; the runtime is the judge.
 */

/** One server-side socket that survives hibernation. */
export interface HibernatableSocket {
  readonly readyState: number;
  send(frame: ArrayBuffer | Uint8Array | string): void;
  close(code?: number, reason?: string): void;
}

export interface SqlCursor {
  readonly rowsWritten: number;
  toArray(): Record<string, ArrayBuffer | string | number | null>[];
}

export interface ObjectState {
  readonly storage: {
    readonly sql: { exec(query: string, ...params: (ArrayBuffer | Uint8Array | string | number | null)[]): SqlCursor };
    transactionSync<T>(body: () => T): T;
  };
  acceptWebSocket(socket: HibernatableSocket): void;
  getWebSockets(): HibernatableSocket[];
}

/** A namespace of Durable Objects, as the fetch entry sees it. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(request: Request): Promise<Response> };
}

/** The room name in `/<prefix>/<room>`, decoded, or null. */
export function roomOf(request: Request, prefix: string): string | null {
  const path = new URL(request.url).pathname;
  return path.startsWith(prefix) && path.length > prefix.length ? decodeURIComponent(path.slice(prefix.length)) : null;
}
