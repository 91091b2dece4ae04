/**
 * What the codec costs and what its output costs a client, on vaults shaped as the update laws describe them (V1, V14: notes
 * of 4 KB, 40 edits each, all notes created by one client). Run: node scripts/bench-codec.ts [--vaults V1,V14] [--seed 1]
 */

import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import * as Y from "yjs";
import { planFrame } from "../src/update/assemble.ts";
import type { Chunk, Source } from "../src/update/chunk.ts";
import { type DeleteSet, DeleteSetBuilder, encodeDeleteSet } from "../src/update/delete-set.ts";
import { readUpdate } from "../src/update/reader.ts";
import { rewrite, rewriteSteps } from "../src/update/rewrite.ts";

const MIB = 1024 * 1024;
const CHUNK_BYTES = MIB;
const NOTE_CHARS = 4_000;
const EDITS_PER_NOTE = 40;
const VAULTS: Record<string, { notes: number; clients: number }> = {
  V1: { notes: 260, clients: 12 },
  V14: { notes: 2_600, clients: 50 },
  V34: { notes: 6_200, clients: 60 },
};

const { values: args } = parseArgs({
  options: { vaults: { type: "string", default: "V1,V14" }, seed: { type: "string", default: "1" }, rounds: { type: "string", default: "3" } },
});
const rounds = Number(args.rounds);

if (isMainThread) {
  for (const name of args.vaults.split(",")) {
    const shape = VAULTS[name];
    if (shape === undefined) throw new Error(`Cannot make vault ${name}: known are ${Object.keys(VAULTS).join(", ")}`);
    await bench(name, makeVault(shape.notes, shape.clients, Number(args.seed)));
  }
} else {
  // A thread of its own has compiled nothing yet, as a room that has just woken.
  const state = workerData as Uint8Array;
  const deletes = deletesOf([state]);
  parentPort!.postMessage(Array.from({ length: rounds + 1 }, () => stepsOf([{ bytes: state, runs: null }], deletes)));
}

interface Vault {
  /** Every update as it came. */
  log: Uint8Array[];
  /** Yjs's own encoding of the whole. */
  state: Uint8Array;
}

