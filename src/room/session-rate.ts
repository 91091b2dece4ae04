/** How fast one session may send, decided before anything is parsed. Two buckets that fill up with time; both start full, after hibernation too. */
import { LIMITS } from "../limits.ts";

export class SessionRate {
  #bytes: number = LIMITS.maxSessionBurstBytes;
  #frames: number = LIMITS.maxSessionBurstFrames;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Takes one frame in. False when the session sends too fast: then nothing is counted. */
  takes(byteLength: number, nowMs: number): boolean {
    const seconds = Math.max(0, nowMs - this.#atMs) / 1_000;
    this.#atMs = nowMs;
    this.#bytes = Math.min(LIMITS.maxSessionBurstBytes, this.#bytes + seconds * LIMITS.maxSessionBytesPerSecond);
    this.#frames = Math.min(LIMITS.maxSessionBurstFrames, this.#frames + seconds * LIMITS.maxSessionFramesPerSecond);
    if (this.#bytes < byteLength || this.#frames < 1) return false;
    this.#bytes -= byteLength;
    this.#frames -= 1;
    return true;
  }
}
