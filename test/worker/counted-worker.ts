/** The Worker with a counter at every object's door, for the bench: what the platform would bill as requests and as messages. `GET /bench/counts` tells. */
import worker, { ServerConfig as OwnConfig, VaultSyncServer as OwnRoom } from "../../worker/index.ts";
import type { Env } from "../../worker/env.ts";

/** Since the process started. One isolate runs the Worker and all objects, so one variable sees them all. */
const counts = { roomRequests: 0, roomMessages: 0, configRequests: 0 };

export class VaultSyncServer extends OwnRoom {
  override fetch(request: Request): Promise<Response> {
    counts.roomRequests++;
    return super.fetch(request);
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    counts.roomMessages++;
    super.webSocketMessage(socket, message);
  }
}

export class ServerConfig extends OwnConfig {
  override fetch(request: Request): Promise<Response> {
    counts.configRequests++;
    return super.fetch(request);
  }
}

export default {
  fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> {
    if (new URL(request.url).pathname === "/bench/counts") return Response.json(counts);
    return (worker as { fetch(request: Request, env: Env, ctx: ExecutionContext): Response | Promise<Response> }).fetch(request, env, ctx);
  },
};
