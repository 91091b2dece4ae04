/** Follows an isolate's heap through workerd's inspector: `Runtime.getHeapUsage`, JavaScript heap plus ArrayBuffers. */
import { WebSocket } from "ws";
import { sleep } from "./stats.ts";

export class HeapWatch {
  readonly #socket: WebSocket;
  readonly #pollMs: number;
  #nextId = 1;
  #stopped = false;
  #phase = "";
  readonly #peaks = new Map<string, number>();
  #answered: (() => void) | null = null;

  private constructor(socket: WebSocket, pollMs: number) {
    this.#socket = socket;
    this.#pollMs = pollMs;
    socket.on("message", (data: Buffer) => this.#receive(data.toString()));
  }

  /** Attaches to the service `main` of a workerd started with its inspector on `port`. */
  static async attach(port: number, pollMs: number): Promise<HeapWatch> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/main`, { perMessageDeflate: false });
    await new Promise<void>((resolve, reject) => {
      socket.once("open", () => resolve());
      socket.once("error", reject);
    });
    const watch = new HeapWatch(socket, pollMs);
    void watch.#poll();
    return watch;
  }

  /** Peaks from now on count for `name`. */
  phase(name: string): void {
    this.#phase = name;
    this.#peaks.set(name, this.#peaks.get(name) ?? 0);
  }

  /** Highest sum of used heap and backing stores seen, bytes, by phase. */
  stop(): ReadonlyMap<string, number> {
    this.#stopped = true;
    this.#socket.terminate();
    return this.#peaks;
  }

  /** One question at a time: a long turn of the isolate delays the answer, and questions must not pile up behind it. */
  async #poll(): Promise<void> {
    while (!this.#stopped) {
      const answered = new Promise<void>((resolve) => {
        this.#answered = resolve;
      });
      this.#socket.send(JSON.stringify({ id: this.#nextId++, method: "Runtime.getHeapUsage" }));
      await Promise.race([answered, sleep(2_000)]);
      await sleep(this.#pollMs);
    }
  }

  #receive(text: string): void {
    const message = JSON.parse(text) as { id?: number; result?: { usedSize?: number; backingStorageSize?: number } };
    if (message.id === undefined) return;
    const bytes = (message.result?.usedSize ?? 0) + (message.result?.backingStorageSize ?? 0);
    if (bytes > (this.#peaks.get(this.#phase) ?? 0)) this.#peaks.set(this.#phase, bytes);
    this.#answered?.();
  }
}
