/**
 * The ceiling: a Durable Object with hibernatable sockets that hands every frame to every other socket. It parses nothing and stores
 * nothing, so no server on this platform relays faster one frame at a time.
 */
import { roomOf, type HibernatableSocket, type ObjectNamespace, type ObjectState } from "./platform.ts";

declare const WebSocketPair: new () => { 0: unknown; 1: HibernatableSocket };

export class BenchRoom {
  readonly #ctx: ObjectState;
  /** Tells one instance from the next: shows the bench that a silence really ended in an eviction. */
  readonly #instance = crypto.randomUUID();

  constructor(ctx: ObjectState) {
    this.#ctx = ctx;
  }

  fetch(request: Request): Response {
    if (request.headers.get("upgrade") !== "websocket") return Response.json({ instance: this.#instance });
    const pair = new WebSocketPair();
    this.#ctx.acceptWebSocket(pair[1]);
    return new Response(null, { status: 101, webSocket: pair[0] } as ResponseInit);
  }

  webSocketMessage(from: HibernatableSocket, frame: ArrayBuffer | string): void {
    for (const socket of this.#ctx.getWebSockets()) if (socket !== from) socket.send(frame);
  }

  /** Answers the close: hibernatable sockets otherwise hang until the eviction (platform behaviour, tried). */
  webSocketClose(socket: HibernatableSocket): void {
    try {
      socket.close(1000);
    } catch {
      // Already closed on both sides.
    }
  }
}

export default {
  async fetch(request: Request, env: { ROOM: ObjectNamespace }): Promise<Response> {
    const room = roomOf(request, "/room/");
    if (room === null) return new Response("not found", { status: 404 });
    return await env.ROOM.get(env.ROOM.idFromName(room)).fetch(request);
  },
};
