/**
 * The config object of an install (`YAOS_CONFIG`, name `global-config`). Existing installs have it, and the platform refuses a deployment that drops
 * a class its migrations name; so it stays exported and keeps its storage untouched. Access by `SYNC_TOKEN` needs nothing from it.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "./env.ts";

export class ServerConfig extends DurableObject<Env> {
  override async fetch(): Promise<Response> {
    return new Response(JSON.stringify({ error: "not found" }), { status: 404, headers: { "Content-Type": "application/json; charset=utf-8" } });
  }
}
