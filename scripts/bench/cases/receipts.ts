import { label, largest, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { joinUpToDate } from "../join-room.ts";
import type { MeasuredServer } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import type { Vault } from "../vaults.ts";

const LATENCY: Metric = { name: "isolated edit until the author knows it is durable", unit: "ms", better: "lower", aim: "≤ 20 ms", met: atMost(20) };
const ROWS: Metric = { name: "… rows written per isolated edit", unit: "rows", better: "lower", aim: "1", met: atMost(1) };
const DISK_BYTES: Metric = { name: "… bytes written to disk per isolated edit", unit: "KB", better: "lower" };
/** Longer than our commit window and the baseline's debounce, so that no edit shares a write with another. */
const APART_MS = 2_600;

/** Edits far apart. The baseline sends no receipts; the bench's own room tells its clients when a snapshot is on disk. */
export const receiptsCase: BenchCase = {
  name: "receipts",
  async run(context) {
    const vault = context.vault(largest(context), "one");
    for (const measured of serversOf(context, "ours", "baseline")) await measure(context, measured, vault);
  },
};

async function measure(context: BenchContext, measured: MeasuredServer, vault: Vault): Promise<void> {
  await measured.seed([vault]);
  const server = await measured.start();
  const client = await joinUpToDate(server, vault);
  const typist = new Typist();
  client.sendUpdate(typist.type("warm up"));
  await server.untilDurable(vault.name, client);
  const setting = label(vault.megabytes);
  const edits = context.quick ? 3 : 10;
  const before = await server.counters(vault.name);
  const diskBefore = server.process.diskBytesWritten();
  for (let edit = 0; edit < edits; edit++) {
    await sleep(APART_MS);
    const update = typist.type("i");
    const sentAt = performance.now();
    // The wait begins before the edit leaves: a receipt may come within the same tick of the loop.
    const saved = measured.kind === "baseline" ? client.waitText((message) => message["type"] === "bench/saved") : null;
    client.sendUpdate(update);
    const knownAt = await (saved ?? client.waitReceipt());
    context.recorder.add("receipts", LATENCY, setting, measured.kind, knownAt - sentAt);
  }
  await server.untilDurable(vault.name, client);
  const after = await server.counters(vault.name);
  if (before.rowsWritten !== null && after.rowsWritten !== null) {
    context.recorder.add("receipts", ROWS, setting, measured.kind, (after.rowsWritten - before.rowsWritten) / edits);
  }
  context.recorder.add("receipts", DISK_BYTES, setting, measured.kind, (server.process.diskBytesWritten() - diskBefore) / edits / 1000);
  await server.stop();
}
