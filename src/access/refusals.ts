/**
 * What an isolate remembers of device credentials that were refused, so that knocking costs the config object little.
 * A refusal stays right for ever: ids and secrets are random, a revocation is final and what a device covers never changes. So the same credential is
 * not asked about again; of an id that exists the digest of its secret is kept with the first wrong one, by which every other wrong one is known. And while
 * ever new ones come, which only somebody who guesses has, an id is looked for among all that exist first.
 */

import { LIMITS } from "../limits.ts";
import { sameDigest } from "./digest.ts";
import { RateWindow } from "./rate-window.ts";

const MAX_REMEMBERED = 1_000;
const WINDOW_MS = 60_000;

/** What it needs of its runtime. */
export interface RefusalsHost {
  readonly nowMs: () => number;
  readonly wait: (ms: number) => Promise<void>;
}

export class Refusals {
  readonly #host: RefusalsHost;
  readonly #keys = new Set<string>();
  /** Digests of the secrets of devices that wrong ones were presented for. Like the ids they never change. */
  readonly #secretHashes = new Map<string, string>();
  readonly #recent = new RateWindow(LIMITS.blindAdmissionsPerMinute, WINDOW_MS, 1);
  #guessedUntilMs = 0;
  #ids: ReadonlySet<string> = new Set();
  #readMs = 0;
  /** A read that has not begun: whoever comes before it begins may wait for it. */
  #next: Promise<ReadonlySet<string>> | null = null;

  constructor(host: RefusalsHost) {
    this.#host = host;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Keeps which secret is the right one for a device. Forgotten, it is asked for once more. */
  learn(id: string, secretHash: string): void {
    forgetOldest(this.#secretHashes);
    this.#secretHashes.set(id, secretHash);
  }

  /** Whether a secret is known to be wrong. @param secretHash of the one presented; null for a ticket, which has none */
  isWrong(id: string, secretHash: string | null): boolean {
    const right = this.#secretHashes.get(id);
    return right !== undefined && secretHash !== null && !sameDigest(right, secretHash);
  }

  add(key: string): void {
    forgetOldest(this.#keys);
    this.#keys.add(key);
    const nowMs = this.#host.nowMs();
    if (!this.#recent.take("refused", nowMs).ok) this.#guessedUntilMs = nowMs + WINDOW_MS;
  }

  /**
   * Whether to ask the config object about a credential of this id at all. True while few were refused of late; else when the id exists. What exists is
   * read at most once in `configRecheckMs`, and always after the question came: a device made a moment ago waits, and is not refused.
   */
  async worthAsking(id: string, readIds: () => Promise<ReadonlySet<string>>): Promise<boolean> {
    if (this.#host.nowMs() >= this.#guessedUntilMs || this.#ids.has(id)) return true;
    this.#next ??= this.#readLater(readIds);
    return (await this.#next).has(id);
  }

  async #readLater(readIds: () => Promise<ReadonlySet<string>>): Promise<ReadonlySet<string>> {
    await this.#host.wait(Math.max(0, this.#readMs + LIMITS.configRecheckMs - this.#host.nowMs()));
    this.#next = null;
    this.#readMs = this.#host.nowMs();
    this.#ids = await readIds();
    return this.#ids;
  }
}

function forgetOldest(remembered: Set<string> | Map<string, string>): void {
  const oldest = remembered.size < MAX_REMEMBERED ? undefined : remembered.keys().next().value;
  if (oldest !== undefined) remembered.delete(oldest);
}
