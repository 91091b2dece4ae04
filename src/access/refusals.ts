/**
 * What an isolate remembers of device credentials that were refused, so that knocking costs the config object little.
 * A refusal stays right for ever: ids and secrets are random, a revocation is final and what a device covers never changes. So the same credential is
 * not asked about again. And while ever new ones come, which only somebody who guesses has, an id is looked for among all that exist first.
 */

import { LIMITS } from "../limits.ts";
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

  add(key: string): void {
    if (this.#keys.size >= MAX_REMEMBERED) {
      const oldest = this.#keys.values().next().value;
      if (oldest !== undefined) this.#keys.delete(oldest);
    }
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
