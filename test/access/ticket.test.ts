import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { fromBase64url, toBase64url } from "../../src/access/base64url.ts";
import { issueTicket, ticketTtlMs, verifyTicket } from "../../src/access/ticket.ts";

const KEY = "key";
const NOW = 1_700_000_000_000;
const NONCE = Uint8Array.from({ length: 16 }, (_, i) => i);
const DEVICE = "abcdefghijkl";

/** A ticket as any server of this dialect makes it, by Node's own HMAC. */
function forge(payload: unknown, key = KEY): string {
  const body = Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload)).toString("base64url");
  return `${body}.${createHmac("sha256", key).update(body).digest("base64url")}`;
}

const GOOD = { v: 1, aud: "yaos-ws", vaultId: "v", iat: NOW, exp: NOW + 1, nonce: "AAECAwQFBgcICQoLDA0ODw" };

test("[AC11] a ticket is the payload of the sheet under HMAC-SHA256", async () => {
  const { ticket, expiresAt, ttlMs } = await issueTicket({ key: KEY, vaultId: "a/ü b", device: null, nowMs: NOW, ttlMs: 5_000, nonce: NONCE });
  expect([expiresAt, ttlMs]).toEqual([NOW + 5_000, 5_000]);
  expect(ticket).toBe(forge({ v: 1, aud: "yaos-ws", vaultId: "a/ü b", iat: NOW, exp: NOW + 5_000, nonce: GOOD.nonce }));
  expect(await verifyTicket(ticket, KEY, "a/ü b", NOW)).toEqual({ device: null });
  const ofDevice = await issueTicket({ key: KEY, vaultId: "v", device: DEVICE, nowMs: NOW, ttlMs: 5_000, nonce: NONCE });
  expect(await verifyTicket(ofDevice.ticket, KEY, "v", NOW)).toEqual({ device: DEVICE });
});

test("[AC11] a ticket of another server of this dialect is read", async () => {
  expect(await verifyTicket(forge(GOOD), KEY, "v", NOW)).toEqual({ device: null });
  expect(await verifyTicket(forge({ ...GOOD, more: [1] }), KEY, "v", NOW)).toEqual({ device: null });
});

test("[AC12] expired, of another vault, tampered, of another key, malformed: none is a ticket", async () => {
  const good = forge(GOOD);
  const [body, signature] = good.split(".") as [string, string];
  const other = forge({ ...GOOD, vaultId: "w" }).split(".")[0]!;
  const cases: Record<string, string> = {
    "another payload": `${other}.${signature}`,
    "another signature": `${body}.${toBase64url(new Uint8Array(32))}`,
    "short signature": `${body}.${signature.slice(0, -4)}`,
    "padded signature": `${good}=`,
    "unused bits set": `${good.slice(0, -1)}${String.fromCharCode(good.charCodeAt(good.length - 1) + 1)}`,
    "another key": forge(GOOD, "other"),
    "no dot": body,
    "nothing before the dot": `.${signature}`,
    "nothing after the dot": `${body}.`,
    empty: "",
    "two dots": `${good}.x`,
    "version 2": forge({ ...GOOD, v: 2 }),
    "another audience": forge({ ...GOOD, aud: "x" }),
    "vault of another type": forge({ ...GOOD, vaultId: ["v"] }),
    "expiry as text": forge({ ...GOOD, exp: String(NOW + 1) }),
    "no expiry": forge({ ...GOOD, exp: undefined }),
    "no JSON": forge("{"),
    "JSON null": forge("null"),
    "a device that is none": forge({ ...GOOD, dev: "x" }),
    "a device null": forge({ ...GOOD, dev: null }),
    huge: forge({ ...GOOD, more: "x".repeat(20_000) }),
  };
  for (const [name, ticket] of Object.entries(cases)) expect(await verifyTicket(ticket, KEY, "v", NOW), name).toBeNull();
  expect(await verifyTicket(good, KEY, "w", NOW)).toBeNull();
  expect(await verifyTicket(good, KEY, "v", NOW + 1), "at its end").toBeNull();
});

test("[AC13] the life of a ticket is floored and clamped, and nonsense is the default", () => {
  const cases: [string | undefined, number][] = [
    [undefined, 300_000], ["", 300_000], [" ", 300_000], ["x", 300_000], ["Infinity", 300_000], ["NaN", 300_000],
    ["8000", 8_000], ["1500.9", 1_500], ["999", 1_000], ["-5", 1_000], ["0", 1_000], ["1e12", 86_400_000],
  ];
  for (const [variable, ms] of cases) expect(ticketTtlMs(variable), String(variable)).toBe(ms);
});

test("base64url has one spelling per value", () => {
  for (let length = 0; length < 6; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => 255 - i);
    expect(fromBase64url(toBase64url(bytes))).toEqual(bytes);
  }
  for (const wrong of ["A", "AB=", "AB", "a+b/", "ä", "AAA=", "A A"]) expect(fromBase64url(wrong), wrong).toBeNull();
});
