/**
 * What a room remembers of credentials: for each the epoch below which it no longer counts, and whether the install knows that this room exists.
 * The install's config object decides who may come in; this is the last word on admissions that were under way when a credential was revoked or re-keyed.
 */
import type { Sql } from "../ports.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { listMeta, readMeta, writeMeta } from "../storage/room-meta.ts";

const ACCESS = "access:";
const REGISTERED = "registered";

export class AccessBook {
  readonly #sql: Sql;
  readonly #store: VaultStore;
  #below: Map<string, number> | null = null;
  #isRegistered: boolean | null = null;
  #registeredIsUnsaved = false;

  constructor(sql: Sql, store: VaultStore) {
    this.#sql = sql;
    this.#store = store;
  }

  /** The epoch from which on a credential counts; 0 when it was never revoked. */
  below(by: string): number {
    return this.#read().get(by) ?? 0;
  }

  /** From now on `by` counts only from epoch `below` on; never lowered. @param canStore false while storage must not be touched: then it lasts as long as the instance */
  revoke(by: string, below: number, canStore: boolean): void {
    const known = this.#read();
    if (below <= (known.get(by) ?? 0)) return;
    known.set(by, below);
    if (!canStore) return;
    this.#store.makeReady();
    writeMeta(this.#sql, ACCESS + by, String(below));
  }

  get isRegistered(): boolean {
    this.#isRegistered ??= !this.#store.isFresh && readMeta(this.#sql, REGISTERED) !== null;
    return this.#isRegistered;
  }

  /** The install knows this room now. A room that has stored nothing yet keeps that with its first commit. */
  registered(): void {
    this.#isRegistered = true;
    this.#registeredIsUnsaved = true;
    if (!this.#store.isFresh) this.committed();
  }

  /** Call in the turn of a commit. */
  committed(): void {
    if (!this.#registeredIsUnsaved || this.#store.isFresh) return;
    writeMeta(this.#sql, REGISTERED, "1");
    this.#registeredIsUnsaved = false;
  }

  #read(): Map<string, number> {
    if (this.#below !== null) return this.#below;
    const below = new Map<string, number>();
    if (!this.#store.isFresh) {
      for (const [key, value] of listMeta(this.#sql, ACCESS)) below.set(key.slice(ACCESS.length), Number(value));
    }
    this.#below = below;
    return below;
  }
}
