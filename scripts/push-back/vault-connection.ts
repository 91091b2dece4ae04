/**
 * One connection to a vault in the form of the released plugins, `/vault/sync/<id>?token=&schemaVersion=` (compat sheet, 3.1, 3.3), for
 * updates as bytes. It takes whatever comes and sends only what it is told to: it does not answer the server's own question.
 */
import { randomBytes } from "node:crypto";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { type RawData, WebSocket } from "ws";
import { PushBackError } from "./push-back-error.ts";
import type { Timings } from "./timings.ts";

/** A vault on a server. */
export interface VaultAddress {
  /** `https://host`, as the plugin's settings have it. */
  readonly url: string;
  readonly vault: string;
  readonly token: string;
}

/** The room's schema is newer than what we announced. */
export class SchemaRefusedError extends PushBackError {
  /** Null when the server did not say. */
  readonly roomSchemaVersion: number | null;

  constructor(message: string, roomSchemaVersion: number | null) {
    super("schema-refused", message);
    this.roomSchemaVersion = roomSchemaVersion;
  }
}

const OUTER_SYNC = 0;
const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;
const CUSTOM_PREFIX = "__YPS:";
/** An old server answers with the whole vault in one frame. */
const MAX_FRAME_BYTES = 512 * 1024 * 1024;

export class VaultConnection {
  /** What the server said about itself that its owner should know, such as that part of the vault is damaged. */
  readonly notices = new Set<string>();

  readonly #address: VaultAddress;
  readonly #socket: WebSocket;
  readonly #timings: Timings;
  #serverVector: Uint8Array | null = null;
  #updates: Uint8Array[] = [];
  /** Why nothing can come any more. */
  #fault: PushBackError | null = null;
  /** Who waits for a frame. */
  #wake: (() => void) | null = null;
  #lastFrameMs = performance.now();
  #answers = 0;

