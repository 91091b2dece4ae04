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

  /** Reads what is remembered of a room that cannot be read as a whole. @throws {Error} when that cannot be had either: then nobody may be let in */
  readAlone(): void {
    const below = new Map<string, number>();
    // A room that ever stored anything has rows here; without any, revocations may be gone with them.
    if (this.#sql.exec(`SELECT key FROM room_meta LIMIT 1`).length === 0) throw new Error("room_meta is empty");
    this.#readInto(below);
    this.#below = below;
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
    if (!this.#store.isFresh) this.#readInto(below);
    this.#below = below;
    return below;
  }

  #readInto(below: Map<string, number>): void {
    for (const [key, value] of listMeta(this.#sql, ACCESS)) {
      const epoch = Number(value);
      // Which epochs still count cannot be told: none does.
      below.set(key.slice(ACCESS.length), Number.isSafeInteger(epoch) ? epoch : Infinity);
    }
  }
}
