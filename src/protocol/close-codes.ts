/**
 * Every code this server closes a WebSocket with. y-websocket 3.1 never reconnects after 4400 to 4499 and does after everything
 * else; y-partyserver always does (update laws, W7). So 44xx stands where a retry cannot help, 45xx where it can.
 * Reasons are short ASCII: the wire allows 123 bytes.
 */

import { UpdateRefusedError } from "../update/refused.ts";
import { FrameRefusedError, PendingFullError } from "./refused.ts";

/** A code and a reason as sent, and whether the client should come back by itself. */
export type CloseCode = { readonly code: number; readonly reason: string; readonly retry: boolean };

export const CLOSE = {
  /** Ordinary end, and the answer to a client's own close without a usable code. */
  normal: { code: 1000, reason: "", retry: true },

  // Refusals at the YAOS door, after two text frames (compat sheet, 3.1).
  vaultUnauthorized: { code: 1008, reason: "unauthorized", retry: false },
  vaultUnclaimed: { code: 1008, reason: "server unclaimed", retry: false },
  vaultMisconfigured: { code: 1008, reason: "server misconfigured", retry: false },
  vaultUpdateRequired: { code: 1008, reason: "update required", retry: false },

  // A retry cannot help.
  /** A frame that is not the protocol: cut short, empty, an unknown sync message. The reason is the refusal's own code. */
  malformedFrame: { code: 4400, reason: "malformed frame", retry: false },
  /** Stock doors: the credential is missing or wrong. */
  badCredential: { code: 4401, reason: "unauthorized", retry: false },
  /** Stock doors: no credential exists on this server yet, so none can be right. */
  unclaimed: { code: 4401, reason: "server unclaimed", retry: false },
  /** The credential was revoked or re-keyed. On every door: a device that is refused here is refused with a plain close, and must not come back by itself. */
  accessRevoked: { code: 4403, reason: "access revoked", retry: false },
  /** The owner erased the vault. What a device still has of it must not bring it back. */
  vaultErased: { code: 4404, reason: "vault erased", retry: false },
  /** Over a limit of size, count or depth. The client would send the same again. The reason is the refusal's own code. */
  tooLarge: { code: 4413, reason: "over a limit", retry: false },
  /** An update that a stock document would choke on. The client holds it and would send it again. The reason is the refusal's own code. */
  refusedUpdate: { code: 4422, reason: "refused update", retry: false },
  /** Stock doors: the client's schema is invalid or older than the room's. */
  schema: { code: 4426, reason: "update required", retry: false },

  // A retry can help.
  /** Something failed that should not have. */
  internal: { code: 4500, reason: "internal error", retry: true },
  /** Too many sessions, or too much waits for the disk. */
  busy: { code: 4503, reason: "room busy", retry: true },
  /** More would wait behind gaps than the room keeps. The client's next sync closes its gap. */
  pendingFull: { code: 4505, reason: "too much waits behind a gap", retry: true },
  /** The room cannot store now: it will not take an edit it could not keep. */
  degraded: { code: 4507, reason: "storage degraded", retry: true },
  /** More bytes or frames a second than a session may send. What was taken stays; the rest comes with the next sync. */
  tooFast: { code: 4508, reason: "too fast", retry: true },
  /** What this client lacks lies in a damaged part of the vault, until a client that has it comes by. Nobody is served around a hole. */
  damaged: { code: 4510, reason: "vault damaged, waiting for a client that has the missing part", retry: true },
  /** The room begins anew, with more than it had: what an older server's storage had lost was brought back. */
  reopening: { code: 4511, reason: "vault reopening", retry: true },
} as const satisfies Record<string, CloseCode>;

/** Refusal codes of the YAOS door, as its text frames spell them. */
export type VaultRefusal = "unauthorized" | "unclaimed" | "server_misconfigured" | "update_required";

/** Per refusal: its close, and the HTTP status when the request is no upgrade (compat sheet, 3.1). */
export const VAULT_REFUSALS: Record<VaultRefusal, { readonly close: CloseCode; readonly status: 401 | 426 | 503 }> = {
  unauthorized: { close: CLOSE.vaultUnauthorized, status: 401 },
  unclaimed: { close: CLOSE.vaultUnclaimed, status: 503 },
  server_misconfigured: { close: CLOSE.vaultMisconfigured, status: 503 },
  update_required: { close: CLOSE.vaultUpdateRequired, status: 426 },
};

/** The same refusals at the stock doors, where no text may go. */
export const STOCK_REFUSALS: Record<VaultRefusal, CloseCode> = {
  unauthorized: CLOSE.badCredential,
  unclaimed: CLOSE.unclaimed,
  server_misconfigured: CLOSE.unclaimed,
  update_required: CLOSE.schema,
};

/**
 * How a session ends over `error`. Refusals close with their own code as the reason, so that a client's log names the rule;
 * anything else is ours: retryable, and it tells nothing of the inside.
 */
export function closeFor(error: unknown): CloseCode {
  if (error instanceof FrameRefusedError || error instanceof UpdateRefusedError) {
    const base = /-too-(large|many|deep)|^too-/.test(error.code)
      ? CLOSE.tooLarge
      : error instanceof UpdateRefusedError
        ? CLOSE.refusedUpdate
        : CLOSE.malformedFrame;
    return { ...base, reason: error.code };
  }
  return error instanceof PendingFullError ? CLOSE.pendingFull : CLOSE.internal;
}