  private constructor(address: VaultAddress, schemaVersion: number, timings: Timings) {
    this.#address = address;
    this.#timings = timings;
    const url = syncUrl(address, schemaVersion);
    const socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES, handshakeTimeout: timings.openMs });
    this.#socket = socket;
    socket.on("message", (data: RawData, isBinary: boolean) => {
      this.#lastFrameMs = performance.now();
      if (isBinary) this.#readBinary(new Uint8Array(data as Buffer));
      else this.#readText((data as Buffer).toString("utf8"));
      this.#wake?.();
    });
    socket.on("unexpected-response", (request, answer) => {
      this.#fail(new PushBackError("server-refused", `${address.url} answered the connection with ${answer.statusCode ?? 0}`));
      request.destroy();
    });
    socket.on("error", (cause) => this.#fail(new PushBackError("unreachable", `Cannot reach ${address.url}: ${cause.message}`, { cause })));
    socket.on("close", (code, reason) => this.#fail(this.#closeFault(code, reason.toString())));
  }

  /**
   * Connects, and waits until the server has said what it has.
   * @throws {SchemaRefusedError} when the room's schema is newer than `schemaVersion`
   * @throws {PushBackError}
   */
  static async open(address: VaultAddress, schemaVersion: number, timings: Timings): Promise<VaultConnection> {
    const connection = new VaultConnection(address, schemaVersion, timings);
    try {
      await connection.#until(() => connection.#serverVector !== null, timings.openMs, "its first frame");
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** The state vector the server began with, encoded. */
  get serverVector(): Uint8Array {
    return this.#serverVector ?? Uint8Array.of(0);
  }

  /**
   * Asks for what somebody with this state vector lacks, and returns every update that came up to the end of the answer.
   * Frames are taken in order, so the answer also says that what was pushed before has been taken in.
   */
  async ask(vector: Uint8Array): Promise<Uint8Array[]> {
    this.#updates = [];
    const seen = this.#answers;
    this.#send(STEP_1, vector);
    await this.#until(() => this.#answers > seen, this.#timings.answerMs, "its answer");
    return this.#updates;
  }

  push(update: Uint8Array): void {
    this.#send(UPDATE, update);
  }

  close(): void {
    this.#socket.terminate();
  }

  #send(inner: number, body: Uint8Array): void {
    if (this.#fault !== null) throw this.#fault;
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, OUTER_SYNC);
    encoding.writeVarUint(frame, inner);
    encoding.writeVarUint8Array(frame, body);
    this.#lastFrameMs = performance.now();
    this.#socket.send(encoding.toUint8Array(frame));
  }

  #readBinary(bytes: Uint8Array): void {
    try {
      this.#readFrame(bytes);
    } catch (cause) {
      this.#fail(new PushBackError("server-refused", `${this.#address.url} sent a frame that is not the sync protocol`, { cause }));
    }
  }

  #readFrame(bytes: Uint8Array): void {
    const frame = decoding.createDecoder(bytes);
    if (decoding.readVarUint(frame) !== OUTER_SYNC) return;
    const inner = decoding.readVarUint(frame);
    const body = decoding.readVarUint8Array(frame);
    if (inner === STEP_1) this.#serverVector ??= body.slice();
    else this.#updates.push(body);
    if (inner === STEP_2) this.#answers += 1;
  }

  #readText(text: string): void {
    const message = parse(text.startsWith(CUSTOM_PREFIX) ? text.slice(CUSTOM_PREFIX.length) : text);
    const { type, code, reason, error, roomSchemaVersion } = message;
    // At once: the close may take its time.
    if (type === "error" && typeof code === "string") this.#fail(this.#refusal(code, typeof roomSchemaVersion === "number" ? roomSchemaVersion : null));
    // The framework's own words when a room does not load: a stack, of which the first line says what is wrong.
    else if (typeof error === "string") this.#fail(this.#refusal(error.split("\n")[0] ?? "", null));
    else if (type === "yaos/degraded" && typeof reason === "string") this.notices.add(reason);
  }

  #refusal(code: string, roomSchemaVersion: number | null): PushBackError {
    const { url, vault } = this.#address;
    if (code === "unauthorized") return new PushBackError("wrong-token", `${url} does not accept the token for this vault`);
    if (code !== "update_required") return new PushBackError("server-refused", `${url} refused vault ${vault}: ${code}`);
    const room = roomSchemaVersion === null ? "" : ` (the vault's is ${roomSchemaVersion})`;
    return new SchemaRefusedError(`${url} refuses our schema version${room}: its vault was written by a newer plugin`, roomSchemaVersion);
  }

  #closeFault(code: number, reason: string): PushBackError {
    const notices = [...this.notices].map((notice) => `; it said: ${notice}`).join("");
    return new PushBackError("connection-lost", `${this.#address.url} closed the connection: ${code}${reason === "" ? "" : ` ${reason}`}${notices}`);
  }

  #fail(fault: PushBackError): void {
    this.#fault ??= fault;
    this.#wake?.();
  }

  /** @throws {PushBackError} when the connection ends before, or nothing comes for `silenceMs` */
  async #until(isMet: () => boolean, silenceMs: number, what: string): Promise<void> {
    while (!isMet()) {
      if (this.#fault !== null) throw this.#fault;
      const leftMs = this.#lastFrameMs + silenceMs - performance.now();
      if (leftMs <= 0) throw new PushBackError("timeout", `${this.#address.url} has not sent ${what} for ${Math.round(silenceMs / 1000)} s`);
      await new Promise<void>((done) => {
        const timer = setTimeout(done, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          done();
        };
      });
      this.#wake = null;
    }
  }
}

/** @throws {PushBackError} when the URL is none */
export function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) throw new PushBackError("usage", `Not the address of a server: ${url} (it begins with https:// or http://)`);
  return parsed.origin;
}

function syncUrl(address: VaultAddress, schemaVersion: number): string {
  const query = new URLSearchParams({ _pk: randomBytes(5).toString("hex"), schemaVersion: String(schemaVersion), token: address.token });
  return `${originOf(address.url).replace(/^http/, "ws")}/vault/sync/${encodeURIComponent(address.vault)}?${query}`;
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
