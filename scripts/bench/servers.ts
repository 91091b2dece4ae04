/** The three servers behind one face: how to reach a room, ask for its counters, and know that everything sent is on disk. */
import { join } from "node:path";
import { buildWorker } from "../host/build.ts";
import { readWorkerIdentity, type WorkerIdentity } from "../host/worker-identity.ts";
import { BenchClient } from "./client.ts";
import { WorkerdProcess } from "./process.ts";
import { sleep, type ServerKind } from "./stats.ts";
import type { Vault } from "./vaults.ts";

const PROJECT_DIR = join(import.meta.dirname, "..", "..");
/** The platform closes on a larger frame, bytes; a little left for the frame's head. */
const MAX_FRAME_BYTES = 32 * 1024 * 1024 - 64;
const TOKEN = "bench-token-0123456789abcdef";

/** What a room says about itself. `null`: this server does not tell. */
export interface RoomCounters {
  readonly rowsWritten: number | null;
  /** Bytes of values bound to writing statements: commits and checkpoints, whole snapshots. */
  readonly bytesWritten: number | null;
  /** The longest turn of a checkpoint or compaction since the instance opened, ms. */
  readonly longestStepMs: number | null;
  /** Changes with every instance of the room: shows that an eviction really happened. */
  readonly instance: string | null;
  readonly raw: Record<string, unknown>;
}

/** One measured server kind with its data directory; processes come and go over the same data. */
export class MeasuredServer {
  readonly kind: ServerKind;
  readonly #identity: WorkerIdentity;
  readonly #bundleDir: string;
  readonly #runDir: string;
  readonly #seeded = new Set<string>();
  #dataDir: string;

  constructor(kind: ServerKind, identity: WorkerIdentity, bundleDir: string, runDir: string) {
    this.kind = kind;
    this.#identity = identity;
    this.#bundleDir = bundleDir;
    this.#runDir = runDir;
    this.#dataDir = join(runDir, kind);
  }

  /** Bundles the server by the launcher's own build. */
  static async build(kind: ServerKind, runDir: string): Promise<MeasuredServer> {
    const own = readWorkerIdentity(PROJECT_DIR);
    const bundleDir = join(runDir, `${kind}-bundle`);
    const entry = kind === "ours" ? join(PROJECT_DIR, own.main) : join(import.meta.dirname, "workers", `${kind}.ts`);
    await buildWorker({ entry, outDir: bundleDir });
    const identity = kind === "ours" ? own : { ...own, name: "bench", main: entry, objects: [{ binding: "ROOM", className: "BenchRoom" }] };
    return new MeasuredServer(kind, identity, bundleDir, runDir);
  }

