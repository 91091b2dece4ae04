import { BenchClient } from "../client.ts";
import { label, largest, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { HeapWatch } from "../inspector.ts";
import { EMPTY_UPDATE } from "../join-room.ts";
import type { MeasuredServer, Running } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import { EMPTY_VECTOR } from "../wire.ts";
import type { Vault } from "../vaults.ts";

/** The aim is stated for a vault of this size; smaller runs take their largest. */
const FULL_SIZE_MB = 40;
const POLL_MS = 10;
const EDITS = 200;
const phaseMetric = (phase: string): Metric => ({ name: `isolate heap + buffers, peak: ${phase}`, unit: "MB", better: "lower", aim: "≤ 96 MB", met: atMost(96) });

/**
 * Used heap and backing stores through a vault's life, read by the inspector between turns. It sees what is held from turn to turn and what
 * is not yet collected, not the inside of one turn; the memory case sees that.
 */
export const heapCase: BenchCase = {
  name: "heap",
  async run(context) {
    const vault = context.vault(context.quick || largest(context) < 31 ? largest(context) : FULL_SIZE_MB, "one");
    for (const measured of serversOf(context, "ours", "baseline")) await measure(context, measured, vault);
  },
};

async function measure(context: BenchContext, measured: MeasuredServer, vault: Vault): Promise<void> {
  const server = await measured.elsewhere("heap").start({ inspector: true });
  const port = server.process.inspectorPort;
  if (port === null) throw new Error("bench: no inspector");
  // The first touch of a room makes the isolate show up in the inspector.
  await server.counters("heap-warm-up");
  const watch = await HeapWatch.attach(port, POLL_MS);
  watch.phase("seed");
  await server.seed(vault);
  watch.phase("edits");
  await editAwhile(server, vault);
  watch.phase("checkpoint");
  if (measured.kind === "ours") await server.compact(vault.name);
  await sleep(500);
  watch.phase("join");
  const { client } = await BenchClient.connectAndSync(server.url(vault.name), EMPTY_VECTOR, EMPTY_UPDATE);
  await sleep(500);
  await client.close();
  for (const [phase, bytes] of watch.stop()) {
    if (bytes > 0) context.recorder.add("heap", phaseMetric(phase), label(vault.megabytes), measured.kind, bytes / 1_000_000);
  }
  await server.stop();
}

async function editAwhile(server: Running, vault: Vault): Promise<void> {
  const client = await BenchClient.open(server.url(vault.name));
  const typist = new Typist();
  for (let i = 0; i < EDITS; i++) {
    client.sendUpdate(typist.type("a few words "));
    await sleep(10);
  }
  await server.untilDurable(vault.name, client);
  await client.close();
}
