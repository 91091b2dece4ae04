/**
 * Tickets: short-lived passes for one vault's socket, so that no lasting secret stands in a URL (compat sheet, 3.2).
 * `P.S`: P is base64url of a JSON payload, S base64url of HMAC-SHA256 over P's characters. The key is the owner's: the token in env mode,
 * the hex digest of it in claim mode, so a rotation ends every ticket.
 */

import { fromBase64url, toBase64url } from "./base64url.ts";
import { isDeviceId } from "./device-credential.ts";

const AUDIENCE = "yaos-ws";
const DEFAULT_TTL_MS = 300_000;
const MIN_TTL_MS = 1_000;
const MAX_TTL_MS = 86_400_000;
/** Longer than any genuine one: a room id of 1,024 bytes, escaped in JSON, in base64. */
const MAX_TICKET_CHARS = 12_288;

/** The answer of the ticket route. */
export type IssuedTicket = { readonly ticket: string; readonly expiresAt: number /* ms since the epoch */; readonly ttlMs: number };

export type TicketFacts = {
  readonly key: string;
  readonly vaultId: string;
  /** The device that asked for it; null for the owner. */
  readonly device: string | null;
  readonly nowMs: number;
  readonly ttlMs: number;
  /** 16 random bytes. */
  readonly nonce: Uint8Array;
};

/** Life of a ticket from `YAOS_TICKET_TTL_MS`: floored and clamped to a second and a day; what is no number gives five minutes. */
export function ticketTtlMs(variable: string | undefined): number {
  if (variable === undefined || variable.trim() === "") return DEFAULT_TTL_MS;
  const value = Number(variable);
  return Number.isFinite(value) ? Math.min(MAX_TTL_MS, Math.max(MIN_TTL_MS, Math.floor(value))) : DEFAULT_TTL_MS;
}

export async function issueTicket(facts: TicketFacts): Promise<IssuedTicket> {
  const expiresAt = facts.nowMs + facts.ttlMs;
  const payload = {
    v: 1,
    aud: AUDIENCE,
    vaultId: facts.vaultId,
    iat: facts.nowMs,
    exp: expiresAt,
    nonce: toBase64url(facts.nonce),
    ...(facts.device === null ? {} : { dev: facts.device }),
  };
  const encoder = new TextEncoder();
  const body = toBase64url(encoder.encode(JSON.stringify(payload)));
  const signature = await crypto.subtle.sign("HMAC", await hmacKey(facts.key), encoder.encode(body));
  return { ticket: `${body}.${toBase64url(new Uint8Array(signature))}`, expiresAt, ttlMs: facts.ttlMs };
}

/** Whose ticket it is when it is genuine, for this vault and not over; else null. The signature is checked before anything is parsed. */
export async function verifyTicket(ticket: string, key: string, vaultId: string, nowMs: number): Promise<{ readonly device: string | null } | null> {
  if (ticket.length > MAX_TICKET_CHARS) return null;
  const dot = ticket.indexOf(".");
  if (dot <= 0 || dot === ticket.length - 1) return null;
  const body = ticket.slice(0, dot);
  const signature = fromBase64url(ticket.slice(dot + 1));
  const bytes = fromBase64url(body);
  if (signature === null || bytes === null) return null;
  // WebCrypto compares in constant time.
  if (!(await crypto.subtle.verify("HMAC", await hmacKey(key), signature, new TextEncoder().encode(body)))) return null;
  return readPayload(bytes, vaultId, nowMs);
}

function readPayload(bytes: Uint8Array, vaultId: string, nowMs: number): { readonly device: string | null } | null {
  let payload: unknown;
  try {
    payload = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
  if (typeof payload !== "object" || payload === null) return null;
  const { v, aud, vaultId: vault, exp, dev } = payload as { v?: unknown; aud?: unknown; vaultId?: unknown; exp?: unknown; dev?: unknown };
  if (v !== 1 || aud !== AUDIENCE || vault !== vaultId || typeof exp !== "number" || !(exp > nowMs)) return null;
  if (dev === undefined) return { device: null };
  // A device we cannot read must not count as the owner.
  return isDeviceId(dev) ? { device: dev } : null;
}

function hmacKey(secret: string): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", new TextEncoder().encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}
