/** Requests to the config object. Each is one object request; how many a route may make stands in SPEC. */

import { ConfigCache, type ReadConfig } from "../../src/access/config-cache.ts";
import type { OwnerConfig } from "../../src/access/owner-record.ts";
import { Refusals } from "../../src/access/refusals.ts";
import type { Env } from "../env.ts";
import { noteOf } from "../request-note.ts";

/** The object of an install has this name on every existing one. */
const CONFIG_NAME = "global-config";

/** A status and a JSON object. */
export type ConfigAnswer = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

/** What an isolate remembers of an install. */
type Memory = { readonly cache: ConfigCache; readonly refusals: Refusals };

const memories = new WeakMap<DurableObjectNamespace, Memory>();

/** By namespace, so that installs in one process (tests) do not share. */
export function memoryOf(env: Env): Memory {
  let memory = memories.get(env.YAOS_CONFIG);
  if (memory === undefined) {
    const nowMs = (): number => Date.now();
    const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    memory = { cache: new ConfigCache(nowMs), refusals: new Refusals({ nowMs, wait }) };
    memories.set(env.YAOS_CONFIG, memory);
  }
  return memory;
}

/** @throws what the object's stub throws, and when the answer is no JSON object */
export async function callConfig(env: Env, method: "GET" | "POST", path: string, body?: unknown): Promise<ConfigAnswer> {
  const stub = env.YAOS_CONFIG.get(env.YAOS_CONFIG.idFromName(CONFIG_NAME));
  const answer = await stub.fetch(`https://internal${path}`, method === "POST" ? { method, body: JSON.stringify(body) } : { method });
  return { status: answer.status, body: await answer.json<Record<string, unknown>>() };
}

/** Reads the config now; other requests may wait for the same read, so it outlives this one. */
export function configReader(env: Env, request: Request): ReadConfig {
  return () => {
    const read = callConfig(env, "GET", "/__yaos/config").then(({ status, body }) => {
      if (status !== 200) throw new Error(`Cannot read the config: status ${status}`);
      return body as unknown as OwnerConfig;
    });
    noteOf(request).keep(read.catch(() => undefined));
    return read;
  };
}

/** Reads which devices are in force. */
export function deviceIdReader(env: Env, request: Request): () => Promise<ReadonlySet<string>> {
  return () => {
    const read = callConfig(env, "GET", "/__yaos/devices").then(({ body }) => {
      const devices = (body as { devices?: readonly { id: string; revokedAt: number | null }[] }).devices ?? [];
      return new Set(devices.filter(({ revokedAt }) => revokedAt === null).map(({ id }) => id));
    });
    noteOf(request).keep(read.catch(() => undefined));
    return read;
  };
}
