import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWorker } from "../../host/build.ts";
import { readWorkerIdentity, type WorkerIdentity } from "../../host/worker-identity.ts";
import { BenchClient } from "../client.ts";
import { label, largest, middle, type BenchCase, type BenchContext } from "../context.ts";
import { HeapWatch } from "../inspector.ts";
import { WorkerdProcess } from "../process.ts";
import { asNumber, asRecord } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";

const PROJECT_DIR = join(import.meta.dirname, "..", "..", "..");
const TOKEN = "bench-token-0123456789abcdef";
const POLL_MS = 5;
/** The aims for memory are stated for a vault of this size; smaller runs take their largest. */
const FULL_SIZE_MB = 40;
const HEAP_LIMIT_MB = 64;
const SQL_CHUNK_BYTES = 1024 * 1024;

const TIME: Metric = { name: "taking over a key-value journal (baseline: Y.Doc and whole snapshot)", unit: "ms", better: "lower" };
const ROWS: Metric = { name: "… rows written", unit: "", better: "lower" };
const DISK: Metric = { name: "… written to disk", unit: "MB", better: "lower" };
const FIRST_FRAME: Metric = { name: "… first frame of a client that comes first", unit: "ms", better: "lower" };
const peak = (of: string): Metric => ({ name: `isolate heap + buffers, peak: taking over ${of}`, unit: "MB", better: "lower", aim: `≤ ${HEAP_LIMIT_MB} MB`, met: atMost(HEAP_LIMIT_MB) });
const growth = (of: string): Metric => ({ name: `process growth, peak: taking over ${of}`, unit: "MB", better: "lower" });
const limited = (of: string): Metric => ({ name: `taking over ${of} with V8's heap held to ${HEAP_LIMIT_MB} MB`, unit: "ms", better: "lower" });

type Side = "ours" | "baseline";

/** A seeded data directory; every sample works on a copy. */
interface Seeded {
  readonly dir: string;
  readonly room: string;
  readonly megabytes: number;
  readonly setting: string;
  /** In words: what lies there. */
  readonly what: string;
}

interface LaunchFlags {
  readonly inspector?: boolean;
  readonly v8Flags?: readonly string[];
}

/** A vault an older server left, at its first open: ours against what the SQL generation of those servers does with the same storage. */
export const takeoverCase: BenchCase = {
  name: "takeover",
  async run(context) {
    const runDir = mkdtempSync(join(tmpdir(), "yaos-bench-takeover-"));
    const cleanUp = (): void => rmSync(runDir, { recursive: true, force: true });
    process.once("exit", cleanUp);
    try {
      await measure(context, new Bed(runDir));
    } finally {
      process.off("exit", cleanUp);
      cleanUp();
    }
  },
};

async function measure(context: BenchContext, bed: Bed): Promise<void> {
  await bed.build();
  const sides = (["ours", "baseline"] as const).filter((side) => context.servers.some((server) => server.kind === side));
  const journal = await bed.seedJournal(context, middle(context));
  for (let run = 0; run < Math.min(context.runs, 3); run++) {
    for (const side of sides) {
      await timeAndRows(context, bed, journal, side);
      await firstFrame(context, bed, journal, side);
    }
  }
  for (const side of sides) await memory(context, bed, journal, side);
  // The baseline needs more than five minutes for such a journal, and has nothing to move in the snapshot.
  if (!sides.includes("ours")) return;
  const full = context.quick || largest(context) < 31 ? largest(context) : FULL_SIZE_MB;
  for (const seeded of [await bed.seedJournal(context, full), await bed.seedSnapshot(context, full)]) {
    if (seeded.megabytes !== journal.megabytes || seeded.what !== journal.what) await memory(context, bed, seeded, "ours");
    await heldDown(context, bed, seeded);
  }
}

async function timeAndRows(context: BenchContext, bed: Bed, seeded: Seeded, side: Side): Promise<void> {
  const server = await bed.start(side, seeded);
  const before = server.diskBytesWritten();
  const { ms, rows } = await takeOver(server, seeded, side);
  context.recorder.add("takeover", TIME, seeded.setting, side, ms);
  context.recorder.add("takeover", ROWS, seeded.setting, side, rows);
  context.recorder.add("takeover", DISK, seeded.setting, side, (server.diskBytesWritten() - before) / 1_000_000);
  await server.kill();
}

async function firstFrame(context: BenchContext, bed: Bed, seeded: Seeded, side: Side): Promise<void> {
  const server = await bed.start(side, seeded);
  const at = `ws://127.0.0.1:${server.port}`;
  const startedAt = performance.now();
  const client = await BenchClient.open(side === "ours" ? `${at}/vault/sync/${seeded.room}?token=${TOKEN}&_pk=0123456789&schemaVersion=2` : `${at}/legacy/${seeded.room}?act=connect`);
  if (client.serverVector === null) await client.waitFrame((frame) => frame.kind === "step1");
  context.recorder.add("takeover", FIRST_FRAME, seeded.setting, side, performance.now() - startedAt);
  client.terminate();
  await server.kill();
}

