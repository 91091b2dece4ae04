import { BenchClient } from "../client.ts";
import { label, largest, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { currentVector, EMPTY_UPDATE } from "../join-room.ts";
import type { MeasuredServer, Running } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import { EMPTY_VECTOR } from "../wire.ts";
import type { Vault } from "../vaults.ts";

const megabytes = (bytes: number): number => bytes / 1_000_000;
const peak = (what: string, limit: number): Metric => ({ name: `process growth, peak: ${what}`, unit: "MB", better: "lower", aim: `≤ ${limit} MB`, met: atMost(limit) });
const EDIT = peak("up-to-date client and an edit", 24);
const ONE = peak("one empty joiner", 110);
const FIVE = peak("five empty joiners at once", 140);
const KEPT: Metric = { name: "… still held 5 s after one joiner left", unit: "MB", better: "lower" };
const GIVEN_BACK_MS = 5_000;

/** Growth over a workerd that has loaded the Worker and touched no room, by VmHWM: what the operating system saw. */
export const memoryCase: BenchCase = {
  name: "memory",
  async run(context) {
    const vault = context.vault(largest(context), "one");
    for (const measured of serversOf(context, "ours", "baseline")) {
      await measured.seed([vault]);
      const vector = await learnVector(measured, vault);
      for (let run = 0; run < Math.min(context.runs, 3); run++) {
        await growth(context, measured, vault, EDIT, (server) => editOnce(server, vault, vector));
        await growth(context, measured, vault, ONE, (server) => joinEmpty(server, vault, 1), KEPT);
        await growth(context, measured, vault, FIVE, (server) => joinEmpty(server, vault, 5));
      }
    }
  },
};

async function growth(context: BenchContext, measured: MeasuredServer, vault: Vault, metric: Metric, act: (server: Running) => Promise<void>, kept?: Metric): Promise<void> {
  const server = await measured.start();
  const before = server.process.memory().now;
  await act(server);
  context.recorder.add("memory", metric, label(vault.megabytes), measured.kind, megabytes(server.process.memory().peak - before));
  if (kept !== undefined) {
    await sleep(GIVEN_BACK_MS);
    context.recorder.add("memory", kept, label(vault.megabytes), measured.kind, megabytes(server.process.memory().now - before));
  }
  await server.stop();
}

async function editOnce(server: Running, vault: Vault, vector: Uint8Array): Promise<void> {
  const { client } = await BenchClient.connectAndSync(server.url(vault.name), vector, vault.upToDateAnswer);
  client.sendUpdate(new Typist().type("m"));
  await server.untilDurable(vault.name, client);
  await client.close();
}

async function joinEmpty(server: Running, vault: Vault, count: number): Promise<void> {
  const joined = await Promise.all(Array.from({ length: count }, () => BenchClient.connectAndSync(server.url(vault.name), EMPTY_VECTOR, EMPTY_UPDATE)));
  for (const { client } of joined) await client.close();
}

async function learnVector(measured: MeasuredServer, vault: Vault): Promise<Uint8Array> {
  const server = await measured.start();
  const vector = await currentVector(server, vault);
  await server.stop();
  return vector;
}
