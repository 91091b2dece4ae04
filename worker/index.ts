import { handleRequest } from "./routes.ts";
import type { Env } from "./env.ts";

export { VaultSyncServer } from "./room-object.ts";
export { ServerConfig } from "./config-object.ts";

export default {
  fetch(request, env, ctx) {
    return handleRequest(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;
