/** `POST /vault/:id/auth/ticket` (compat sheet, 2.5 and 3.2): whoever may come to the vault may have a ticket for it. No room is asked. */

import type { Hono } from "hono";
import { issueTicket, ticketTtlMs } from "../../src/access/ticket.ts";
import { errorAnswer, jsonAnswer } from "../answers.ts";
import type { Env } from "../env.ts";
import { guardVault, pathVault } from "./guard.ts";
import { readOwner } from "./owner.ts";

export function ticketRoute(app: Hono<{ Bindings: Env }>): void {
  app.post("/vault/:id/auth/ticket", async (call) => {
    const guarded = await guardVault(call, "read", pathVault(call));
    if (!guarded.ok) return guarded.answer;
    const owner = await readOwner(call.env, call.req.raw);
    if (owner === null) return errorAnswer(503, "unclaimed");
    const { by } = guarded.holder;
    return jsonAnswer(
      await issueTicket({
        key: owner.key,
        vaultId: guarded.vaultId,
        device: by === "owner" ? null : by,
        nowMs: Date.now(),
        ttlMs: ticketTtlMs(call.env.YAOS_TICKET_TTL_MS),
        nonce: crypto.getRandomValues(new Uint8Array(16)),
      }),
    );
  });
}