async function memory(context: BenchContext, bed: Bed, seeded: Seeded, side: Side): Promise<void> {
  const server = await bed.start(side, seeded, { inspector: true });
  if (server.inspectorPort === null) throw new Error("bench: no inspector");
  // The first touch of a room makes the isolate show up in the inspector.
  await touch(server, side);
  const before = server.memory().now;
  const watch = await HeapWatch.attach(server.inspectorPort, POLL_MS);
  watch.phase("takeover");
  await takeOver(server, seeded, side);
  // One long turn answers no question before its end.
  await sleep(500);
  const bytes = watch.stop().get("takeover") ?? 0;
  context.recorder.add("takeover", peak(seeded.what), seeded.setting, side, bytes / 1_000_000);
  context.recorder.add("takeover", growth(seeded.what), seeded.setting, side, (server.memory().peak - before) / 1_000_000);
  await server.kill();
}

/** V8 ends the process when it needs more, and the case fails. */
async function heldDown(context: BenchContext, bed: Bed, seeded: Seeded): Promise<void> {
  const server = await bed.start("ours", seeded, { v8Flags: [`--max-heap-size=${HEAP_LIMIT_MB}`] });
  const { ms } = await takeOver(server, seeded, "ours");
  context.recorder.add("takeover", limited(seeded.what), seeded.setting, "ours", ms);
  await server.kill();
}

/** @throws when the vault is not taken over whole */
async function takeOver(server: WorkerdProcess, seeded: Seeded, side: Side): Promise<{ ms: number; rows: number }> {
  if (side === "baseline") {
    const answer = asRecord(await (await fetch(`http://127.0.0.1:${server.port}/legacy/${seeded.room}?act=migrate`, { method: "POST" })).json());
    return { ms: numberOf(answer["ms"]), rows: numberOf(answer["rows"]) };
  }
  for (;;) {
    const storage = asRecord((await debug(server, seeded.room))["storage"]);
    if (storage["mode"] === "moving") continue;
    if (storage["migrationStatus"] !== "migrated") throw new Error(`bench: not taken over: ${JSON.stringify(storage).slice(0, 1_000)}`);
    return { ms: numberOf(storage["migrationDurationMs"]), rows: numberOf(storage["rowsWritten"]) };
  }
}

async function touch(server: WorkerdProcess, side: Side): Promise<void> {
  if (side === "ours") await debug(server, "takeover-warm-up");
  else await fetch(`http://127.0.0.1:${server.port}/legacy/takeover-warm-up`, { method: "POST" });
}

async function debug(server: WorkerdProcess, room: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/__yaos/debug?vault=${room}`, { headers: { authorization: `Bearer ${TOKEN}` } });
  if (!answer.ok) throw new Error(`bench: debug answers ${answer.status}`);
  return asRecord(await answer.json());
}

function numberOf(value: unknown): number {
  const number = asNumber(value);
  if (number === null) throw new Error("bench: a figure is missing");
  return number;
}

/** Both Workers, under the same names, and the directories they work on. */
class Bed {
  readonly #runDir: string;
  readonly #own: WorkerIdentity = readWorkerIdentity(PROJECT_DIR);
  #copies = 0;

  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  async build(): Promise<void> {
    await buildWorker({ entry: join(PROJECT_DIR, this.#own.main), outDir: join(this.#runDir, "ours") });
    await buildWorker({ entry: join(import.meta.dirname, "..", "workers", "legacy.ts"), outDir: join(this.#runDir, "baseline") });
  }

  /** Starts one of them on a copy of what was seeded. */
  async start(side: Side, seeded: Seeded, flags: LaunchFlags = {}): Promise<WorkerdProcess> {
    const dataDir = join(this.#runDir, "copy");
    rmSync(dataDir, { recursive: true, force: true });
    cpSync(seeded.dir, dataDir, { recursive: true });
    return await this.#launch(side, dataDir, flags);
  }

  async seedJournal(context: BenchContext, megabytes: number): Promise<Seeded> {
    return await this.#seed("a journal", megabytes, "entry", context.legacyJournal(megabytes));
  }

  /** PR #51's layout: one update, in rows of 1 MiB. */
  async seedSnapshot(context: BenchContext, megabytes: number): Promise<Seeded> {
    const { whole } = context.vault(megabytes, "one");
    const rows = Array.from({ length: Math.ceil(whole.length / SQL_CHUNK_BYTES) }, (_, index) => whole.subarray(index * SQL_CHUNK_BYTES, (index + 1) * SQL_CHUNK_BYTES));
    return await this.#seed("an SQL snapshot", megabytes, "snapshot", rows);
  }

  async #seed(what: string, megabytes: number, act: string, bodies: readonly Uint8Array[]): Promise<Seeded> {
    const seeded: Seeded = { dir: join(this.#runDir, `seed-${this.#copies++}`), room: "legacy", megabytes, setting: label(megabytes), what };
    const server = await this.#launch("baseline", seeded.dir, {});
    for (const body of bodies) {
      const answer = await fetch(`http://127.0.0.1:${server.port}/legacy/${seeded.room}?act=${act}`, { method: "POST", body: new Uint8Array(body) });
      if (!answer.ok) throw new Error(`bench: seeding answers ${answer.status}`);
    }
    await sleep(100);
    await server.kill();
    return seeded;
  }

  async #launch(side: Side, dataDir: string, flags: LaunchFlags): Promise<WorkerdProcess> {
    mkdirSync(dataDir, { recursive: true });
    return await WorkerdProcess.launch({
      identity: this.#own,
      bundleDir: join(this.#runDir, side),
      dataDir,
      variables: side === "ours" ? { SYNC_TOKEN: TOKEN } : {},
      inspector: flags.inspector ?? false,
      v8Flags: flags.v8Flags ?? [],
    });
  }
}
