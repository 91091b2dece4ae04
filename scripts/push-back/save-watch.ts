/** Waits until a server has saved what it took in, as far as its debug route tells (compat sheet, 2.6). */
import { setTimeout as sleep } from "node:timers/promises";
import { PushBackError } from "./push-back-error.ts";
import type { Timings } from "./timings.ts";
import { originOf, type VaultAddress } from "./vault-connection.ts";

interface Persistence {
  readonly status: string;
  readonly successfulSaveCount: number;
  readonly failedSaveCount: number;
  readonly pendingPersistence: boolean;
  readonly lastSaveError: string | null;
}

interface DebugAnswer {
  readonly persistence?: Persistence | null;
  readonly storage?: { readonly mode?: string | null };
}

export class SaveWatch {
  readonly #address: VaultAddress;
  readonly #timings: Timings;
  /** The server has counters; 1.6.1 has none. */
  readonly tells: boolean;
  /** It keeps vaults in SQL (PR #51), where a row is no limit. */
  readonly isSql: boolean;

  private constructor(address: VaultAddress, timings: Timings, first: DebugAnswer) {
    this.#address = address;
    this.#timings = timings;
    this.tells = first.persistence != null;
    this.isSql = first.storage != null;
  }

  /** @throws {PushBackError} also when the server is in a state in which it saves nothing */
  static async begin(address: VaultAddress, timings: Timings): Promise<SaveWatch> {
    const first = await readDebug(address, timings);
    if (first.storage?.mode === "kv-fallback") throw new PushBackError("not-saved", `${address.url} cannot read its own storage and saves nothing (kv-fallback)`);
    return new SaveWatch(address, timings, first);
  }

  /** Runs `send`, which resolves when the server has taken a piece in, and waits until that is saved. @throws {PushBackError} */
  async saved(send: () => Promise<void>): Promise<void> {
    const before = await this.#settled();
    await send();
    if (before === null) {
      await sleep(this.#timings.quietMs);
      return;
    }
    const untilMs = performance.now() + this.#timings.saveMs;
    for (;;) {
      const now = await this.#read();
      if (now.successfulSaveCount < before.successfulSaveCount) throw new PushBackError("connection-lost", `${this.#address.url} was started anew while it had edits to save; run this again`);
      if (now.failedSaveCount > before.failedSaveCount) throw new PushBackError("not-saved", `${this.#address.url} has the edits but could not save them: ${now.lastSaveError ?? "no reason given"}`);
      if (now.successfulSaveCount > before.successfulSaveCount && !now.pendingPersistence) return;
      if (performance.now() > untilMs) throw new PushBackError("timeout", `${this.#address.url} has the edits but did not save them within ${this.#timings.saveMs / 1000} s`);
      await sleep(this.#timings.pollMs);
    }
  }

  /** The counters once no save of before is under way, or when that takes too long; null without counters. */
  async #settled(): Promise<Persistence | null> {
    if (!this.tells) return null;
    const untilMs = performance.now() + this.#timings.quietMs;
    for (;;) {
      const now = await this.#read();
      if (!now.pendingPersistence || performance.now() > untilMs) return now;
      await sleep(this.#timings.pollMs);
    }
  }

  async #read(): Promise<Persistence> {
    const { persistence } = await readDebug(this.#address, this.#timings);
    if (persistence == null) throw new PushBackError("server-refused", `${this.#address.url} stopped telling what it saves`);
    return persistence;
  }
}

async function readDebug(address: VaultAddress, timings: Timings): Promise<DebugAnswer> {
  const url = `${originOf(address.url)}/vault/${encodeURIComponent(address.vault)}/debug/recent`;
  let answer: Response;
  try {
    answer = await fetch(url, { headers: { Authorization: `Bearer ${address.token}` }, signal: AbortSignal.timeout(timings.openMs) });
  } catch (cause) {
    throw new PushBackError("unreachable", `Cannot reach ${address.url}: ${(cause as Error).message}`, { cause });
  }
  if (answer.status === 401) throw new PushBackError("wrong-token", `${address.url} does not accept the token for this vault`);
  if (answer.status !== 200) throw new PushBackError("server-refused", `${address.url} answered ${answer.status} when asked for its debug report`);
  return (await answer.json()) as DebugAnswer;
}