  /** The same server over an empty data directory of its own. */
  elsewhere(name: string): MeasuredServer {
    const other = new MeasuredServer(this.kind, this.#identity, this.#bundleDir, this.#runDir);
    other.#dataDir = join(this.#runDir, `${this.kind}-${name}`);
    return other;
  }

  /** Ours with a counter at every object's door (`GET /bench/counts`), over an empty data directory. */
  async counted(): Promise<MeasuredServer> {
    const bundleDir = join(this.#runDir, "counted-bundle");
    await buildWorker({ entry: join(PROJECT_DIR, "test/worker/counted-worker.ts"), outDir: bundleDir });
    const counted = new MeasuredServer(this.kind, this.#identity, bundleDir, this.#runDir);
    counted.#dataDir = join(this.#runDir, "counted");
    return counted;
  }

  async start(options: { inspector?: boolean } = {}): Promise<Running> {
    const launched = await WorkerdProcess.launch({
      identity: this.#identity,
      bundleDir: this.#bundleDir,
      dataDir: this.#dataDir,
      variables: this.kind === "ours" ? { SYNC_TOKEN: TOKEN, YAOS_ENABLE_ADMIN_ROUTES: "1" } : {},
      inspector: options.inspector ?? false,
    });
    return new Running(this.kind, launched);
  }

  /** Makes sure the vaults lie durably in this server's data directory, sent over the wire. */
  async seed(vaults: readonly Vault[]): Promise<void> {
    const missing = this.kind === "relay" ? [] : vaults.filter((vault) => !this.#seeded.has(vault.name));
    if (missing.length === 0) return;
    const server = await this.start();
    for (const vault of missing) {
      await server.seed(vault);
      // Ours settles by itself within some seconds, a chunk a second; asking for the pass saves the bench the wait. The baseline has stored its best form already.
      if (this.kind === "ours") await server.compact(vault.name);
      this.#seeded.add(vault.name);
    }
    await server.stop();
  }
}

/** A running process of one server. */
export class Running {
  readonly kind: ServerKind;
  readonly process: WorkerdProcess;
  #credential = TOKEN;

  constructor(kind: ServerKind, launched: WorkerdProcess) {
    this.kind = kind;
    this.process = launched;
  }

  /** Where a client of `room` connects. */
  url(room: string): string {
    const at = `ws://127.0.0.1:${this.process.port}`;
    const connection = Math.random().toString(36).slice(2, 12).padEnd(10, "0");
    return this.kind === "ours" ? `${at}/vault/sync/${room}?token=${this.#credential}&_pk=${connection}&schemaVersion=2` : `${at}/room/${room}?_pk=${connection}`;
  }

  /** Ours only: clients come as a new device from now on, since connects are counted per credential and a bench makes many. */
  async useNewDevice(): Promise<void> {
    if (this.kind !== "ours") return;
    const { credential } = await this.post("/api/devices", TOKEN, { name: "bench", vault: null, mode: "rw" });
    if (typeof credential !== "string") throw new Error("bench: no credential for a device");
    this.#credential = credential;
  }

  /** Ours only: one call of its HTTP API. @throws unless it answers 2xx. */
  async post(path: string, credential: string, body: object): Promise<Record<string, unknown>> {
    const answer = await fetch(`http://127.0.0.1:${this.process.port}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`bench: POST ${path} answers ${answer.status}`);
    return asRecord(await answer.json());
  }

  async counters(room: string): Promise<RoomCounters> {
    const at = `http://127.0.0.1:${this.process.port}`;
    const path = this.kind === "ours" ? `/__yaos/debug?vault=${room}` : `/room/${room}`;
    const response = await fetch(at + path, { headers: { authorization: `Bearer ${TOKEN}` } });
    if (!response.ok) throw new Error(`bench: ${this.kind} answers ${response.status} for its counters`);
    const raw = (await response.json()) as Record<string, unknown>;
    return this.kind === "ours" ? ownCounters(raw) : comparisonCounters(raw);
  }

  /**
   * Ours only: a checkpoint and one compaction pass, asked for by the admin route.
   * @throws when the room says it failed: its time would say nothing.
   */
  async compact(room: string): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.process.port}/__yaos/compact?vault=${room}`, { method: "POST", headers: { authorization: `Bearer ${TOKEN}` } });
    if (!response.ok) throw new Error(`bench: compact answers ${response.status}`);
    const answer = asRecord(await response.json());
    if (answer["status"] === "failed") throw new Error(`bench: compact failed: ${JSON.stringify(answer)}`);
  }

  /**
   * Sends the vault in its causal updates, import first and edits later, each on disk before the next, and leaves. The baseline stores its
   * own re-encoding however the vault came, and splits its way through later edits for a minute: it gets one frame where one fits.
   */
  async seed(vault: Vault): Promise<void> {
    const client = await BenchClient.open(this.url(vault.name));
    const frames = this.kind === "baseline" && vault.whole.length < MAX_FRAME_BYTES ? [vault.whole] : vault.frames;
    for (const frame of frames) {
      client.sendUpdate(frame);
      await this.untilDurable(vault.name, client);
    }
    await client.close();
  }

  /** Resolves when everything `client` has sent is on disk. */
  async untilDurable(room: string, client: BenchClient): Promise<void> {
    if (this.kind === "relay") return;
    if (this.kind === "ours") {
      await client.waitReceipt();
      return;
    }
    // The baseline has no receipts. A presence frame comes back behind the updates sent before it; then its counters tell.
    const mark = `flush-${Math.random()}`;
    const flushed = client.waitFrame((frame, raw) => frame.kind === "awareness" && raw.includes(mark));
    client.sendAwareness(mark);
    await flushed;
    while ((await this.counters(room)).raw["dirty"] !== false) await sleep(50);
  }

  async stop(): Promise<void> {
    await this.process.kill();
  }
}

/** From our debug answer. A room counts from the moment its instance opened, so that moment names the instance. */
function ownCounters(raw: Record<string, unknown>): RoomCounters {
  const storage = asRecord(raw["storage"]);
  const checkpoints = asRecord(raw["checkpoints"]);
  const committed = asNumber(asRecord(raw["commits"])["bytes"]);
  const checkpointed = asNumber(checkpoints["bytesWritten"]);
  return {
    rowsWritten: asNumber(storage["rowsWritten"]),
    bytesWritten: committed === null || checkpointed === null ? null : committed + checkpointed,
    longestStepMs: asNumber(checkpoints["longestStepMs"]),
    instance: typeof storage["countedSince"] === "string" ? storage["countedSince"] : null,
    raw,
  };
}

/** From the counters of the two comparison workers; the relay has only an instance. */
function comparisonCounters(raw: Record<string, unknown>): RoomCounters {
  return {
    rowsWritten: asNumber(raw["rowsWritten"]),
    bytesWritten: asNumber(raw["bytesWritten"]),
    longestStepMs: asNumber(raw["lastSaveMs"]),
    instance: typeof raw["instance"] === "string" ? raw["instance"] : null,
    raw,
  };
}

export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function asNumber(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