function makeVault(noteCount: number, clientCount: number, seed: number): Vault {
  let counter = seed >>> 0;
  const below = (limit: number): number => {
    counter = (Math.imul(counter, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((counter / 2 ** 32) * limit);
  };
  const doc = new Y.Doc();
  const clients = Array.from({ length: clientCount }, () => 1 + below(0xffff_fffe));
  const log: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => log.push(update));
  const notes = doc.getMap<Y.Text>("notes");
  doc.clientID = clients[0]!;
  for (let n = 0; n < noteCount; n++) notes.set(`note-${n}.md`, new Y.Text("lorem ipsum dolor sit ".repeat(NOTE_CHARS / 22)));
  for (let n = 0; n < noteCount; n++) {
    const text = notes.get(`note-${n}.md`)!;
    for (let edit = 0; edit < EDITS_PER_NOTE; edit++) {
      doc.clientID = clients[below(clientCount)]!;
      const at = below(text.length - 10);
      if (below(10) < 6) text.insert(at, "another ");
      else text.delete(at, 1 + below(8));
    }
  }
  return { log, state: Y.encodeStateAsUpdate(doc) };
}

async function bench(name: string, { log, state }: Vault): Promise<void> {
  const logBytes = log.reduce((sum, update) => sum + update.length, 0);
  const deletes = deletesOf([state, ...log]);
  const encodedDeletes = encodeDeleteSet(deletes);
  console.log(`${name}: state ${mib(state.length)} MiB, log ${mib(logBytes)} MiB in ${log.length} updates, delete set ${encodedDeletes.length} B in ${deletes.rangeCount} ranges`);
  report("read state", state.length, time(() => readUpdate(state, {})));
  const fromState: Source[] = [{ bytes: state, runs: null }];
  const fromLog: Source[] = log.map((bytes) => ({ bytes, runs: null }));
  let chunks: Chunk[] = [];
  report("rewrite state", state.length, time(() => (chunks = rewrite(fromState, { deletes, chunkBytes: CHUNK_BYTES }))));
  const [cold, ...warm] = await inNewThread(state);
  const pair = (of: (steps: Steps) => number): string => `${of(cold!).toFixed(1)} ms cold, ${median(warm.map(of)).toFixed(1)} ms warm`;
  console.log(`  longest of ${cold!.count} steps:   ${pair((steps) => steps.longestCpuMs)} of processor time; ${pair((steps) => steps.longestMs)} by the clock`);
  report("rewrite chunks", sizeOf(chunks), time(() => rewrite(chunks, { deletes, chunkBytes: CHUNK_BYTES })));
  report("rewrite log", logBytes, time(() => (chunks = rewrite(fromLog, { deletes, chunkBytes: CHUNK_BYTES }))));
  const journal = journalOf(fromLog, MIB);
  report("rewrite 1 MiB of log", MIB, time(() => rewrite(journal, { deletes, chunkBytes: CHUNK_BYTES })));

  const parts = chunks.map((chunk, id) => ({ id, runs: chunk.runs }));
  let frame = state;
  const build = (): void => {
    frame = planFrame(parts, () => 0).create(encodedDeletes, (id) => chunks[id]!.bytes);
  };
  report("assemble", sizeOf(chunks), time(build));
  console.log(`  ${chunks.length} chunks, ${parts.reduce((sum, part) => sum + part.runs.length, 0)} runs, frame ${mib(frame.length)} MiB`);

  let loadedYjs = new Y.Doc();
  let loadedOurs = new Y.Doc();
  const yjs = time(() => Y.applyUpdate((loadedYjs = new Y.Doc()), state));
  const ours = time(() => Y.applyUpdate((loadedOurs = new Y.Doc()), frame));
  report("client loads Yjs's", state.length, yjs);
  report("client loads ours", frame.length, ours);
  const isSame = Buffer.compare(Y.encodeStateAsUpdate(loadedYjs), Y.encodeStateAsUpdate(loadedOurs)) === 0;
  console.log(`  client: ours / Yjs's = ${(ours / yjs).toFixed(2)}, re-encoding ${isSame ? "identical" : "DIFFERENT"}`);
}

interface Steps {
  count: number;
  /** By the clock, and in the thread's own processor time, which a busy machine does not stretch. */
  longestMs: number;
  longestCpuMs: number;
}

/** How long the steps of one rewrite take. */
function stepsOf(sources: readonly Source[], deletes: DeleteSet): Steps {
  const steps = rewriteSteps(sources, { deletes, chunkBytes: CHUNK_BYTES });
  const found: Steps = { count: 0, longestMs: 0, longestCpuMs: 0 };
  for (let isDone = false; !isDone; found.count++) {
    const start = performance.now();
    const cpuStart = process.threadCpuUsage();
    isDone = steps.next().done === true;
    const cpu = process.threadCpuUsage(cpuStart);
    found.longestMs = Math.max(found.longestMs, performance.now() - start);
    found.longestCpuMs = Math.max(found.longestCpuMs, (cpu.user + cpu.system) / 1000);
  }
  return found;
}

/** The first round is cold, the others are not. */
function inNewThread(state: Uint8Array): Promise<Steps[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: state, argv: process.argv.slice(2) });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function deletesOf(updates: readonly Uint8Array[]): DeleteSet {
  const builder = new DeleteSetBuilder();
  for (const update of updates) readUpdate(update, { deleteRange: (client, clock, length) => builder.add(client, clock, length) });
  return builder.build();
}

/** The end of the log, about that many bytes: edits, not the import. */
function journalOf(log: readonly Source[], bytes: number): Source[] {
  let size = 0;
  let first = log.length;
  while (first > 0 && size < bytes) size += log[--first]!.bytes.length;
  return log.slice(first);
}

/** Milliseconds of the best of several rounds. */
function time(body: () => void): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    body();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

function report(what: string, bytes: number, ms: number): void {
  console.log(`  ${what.padEnd(24)} ${ms.toFixed(1).padStart(9)} ms ${(bytes / 1e3 / ms).toFixed(0).padStart(6)} MB/s`);
}

function sizeOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}
