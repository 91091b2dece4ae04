/**
 * What an install keeps about its owner, under the keys existing installs have (compat sheet, 1.3), and one more: `ownerEpoch`.
 * Every method is synchronous, so that what it reads is still true when it writes.
 */

import { isDigest, sameDigest } from "./digest.ts";
import type { UpdateMetadata } from "./update-metadata.ts";

/** The object's key-value storage. A value is a string, a number or a boolean. */
export interface KeyValues {
  get(key: string): unknown;
  put(key: string, value: string | number | boolean): void;
}

/** The public part of the config route, in this order. */
export type OwnerConfig = {
  readonly claimed: boolean;
  /** Lowercase hex SHA-256 of the owner's token; null while unclaimed. */
  readonly tokenHash: string | null;
  readonly updateProvider: string | null;
  readonly updateRepoUrl: string | null;
  readonly updateRepoBranch: string | null;
  /** Raised by every rotation; a session of the owner carries the one it was admitted with. */
  readonly ownerEpoch: number;
};

export class OwnerRecord {
  readonly #kv: KeyValues;

  constructor(kv: KeyValues) {
    this.#kv = kv;
  }

  read(): OwnerConfig {
    const tokenHash = this.#text("tokenHash");
    // Both, or it can be claimed (again): a half-written claim of an older server locks nobody out.
    const claimed = this.#kv.get("claimed") === true && tokenHash !== null;
    const epoch = this.#kv.get("ownerEpoch");
    return {
      claimed,
      tokenHash,
      updateProvider: this.#text("updateProvider"),
      updateRepoUrl: this.#text("updateRepoUrl"),
      updateRepoBranch: this.#text("updateRepoBranch"),
      ownerEpoch: typeof epoch === "number" && Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0,
    };
  }

  /** False when somebody was first. */
  claim(tokenHash: string): boolean {
    if (this.read().claimed) return false;
    this.#kv.put("claimed", true);
    this.#kv.put("tokenHash", tokenHash);
    return true;
  }

  update(metadata: UpdateMetadata): void {
    for (const key of ["updateProvider", "updateRepoUrl", "updateRepoBranch"] as const) {
      const value = metadata[key];
      if (value !== undefined) this.#kv.put(key, value);
    }
  }

  /** Replaces the owner's token. Null when the install is unclaimed or `oldHash` is not the present one; else the new epoch. */
  rotate(oldHash: string, newHash: string): number | null {
    if (!this.isOwner(oldHash)) return null;
    const epoch = this.read().ownerEpoch + 1;
    this.#kv.put("tokenHash", newHash);
    this.#kv.put("ownerEpoch", epoch);
    return epoch;
  }

  /** Whether `hash` is the digest of the present owner's token. */
  isOwner(hash: string): boolean {
    const { claimed, tokenHash } = this.read();
    return claimed && isDigest(tokenHash) && sameDigest(tokenHash, hash);
  }

  #text(key: string): string | null {
    const value = this.#kv.get(key);
    return typeof value === "string" && value !== "" ? value : null;
  }
}
