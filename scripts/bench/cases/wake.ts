import type { BenchClient } from "../client.ts";
import { label, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { joinUpToDate } from "../join-room.ts";
import type { MeasuredServer, Running } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import type { Vault } from "../vaults.ts";

/** Local workerd evicts an object after 10 s without events (9.9 s no, 10.5 s yes). */
const EVICTION_MS = 11_000;
const METRIC: Metric = { name: "woken room relays one keystroke", unit: "ms", better: "lower", aim: "≤ 10 ms", met: atMost(10) };

interface Room {
  readonly vault: Vault;
  readonly writer: BenchClient;
  readonly reader: BenchClient;
  readonly typist: Typist;
}

/** Two clients stay connected while their room hibernates; then one types a character, and the other waits for it. */
export const wakeCase: BenchCase = {
  name: "wake",
  async run(context) {
    const vaults = context.sizes.map((size) => context.vault(size, "one"));
    for (const measured of serversOf(context, "ours", "baseline", "relay")) await measure(context, measured, vaults);
  },
};

async function measure(context: BenchContext, measured: MeasuredServer, vaults: readonly Vault[]): Promise<void> {
  await measured.seed(vaults);
  const server = await measured.start();
  const rooms: Room[] = [];
  for (const vault of vaults) {
    rooms.push({ vault, writer: await joinUpToDate(server, vault), reader: await joinUpToDate(server, vault), typist: new Typist() });
  }
  for (let run = 0; run < context.runs; run++) {
    const before = await settle(server, rooms);
    await sleep(EVICTION_MS);
    // Another room goes first every time: the first one also finds the process cold.
    const order = rooms.map((_, i) => rooms[(i + run) % rooms.length]).filter((room) => room !== undefined);
    for (const room of order) {
      const ms = await keystroke(room, `k${run}-${Math.random().toString(36).slice(2)}`);
      const woken = (await server.counters(room.vault.name)).instance !== before.get(room.vault.name);
      if (woken) context.recorder.add("wake", METRIC, label(room.vault.megabytes), measured.kind, ms);
      else context.log(`wake: ${measured.kind} ${room.vault.name} was not evicted, sample dropped`);
    }
  }
  await server.stop();
}

/** Everything on disk and no timer pending. Returns each room's instance. Asking is the last event before the silence. */
async function settle(server: Running, rooms: readonly Room[]): Promise<Map<string, string | null>> {
  const instances = new Map<string, string | null>();
  for (const { vault, writer } of rooms) await server.untilDurable(vault.name, writer);
  for (const { vault } of rooms) instances.set(vault.name, (await server.counters(vault.name)).instance);
  return instances;
}

async function keystroke({ writer, reader, typist }: Room, mark: string): Promise<number> {
  const update = typist.type(mark);
  const arrived = reader.waitFrame((_, raw) => raw.includes(mark), 30_000);
  const sentAt = performance.now();
  writer.sendUpdate(update);
  return (await arrived) - sentAt;
}
