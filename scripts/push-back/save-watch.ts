/** Waits until a server has saved what it took in, as far as its debug route tells (compat sheet, 2.6). */
import { setTimeout as sleep } from "node:timers/promises";
import { PushBackError } from "./push-back-error.ts";
import type { Timings } from "./timings.ts";
import { originOf, type VaultAddress } from "./vault-connection.ts";

/** All of it says nothing of edits that wait for a save to begin (compat sheet, 2.6 and 5.3). Times are ISO. */
interface Persistence {
  /** The one under way counts. */
  readonly queuedSaveCount: number;
  readonly successfulSaveCount: number;
  readonly failedSaveCount: number;
  /** A save that finds nothing new moves it too. */
  readonly lastSaveStartedAt: string | null;
  readonly lastSaveSucceededAt: string | null;
  readonly lastSaveError: string | null;
}

interface DebugAnswer {
  readonly persistence?: Partial<Persistence> | null;
  readonly storage?: { readonly mode?: string | null };
}

export class SaveWatch {
  readonly #address: VaultAddress;
  readonly #timings: Timings;
  /** The server says when it saves; 1.6.1 does not. */
  readonly tells: boolean;
  /** It keeps vaults in SQL (PR #51), where a row is no limit. */
  readonly isSql: boolean;

  private constructor(address: VaultAddress, timings: Timings, first: DebugAnswer) {
    this.#address = address;
    this.#timings = timings;
    this.tells = isPersistence(first.persistence);
    this.isSql = first.storage != null;
  }

  /** @throws {PushBackError} also when the server is in a state in which it saves nothing */
  static async begin(address: VaultAddress, timings: Timings): Promise<SaveWatch> {
    const first = await readDebug(address, timings);
    if (first.storage?.mode === "kv-fallback") throw new PushBackError("not-saved", `${address.url} cannot read its own storage and saves nothing (kv-fallback)`);
    return new SaveWatch(address, timings, first);
  }

  /**
   * Runs `send`, which resolves when the server has taken a piece in, and waits until a save that began after that has succeeded: devices make it save
   * too, and one that was under way when the piece came does not hold it. Saves run one after the other (compat sheet, 5.3).
   * @param mark sends something new, so that a save is sure to come: the piece may bring nothing that devices did not bring, or be saved already
   * @throws {PushBackError} when a save fails, the server starts anew, or none comes in time
   */
  async saved(send: () => Promise<void>, mark: () => void): Promise<void> {
    await send();
    if (!this.tells) {
      await sleep(this.#timings.quietMs);
      return;
    }
    const untilMs = performance.now() + this.#timings.saveMs;
    const taken = await this.#read();
    let idle = taken;
    while (idle.queuedSaveCount > 0) {
      // At most one of these two was under way when the piece had come.
      if (idle.successfulSaveCount >= taken.successfulSaveCount + 2) return;
      idle = await this.#next(taken, untilMs);
    }
    mark();
    let now = idle;
    let begunAt: string | null = null;
    while (begunAt === null || now.successfulSaveCount === idle.successfulSaveCount || !isNotBefore(now.lastSaveSucceededAt, begunAt)) {
      now = await this.#next(idle, untilMs);
      if (now.lastSaveStartedAt !== idle.lastSaveStartedAt) begunAt ??= now.lastSaveStartedAt;
    }
  }

  /** What it says a moment later. @throws {PushBackError} when that cannot end well, or is too late */
  async #next(before: Persistence, untilMs: number): Promise<Persistence> {
    const { url } = this.#address;
    if (performance.now() > untilMs) throw new PushBackError("timeout", `${url} has the edits but did not save them within ${this.#timings.saveMs / 1000} s`);
    await sleep(this.#timings.pollMs);
    const now = await this.#read();
    if (now.successfulSaveCount < before.successfulSaveCount) throw new PushBackError("connection-lost", `${url} was started anew while it had edits to save; run this again`);
    if (now.failedSaveCount > before.failedSaveCount) throw new PushBackError("not-saved", `${url} has the edits but could not save them: ${now.lastSaveError ?? "no reason given"}`);
    return now;
  }

  async #read(): Promise<Persistence> {
    const { persistence } = await readDebug(this.#address, this.#timings);
    if (!isPersistence(persistence)) throw new PushBackError("server-refused", `${this.#address.url} stopped telling what it saves`);
    return persistence;
  }
}

function isPersistence(told: DebugAnswer["persistence"]): told is Persistence {
  return typeof told?.queuedSaveCount === "number" && told.lastSaveStartedAt !== undefined && told.lastSaveSucceededAt !== undefined;
}

function isNotBefore(time: string | null, earlier: string): boolean {
  return time !== null && time >= earlier;
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
