/**
 * An isolate's copy of the config object's answer: 60 seconds, one read at a time for all requests that want it. An unclaimed install is never kept, so no
 * isolate goes on saying so after a claim. Two of these are two isolates; what one drops the other still has, hence `recheck` before a refusal.
 */

import { LIMITS } from "../limits.ts";
import type { OwnerConfig } from "./owner-record.ts";

/** Reads the config object. */
export type ReadConfig = () => Promise<OwnerConfig>;

type Flight = { readonly startedMs: number; readonly config: Promise<OwnerConfig> };

export class ConfigCache {
  readonly #nowMs: () => number;
  #known: { readonly config: OwnerConfig; readonly readMs: number } | null = null;
  #flight: Flight | null = null;
  /** The owner's epoch as last heard of elsewhere: what has a lower one was replaced. */
  #leastEpoch = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @throws what `read` throws; nothing is kept then */
  async get(read: ReadConfig): Promise<OwnerConfig> {
    if (this.#known !== null && !this.#isReplaced(this.#known.config) && this.#nowMs() - this.#known.readMs < LIMITS.configCacheMs) return this.#known.config;
    const config = await this.#shared(read);
    // It was on its way before the rotation.
    return this.#isReplaced(config) ? this.#shared(read) : config;
  }

  /** Takes note of the owner's epoch, which the config object says with every admission: copies from before a rotation are not used any more. */
  heardOf(ownerEpoch: number): void {
    this.#leastEpoch = Math.max(this.#leastEpoch, ownerEpoch);
  }

  /** Something newer than `seen` when there may be: what another request read meanwhile, or a read of its own when `seen` is older than two seconds. Else null. */
  async recheck(seen: OwnerConfig, read: ReadConfig): Promise<OwnerConfig | null> {
    const known = this.#known;
    if (known !== null && known.config !== seen) return known.config;
    if (known !== null && !this.#isReplaced(known.config) && this.#nowMs() - known.readMs <= LIMITS.configRecheckMs) return null;
    return this.#shared(read);
  }

  /** Forgets, after a change made through this isolate. A read already on its way is not kept either: it may have been answered before the change. */
  drop(): void {
    this.#known = null;
    this.#flight = null;
  }

  #isReplaced(config: OwnerConfig): boolean {
    return config.ownerEpoch < this.#leastEpoch;
  }

  #shared(read: ReadConfig): Promise<OwnerConfig> {
    const startedMs = this.#nowMs();
    // One that takes this long may belong to a request that was given up, and never end.
    if (this.#flight !== null && startedMs - this.#flight.startedMs < LIMITS.configRecheckMs) return this.#flight.config;
    const flight: Flight = { startedMs, config: read() };
    this.#flight = flight;
    flight.config.then(
      (config) => {
        if (this.#flight !== flight) return;
        this.#flight = null;
        this.#known = config.claimed ? { config, readMs: startedMs } : null;
      },
      () => {
        if (this.#flight === flight) this.#flight = null;
      },
    );
    return flight.config;
  }
}
