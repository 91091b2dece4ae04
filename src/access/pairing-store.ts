/**
 * Pairings: codes the owner made, each good for one device, once, for ten minutes. Wrong codes are counted over the whole install, in storage,
 * since an object that sleeps between guesses would forget them: 40 bits withstand five guesses a minute for longer than anyone waits.
 */

import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";
import type { Grant } from "./device-store.ts";

export type Redemption =
  | { readonly kind: "redeemed"; readonly grant: Grant }
  | { readonly kind: "wrong" }
  /** Too many wrong codes in the last minute: right ones are not looked at either. */
  | { readonly kind: "locked"; readonly retryAfterMs: number };

const MISS_WINDOW_MS = 60_000;

export class PairingStore {
  readonly #sql: Sql;

  /** @param sql has the tables of schema.ts */
  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Keeps a code; false when `maxPairings` wait to be redeemed. */
  create(codeHash: string, grant: Grant, expiresMs: number, nowMs: number): boolean {
    return this.#sql.transaction(() => {
      this.#sql.exec(`DELETE FROM access_pairings WHERE expires_ms <= ?`, nowMs);
      const waiting = this.#sql.exec<{ n: number }>(`SELECT count(*) AS n FROM access_pairings`)[0]?.n ?? 0;
      if (waiting >= LIMITS.maxPairings) return false;
      this.#sql.exec(
        `INSERT INTO access_pairings (code_hash, name, vault, mode, expires_ms) VALUES (?, ?, ?, ?, ?)`,
        codeHash,
        grant.name,
        grant.vault,
        grant.mode,
        expiresMs,
      );
      return true;
    });
  }

  /** Takes all codes out of force. */
  forgetAll(): void {
    this.#sql.exec(`DELETE FROM access_pairings`);
  }

  /** Takes a code out of force and says what it was good for. The lookup is by digest, so its time tells nothing of the code. */
  redeem(codeHash: string, nowMs: number): Redemption {
    return this.#sql.transaction(() => {
      const misses = this.#sql.exec<{ at_ms: number }>(`SELECT at_ms FROM access_pairing_misses WHERE at_ms > ? ORDER BY at_ms`, nowMs - MISS_WINDOW_MS);
      const oldest = misses[0];
      if (oldest !== undefined && misses.length >= LIMITS.maxWrongPairingsPerMinute) {
        return { kind: "locked", retryAfterMs: Math.max(1, oldest.at_ms + MISS_WINDOW_MS - nowMs) };
      }
      const found = this.#sql.exec<{ name: string; vault: string | null; mode: "rw" | "ro" }>(
        `DELETE FROM access_pairings WHERE code_hash = ? AND expires_ms > ? RETURNING name, vault, mode`,
        codeHash,
        nowMs,
      )[0];
      if (found !== undefined) return { kind: "redeemed", grant: { name: found.name, vault: found.vault, mode: found.mode } };
      this.#sql.exec(`DELETE FROM access_pairing_misses WHERE at_ms <= ?`, nowMs - MISS_WINDOW_MS);
      this.#sql.exec(`INSERT INTO access_pairing_misses (at_ms) VALUES (?)`, nowMs);
      return { kind: "wrong" };
    });
  }
}
