import { BenchClient } from "../client.ts";
import { label, middle, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { currentVector } from "../join-room.ts";
import type { MeasuredServer } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import type { Vault } from "../vaults.ts";

const TIME: Metric = { name: "up-to-date client reconnects, fresh process", unit: "ms", better: "lower", aim: "≤ 40 ms", met: atMost(40) };
const BYTES_IN: Metric = { name: "… bytes in", unit: "KB", better: "lower" };
const ROWS: Metric = { name: "up-to-date client reconnects again: rows written", unit: "rows", better: "lower", aim: "0", met: atMost(0) };
/** Longer than a commit window, so that rows a reconnect causes have been written. */
const SETTLE_MS = 1_500;

/** Connect, step 1 with the full vector, answer the server's step 1 with all deletions, until the server's step 2 is there. */
export const reconnectCase: BenchCase = {
  name: "reconnect",
  async run(context) {
    const vaults = [...context.sizes.map((size) => context.vault(size, "one")), context.vault(middle(context), "many")];
    const servers = serversOf(context, "ours", "baseline");
    for (const measured of servers) await measured.seed(vaults);
    for (const vault of vaults) {
      const setting = vault.form === "one" ? label(vault.megabytes) : `${label(vault.megabytes)}, many importers`;
      const vectors = new Map<MeasuredServer, Uint8Array>();
      for (const measured of servers) vectors.set(measured, await rowsOfSecondReconnect(context, measured, vault, setting));
      for (let run = 0; run < context.runs; run++) {
        for (const [measured, vector] of vectors) await reconnectOnce(context, measured, vault, vector, setting);
      }
    }
  },
};

async function reconnectOnce(context: BenchContext, measured: MeasuredServer, vault: Vault, vector: Uint8Array, setting: string): Promise<void> {
  const server = await measured.start();
  const { client, result } = await BenchClient.connectAndSync(server.url(vault.name), vector, vault.upToDateAnswer);
  context.recorder.add("reconnect", TIME, setting, measured.kind, result.ms);
  context.recorder.add("reconnect", BYTES_IN, setting, measured.kind, result.bytesIn / 1000);
  client.terminate();
  await server.stop();
}

async function rowsOfSecondReconnect(context: BenchContext, measured: MeasuredServer, vault: Vault, setting: string): Promise<Uint8Array> {
  const server = await measured.start();
  const vector = await currentVector(server, vault);
  const reconnect = async (): Promise<number | null> => {
    const { client } = await BenchClient.connectAndSync(server.url(vault.name), vector, vault.upToDateAnswer);
    await server.untilDurable(vault.name, client);
    await client.close();
    await sleep(SETTLE_MS);
    return (await server.counters(vault.name)).rowsWritten;
  };
  const first = await reconnect();
  const second = await reconnect();
  if (first !== null && second !== null) context.recorder.add("reconnect", ROWS, setting, measured.kind, second - first);
  await server.stop();
  return vector;
}
