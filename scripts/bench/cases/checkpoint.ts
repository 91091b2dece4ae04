import type { BenchClient } from "../client.ts";
import { label, largest, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { joinUpToDate } from "../join-room.ts";
import { PauseProbe } from "../pause-probe.ts";
import type { MeasuredServer, Running } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import type { Vault } from "../vaults.ts";

const AMPLIFICATION: Metric = { name: "bytes bound to SQL per byte of edit, checkpoints included", unit: "×", better: "lower", aim: "≤ 6", met: atMost(6) };
const DISK_AMPLIFICATION: Metric = { name: "… bytes written to disk per byte of edit", unit: "×", better: "lower" };
const PAUSE: Metric = { name: "longest pause others see while edits are saved", unit: "ms", better: "lower", aim: "≤ 100 ms", met: atMost(100) };
const SAVE: Metric = { name: "checkpoint on demand (baseline: its snapshot)", unit: "ms", better: "lower" };
const SAVE_PAUSE: Metric = { name: "… longest pause others see meanwhile", unit: "ms", better: "lower", aim: "≤ 100 ms", met: atMost(100) };
const STEP: Metric = { name: "… longest turn of it, by the room's own clock", unit: "ms", better: "lower", aim: "≤ 100 ms", met: atMost(100) };
const EDIT_BYTES = 1_000;
const EDITS_PER_SECOND = 50;

/** A busy spell of half a megabyte of edits: what it costs storage in all, and what other clients notice of the saving. */
export const checkpointCase: BenchCase = {
  name: "checkpoint",
  async run(context) {
    const sizes = new Set([context.sizes[0] ?? 1, largest(context)]);
    for (const size of sizes) {
      const vault = context.vault(size, "one");
      for (const measured of serversOf(context, "ours", "baseline")) await measure(context, measured, vault);
    }
  },
};

async function measure(context: BenchContext, measured: MeasuredServer, vault: Vault): Promise<void> {
  await measured.seed([vault]);
  const server = await measured.start();
  const writer = await joinUpToDate(server, vault);
  const reader = await joinUpToDate(server, vault);
  const add = (metric: Metric, value: number | null): void => {
    if (value !== null) context.recorder.add("checkpoint", metric, label(vault.megabytes), measured.kind, value);
  };
  const before = await server.counters(vault.name);
  const diskBefore = server.process.diskBytesWritten();
  const typist = new Typist();
  const probe = new PauseProbe(reader, writer);
  await busySpell(writer, typist, context.quick ? 200 : 500);
  await server.untilDurable(vault.name, writer);
  // A checkpoint that the spell has made due runs on the alarm, shortly after.
  await sleep(3_000);
  add(PAUSE, await probe.stop());
  const after = await server.counters(vault.name);
  if (before.bytesWritten !== null && after.bytesWritten !== null) add(AMPLIFICATION, (after.bytesWritten - before.bytesWritten) / typist.bytes);
  add(DISK_AMPLIFICATION, (server.process.diskBytesWritten() - diskBefore) / typist.bytes);
  await busySpell(writer, typist, 50);
  await server.untilDurable(vault.name, writer);
  const saveProbe = new PauseProbe(reader, writer);
  add(SAVE, await saveNow(server, vault, writer, typist));
  add(SAVE_PAUSE, await saveProbe.stop());
  add(STEP, (await server.counters(vault.name)).longestStepMs);
  await server.stop();
}

async function busySpell(writer: BenchClient, typist: Typist, edits: number): Promise<void> {
  const startedAt = performance.now();
  for (let edit = 0; edit < edits; edit++) {
    writer.sendUpdate(typist.type(`${edit} `.padEnd(EDIT_BYTES, "lorem ")));
    await sleep(Math.max(0, startedAt + ((edit + 1) * 1000) / EDITS_PER_SECOND - performance.now()));
  }
}

/** Ours: the admin's checkpoint and compaction pass, as the caller sees it. The baseline: one more snapshot, as its room timed it. */
async function saveNow(server: Running, vault: Vault, writer: BenchClient, typist: Typist): Promise<number | null> {
  if (server.kind === "ours") {
    const startedAt = performance.now();
    await server.compact(vault.name);
    return performance.now() - startedAt;
  }
  writer.sendUpdate(typist.type("s"));
  await server.untilDurable(vault.name, writer);
  return (await server.counters(vault.name)).longestStepMs;
}
