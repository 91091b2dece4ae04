/**
 * Pairings: codes the owner made, each good for one device, once, for ten minutes. A right code is good whatever others tried: wrong ones are counted by
 * address in the Worker and lock nobody out. Guessing is hopeless by length alone: a code has 60 bits, one object answers some 1,000 requests a second,
 * so with all `maxPairings` = 100 codes waiting the chance of a hit in ten minutes is 600,000 · 100 / 2^60 = 5 · 10^-11, and in a year of it 3 · 10^-6.
 */

import { LIMITS } from "../limits.ts";
import type { Sql } from "../ports.ts";
import type { Grant } from "./device-store.ts";

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

  /** Whether a code is in force. The lookup is by digest, so its time tells nothing of the code. */
  isGood(codeHash: string, nowMs: number): boolean {
    return this.#sql.exec(`SELECT 1 FROM access_pairings WHERE code_hash = ? AND expires_ms > ?`, codeHash, nowMs).length > 0;
  }

  /** Takes a code out of force and says what it was good for; null when it was not in force. */
  redeem(codeHash: string, nowMs: number): Grant | null {
    const found = this.#sql.exec<{ name: string; vault: string | null; mode: "rw" | "ro" }>(
      `DELETE FROM access_pairings WHERE code_hash = ? AND expires_ms > ? RETURNING name, vault, mode`,
      codeHash,
      nowMs,
    )[0];
    return found === undefined ? null : { name: found.name, vault: found.vault, mode: found.mode };
  }
}
