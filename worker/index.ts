import { handleRequest } from "./routes.ts";
import type { Env } from "./env.ts";

export { VaultSyncServer } from "./room-object.ts";
export { ServerConfig } from "./config-object.ts";

export default {
  fetch(request, env, ctx) {
    return handleRequest(request, env, ctx);
  },
  /** No tunnels. Without a handler the runtime logs an exception for each `CONNECT`. */
  async connect(socket) {
    await socket.close();
  },
} satisfies ExportedHandler<Env>;
