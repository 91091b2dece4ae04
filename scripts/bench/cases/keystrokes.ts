import { label, largest, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { joinUpToDate } from "../join-room.ts";
import type { MeasuredServer } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import type { Vault } from "../vaults.ts";

const KEYS_PER_SECOND = 5;
const ROWS: Metric = { name: "rows written per keystroke at 5 keys/s", unit: "rows", better: "lower", aim: "≤ 0.25", met: atMost(0.25) };
const VALUE_BYTES: Metric = { name: "… bytes bound to SQL per keystroke", unit: "B", better: "lower" };
const DISK_BYTES: Metric = { name: "… bytes written to disk per keystroke", unit: "B", better: "lower" };

/** Somebody types, one update per key, for half a minute: what storage costs, all included (checkpoints and deletes too). */
export const keystrokesCase: BenchCase = {
  name: "keystrokes",
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
  const client = await joinUpToDate(server, vault);
  const typist = new Typist();
  client.sendUpdate(typist.type("warm up"));
  await server.untilDurable(vault.name, client);
  const keys = KEYS_PER_SECOND * (context.quick ? 12 : 30);
  const before = await server.counters(vault.name);
  const diskBefore = server.process.diskBytesWritten();
  const startedAt = performance.now();
  for (let key = 0; key < keys; key++) {
    client.sendUpdate(typist.type("k"));
    await sleep(Math.max(0, startedAt + ((key + 1) * 1000) / KEYS_PER_SECOND - performance.now()));
  }
  await server.untilDurable(vault.name, client);
  const after = await server.counters(vault.name);
  const setting = label(vault.megabytes);
  const add = (metric: Metric, value: number): void => context.recorder.add("keystrokes", metric, setting, measured.kind, value);
  if (before.rowsWritten !== null && after.rowsWritten !== null) add(ROWS, (after.rowsWritten - before.rowsWritten) / keys);
  if (before.bytesWritten !== null && after.bytesWritten !== null) add(VALUE_BYTES, (after.bytesWritten - before.bytesWritten) / keys);
  add(DISK_BYTES, (server.process.diskBytesWritten() - diskBefore) / keys);
  await server.stop();
}
