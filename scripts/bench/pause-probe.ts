/** Sees a room's long turns from outside, on any server: presence frames at a steady pace, and how late each reaches the other client. */
import type { BenchClient } from "./client.ts";
import { sleep } from "./stats.ts";

const PACE_MS = 20;
const MARK = /probe-(\d+)-/;

export class PauseProbe {
  readonly #sentAt: number[] = [];
  #longestMs = 0;
  #received = 0;
  #stopped = false;
  readonly #loop: Promise<void>;

  constructor(from: BenchClient, to: BenchClient) {
    to.onFrame((frame, raw) => {
      const found = frame.kind === "awareness" ? MARK.exec(raw.toString("latin1"))?.[1] : undefined;
      if (found === undefined) return;
      this.#received += 1;
      this.#longestMs = Math.max(this.#longestMs, performance.now() - (this.#sentAt[Number(found)] ?? performance.now()));
    });
    this.#loop = this.#send(from);
  }

  /** The longest delay seen, ms, after everything sent has had time to arrive. */
  async stop(): Promise<number> {
    this.#stopped = true;
    await this.#loop;
    await sleep(300);
    if (this.#received === 0) throw new Error("bench: no presence frame came through");
    return this.#longestMs;
  }

  async #send(from: BenchClient): Promise<void> {
    while (!this.#stopped) {
      this.#sentAt.push(performance.now());
      from.sendAwareness(`probe-${this.#sentAt.length - 1}-`);
      await sleep(PACE_MS);
    }
  }
}
