/** One raw client socket: the same code against every server. It parses frames by hand and never builds a document. */
import { WebSocket } from "ws";
import { awarenessFrame, NO_AWARENESS, readFrame, step1Frame, step2Frame, updateFrame, type Frame } from "./wire.ts";

type FrameListener = (frame: Frame, raw: Buffer) => void;

export interface Step2Result {
  /** From the start of the connection, or from the step 1 when that was sent later, to the last byte of the step 2, ms. */
  readonly ms: number;
  readonly bytesIn: number;
  /** Every sync frame that brought structs or deletions, in order of arrival, ending with the step 2. */
  readonly updates: readonly Uint8Array[];
}

export class BenchClient {
  readonly #socket: WebSocket;
  readonly #listeners = new Set<FrameListener>();
  readonly #textListeners = new Set<(message: Record<string, unknown>) => void>();
  #failed: Error | null = null;
  readonly #onFail = new Set<(error: Error) => void>();
  #awarenessClock = 1;
  readonly #awarenessClient = 1 + Math.floor(Math.random() * 1_000_000_000);
  /** Sync frames sent that carry an update: what receipts count. */
  syncFramesSent = 0;
  /** The highest receipt, `durableFrames`. */
  durableFrames = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** The server's state vector, from its latest step 1. */
  serverVector: Uint8Array | null = null;

  private constructor(url: string) {
    this.#socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 512 * 1024 * 1024 });
    this.#socket.binaryType = "nodebuffer";
    this.#socket.on("message", (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary));
    this.#socket.on("error", (error: Error) => this.#fail(error));
    this.#socket.on("close", (code: number, reason: Buffer) => this.#fail(new Error(`closed ${code} ${reason.toString()}`)));
  }

  static async open(url: string): Promise<BenchClient> {
    const client = new BenchClient(url);
    await new Promise<void>((resolve, reject) => {
      client.#socket.once("open", () => resolve());
      client.#onFail.add(reject);
    });
    return client;
  }

  /** Connects and asks for everything beyond `vector`; answers the server's step 1 with `answer`, as a provider would. */
  static async connectAndSync(url: string, vector: Uint8Array, answer: Uint8Array | null): Promise<{ client: BenchClient; result: Step2Result }> {
    const startedAt = performance.now();
    const client = new BenchClient(url);
    const updates: Uint8Array[] = [];
    const done = client.waitFrame((frame) => {
      if (frame.kind === "step1" && answer !== null) client.#sendCounted(step2Frame(answer));
      if (frame.kind === "step2" || frame.kind === "update") updates.push(frame.body);
      return frame.kind === "step2";
    });
    client.#socket.once("open", () => client.#socket.send(step1Frame(vector)));
    await done;
    return { client, result: { ms: performance.now() - startedAt, bytesIn: client.bytesIn, updates } };
  }

  sendUpdate(update: Uint8Array): void {
    this.#sendCounted(updateFrame(update));
  }

  sendStep1(vector: Uint8Array): void {
    this.sendRaw(step1Frame(vector));
  }

  sendRaw(frame: Uint8Array): void {
    this.bytesOut += frame.length;
    this.#socket.send(frame);
  }

  /** Calls `listener` for every binary frame from now on. */
  onFrame(listener: FrameListener): void {
    this.#listeners.add(listener);
  }

  /** Resolves with the moment (`performance.now()`) at which the first frame satisfying `test` had arrived. */
  waitFrame(test: (frame: Frame, raw: Buffer) => boolean, timeoutMs = 120_000): Promise<number> {
    return this.#wait<number>(timeoutMs, "a frame", (resolve) => {
      const listener: FrameListener = (frame, raw) => {
        if (test(frame, raw)) resolve(performance.now());
      };
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    });
  }

  /** Resolves when a `__YPS:` message satisfies `test`, with the moment. */
  waitText(test: (message: Record<string, unknown>) => boolean, timeoutMs = 120_000): Promise<number> {
    return this.#wait<number>(timeoutMs, "a text message", (resolve) => {
      const listener = (message: Record<string, unknown>): void => {
        if (test(message)) resolve(performance.now());
      };
      this.#textListeners.add(listener);
      return () => this.#textListeners.delete(listener);
    });
  }

  /** Resolves when a receipt covers every update frame sent so far, with the moment. */
  async waitReceipt(): Promise<number> {
    const target = this.syncFramesSent;
    return this.durableFrames >= target ? performance.now() : await this.waitText(() => this.durableFrames >= target);
  }

  /** Sends one presence frame whose state carries `mark`. */
  sendAwareness(mark: string): void {
    this.sendRaw(awarenessFrame(this.#awarenessClient, this.#awarenessClock++, { mark }));
  }

  async close(): Promise<void> {
    this.#failed = new Error("closed by the bench");
    this.#socket.removeAllListeners("close");
    const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
    this.#socket.close(1000);
    const giveUp = setTimeout(() => this.#socket.terminate(), 1_000);
    await closed;
    clearTimeout(giveUp);
  }

  /** Drops the socket without a word. */
  terminate(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.terminate();
  }

  #sendCounted(frame: Uint8Array): void {
    this.syncFramesSent += 1;
    this.sendRaw(frame);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.bytesIn += data.length;
    if (!isBinary) {
      this.#receiveText(data.toString());
      return;
    }
    const frame = readFrame(data);
    if (frame.kind === "query") this.sendRaw(NO_AWARENESS);
    if (frame.kind === "step1") this.serverVector = frame.body;
    for (const listener of this.#listeners) listener(frame, data);
  }

  #receiveText(text: string): void {
    if (!text.startsWith("__YPS:")) return;
    const message = JSON.parse(text.slice(6)) as Record<string, unknown>;
    if (message["type"] === "yaos/sv-echo" && typeof message["durableFrames"] === "number") {
      this.durableFrames = Math.max(this.durableFrames, message["durableFrames"]);
    }
    if (message["type"] === "yaos/degraded") {
      this.#fail(new Error(`the room is degraded: ${String(message["reason"])}`));
      return;
    }
    for (const listener of this.#textListeners) listener(message);
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const reject of this.#onFail) reject(error);
  }

  #wait<T>(timeoutMs: number, what: string, attach: (resolve: (value: T) => void) => () => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failed !== null) {
        reject(this.#failed);
        return;
      }
      let detach = (): void => undefined;
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        detach();
        this.#onFail.delete(onFail);
        act();
      };
      const onFail = (error: Error): void => settle(() => reject(error));
      const timer = setTimeout(() => onFail(new Error(`bench: no sign of ${what} within ${timeoutMs} ms`)), timeoutMs);
      this.#onFail.add(onFail);
      detach = attach((value) => settle(() => resolve(value))) as () => void;
    });
  }
}
