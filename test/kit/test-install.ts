/** A whole install for route tests in Node: the config object's core on `node:sqlite`, rooms that record what reaches them, and as many isolates as asked for. */
import { vi } from "vitest";
import { ConfigCore } from "../../src/access/config-core.ts";
import { NodeSql } from "./node-sql.ts";

/** Loaded by a computed name: the file's types are the Worker's, which this project's type check does not know. */
const routes = ["../../worker/routes.ts"].join();
const { handleRequest } = (await import(routes)) as { handleRequest: (request: Request, env: unknown) => Promise<Response> };

export const OWNER = "owner-token-of-thirty-two-chars-or-more";
export const bearer = (token: string): { Authorization: string } => ({ Authorization: `Bearer ${token}` });

/** What reached the room of a vault. */
export type RoomCall = { readonly vault: string; readonly path: string; readonly body: unknown };

/** The answer to one request, read to its end. */
export type Answer = { readonly status: number; readonly body: Record<string, unknown>; readonly headers: Headers };

export class TestInstall {
  readonly kv = new Map<string, unknown>();
  readonly core: ConfigCore;
  /** Routes of the config object that were asked, in order. */
  readonly configCalls: string[] = [];
  readonly roomCalls: RoomCall[] = [];
  /** Sockets each room says it closed; `null`: the room does not answer. */
  closes = new Map<string, number | null>();
  #random = 0;

  constructor() {
    this.core = new ConfigCore({
      sql: new NodeSql(),
      kv: { get: (key) => this.kv.get(key), put: (key, value) => void this.kv.set(key, value) },
      nowMs: () => Date.now(),
      randomBytes: (count) => Uint8Array.from({ length: count }, () => this.#nextByte()),
    });
  }

  /** An isolate of this install: its own memory of the config, the same objects behind it. */
  isolate(variables: Record<string, unknown> = {}): TestIsolate {
    const config = {
      idFromName: (name: string) => name,
      get: () => ({
        fetch: async (url: string, init?: RequestInit): Promise<Response> => {
          const { pathname } = new URL(url);
          const method = init?.method ?? "GET";
          this.configCalls.push(`${method} ${pathname}`);
          const body = method === "POST" ? (JSON.parse(String(init?.body)) as Record<string, unknown>) : null;
          const answer = await this.core.answer(method, pathname, body);
          return Response.json(answer.body, { status: answer.status });
        },
      }),
    };
    const rooms = {
      idFromName: (name: string) => name,
      get: (vault: string) => ({
        fetch: async (url: string, init?: RequestInit): Promise<Response> => {
          const { pathname } = new URL(url);
          this.roomCalls.push({ vault, path: pathname, body: init?.body === undefined ? null : JSON.parse(String(init.body)) });
          const closed = this.closes.get(vault);
          if (closed === null) throw new Error("room unavailable");
          return Response.json(pathname === "/__yaos/revoke" ? { closed: closed ?? 0 } : { ok: true, vault });
        },
      }),
    };
    return new TestIsolate({ YAOS_CONFIG: config, YAOS_SYNC: rooms, ...variables });
  }

  #nextByte(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random >>> 24;
  }

  /** What the config object was asked since the last time. */
  takeConfigCalls(): string[] {
    return this.configCalls.splice(0);
  }
}

export class TestIsolate {
  readonly env: unknown;

  constructor(env: unknown) {
    this.env = env;
  }

  async call(method: string, path: string, options: { token?: string; body?: unknown; headers?: Record<string, string> } = {}): Promise<Answer> {
    const headers = { ...(options.token === undefined ? {} : bearer(options.token)), ...options.headers };
    const body = options.body === undefined ? {} : { body: typeof options.body === "string" ? options.body : JSON.stringify(options.body) };
    const answer = await handleRequest(new Request(`https://host${path}`, { method, headers, ...body }), this.env);
    const text = await answer.text();
    const isJson = answer.headers.get("Content-Type")?.startsWith("application/json") === true;
    return { status: answer.status, body: isJson ? (JSON.parse(text) as Record<string, unknown>) : { text }, headers: answer.headers };
  }
}

/** Time stands still, and goes on by `pass` only. */
export function standStill(nowMs = 1_700_000_000_000): (ms: number) => void {
  vi.useFakeTimers({ toFake: ["Date"], now: nowMs });
  let now = nowMs;
  return (ms) => {
    now += ms;
    vi.setSystemTime(now);
  };
}

/** The Worker logs a line per request; tests that do not look at it keep it out of the report. */
export function quiet(): void {
  vi.spyOn(console, "log").mockImplementation(() => undefined);
}
