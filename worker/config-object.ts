/**
 * The config object of an install (`YAOS_CONFIG`, name `global-config`): hands requests to the core. Its key-value entries are those of existing installs
 * and stay readable for the servers that wrote them; everything new stands in tables beside them.
 */
import { DurableObject } from "cloudflare:workers";
import { ConfigCore } from "../src/access/config-core.ts";
import { LIMITS } from "../src/limits.ts";
import type { Env } from "./env.ts";
import { readJsonBody } from "./json-body.ts";
import { DurableSql } from "./sql.ts";

export class ServerConfig extends DurableObject<Env> {
  readonly #core: ConfigCore;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#core = new ConfigCore({
      sql: new DurableSql(ctx.storage),
      kv: ctx.storage.kv,
      nowMs: () => Date.now(),
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    });
  }

  override async fetch(request: Request): Promise<Response> {
    const body = request.method === "POST" ? await readJsonBody(request, LIMITS.maxJsonBodyBytes) : null;
    const { status, body: answer } = await this.#core.answer(request.method, new URL(request.url).pathname, body?.ok === true ? body.value : null);
    return new Response(JSON.stringify(answer), {
      status,
      headers: { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store" },
    });
  }
}
