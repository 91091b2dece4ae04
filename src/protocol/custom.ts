/**
 * Text frames of the YAOS dialect: `__YPS:` and JSON. Only for connections that read text: the door `/vault/sync/` and
 * y-partyserver clients. A text frame kills plain y-websocket (update laws, W3).
 */

import { LIMITS } from "../limits.ts";
import type { VaultRefusal } from "./close-codes.ts";

const PREFIX = "__YPS:";

/** What is durable, as one connection is told. */
export type Receipt = {
  /** Encoded state vector of what is durable. */
  readonly stateVector: Uint8Array;
  /** Names this connection's count of frames; a new one for every connection (update laws, C4). */
  readonly epoch: string;
  /** How many of this connection's sync frames (outer 0, inner 1 or 2, counted from 1) are durable. */
  readonly durableFrames: number;
};

/**
 * A receipt (compat sheet, 3.4, plus `epoch` and `durableFrames`), keys in this order.
 * `null` when the base64 vector has more characters than readers take; the sender counts that.
 */
export function receiptFrame(receipt: Receipt): string | null {
  // Base64 length is known before the text is made: 4 characters per started 3 bytes.
  if (Math.ceil(receipt.stateVector.byteLength / 3) * 4 > LIMITS.maxReceiptVectorChars) return null;
  return (
    PREFIX +
    JSON.stringify({
      type: "yaos/sv-echo",
      schema: 1,
      sv: base64(receipt.stateVector),
      epoch: receipt.epoch,
      durableFrames: receipt.durableFrames,
    })
  );
}

/** Says that edits are relayed but not durable now, or durable again when `reason` is null. */
export function degradedFrame(reason: string | null): string {
  return PREFIX + JSON.stringify({ type: "yaos/degraded", reason });
}

/** Why the edits of a read-only session are not taken. */
export const READ_ONLY_REASON = "read-only credential";

/** Why edits are not taken while part of an older server's vault is missing. */
export const INCOMPLETE_REASON = "vault incomplete";

/** Says that an edit was not taken, and that this will go on; not fatal. */
export function readOnlyFrame(reason: string): string {
  return PREFIX + JSON.stringify({ type: "yaos/read-only", reason });
}

/** More facts for `update_required`: why, and both versions when known. */
export type SchemaMismatch = {
  readonly reason: "invalid_client_schema" | "client_schema_older_than_room";
  readonly clientSchemaVersion: number | null;
  readonly roomSchemaVersion: number | null;
};

/** The two text frames that go before the close of a refused YAOS connection (compat sheet, 3.1): bare JSON, then the same with the prefix. */
export function refusalFrames(code: VaultRefusal, extra?: SchemaMismatch): readonly [string, string] {
  const json = JSON.stringify(
    extra === undefined
      ? { type: "error", code }
      : {
          type: "error",
          code,
          reason: extra.reason,
          clientSchemaVersion: extra.clientSchemaVersion,
          roomSchemaVersion: extra.roomSchemaVersion,
        },
  );
  return [json, PREFIX + json];
}

/** Standard base64 with padding. */
function base64(bytes: Uint8Array): string {
  let binary = "";
  // In slices: spreading a long vector into one call would overflow the stack.
  for (let at = 0; at < bytes.byteLength; at += 8_192) binary += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return btoa(binary);
}
