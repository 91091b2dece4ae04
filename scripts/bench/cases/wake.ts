import type { BenchClient } from "../client.ts";
import { label, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { Typist } from "../edits.ts";
import { joinUpToDate } from "../join-room.ts";
import type { Running } from "../servers.ts";
import { atMost, sleep, type Metric } from "../stats.ts";
import type { Vault } from "../vaults.ts";

/** Local workerd evicts an object after 10 s without events (9.9 s no, 10.5 s yes). */
const EVICTION_MS = 11_000;
const METRIC: Metric = { name: "woken room relays one keystroke", unit: "ms", better: "lower", aim: "≤ 10 ms", met: atMost(10) };

interface Room {
  readonly server: Running;
  readonly vault: Vault;
  readonly writer: BenchClient;
  readonly reader: BenchClient;
  readonly typist: Typist;
}

/**
 * Two clients stay connected while their room hibernates; then one types a character, and the other waits for it. All servers and vaults
 * share the silence, and are woken one after the other.
 */
export const wakeCase: BenchCase = {
  name: "wake",
  async run(context) {
    const vaults = context.sizes.map((size) => context.vault(size, "one"));
    const running: Running[] = [];
    const rooms: Room[] = [];
    for (const measured of serversOf(context, "ours", "baseline", "relay")) {
      await measured.seed(vaults);
      const server = await measured.start();
      running.push(server);
      for (const vault of vaults) {
        rooms.push({ server, vault, writer: await joinUpToDate(server, vault), reader: await joinUpToDate(server, vault), typist: new Typist() });
      }
    }
    for (let run = 0; run < context.runs; run++) await wakeAll(context, rooms, run);
    for (const server of running) await server.stop();
  },
};

async function wakeAll(context: BenchContext, rooms: readonly Room[], run: number): Promise<void> {
  const before = await settle(rooms);
  await sleep(EVICTION_MS);
  // Another room goes first every time: the first one of a server also finds its process cold.
  const order = rooms.map((_, i) => rooms[(i + run) % rooms.length]).filter((room) => room !== undefined);
  for (const room of order) {
    const ms = await keystroke(room, `k${run}-${Math.random().toString(36).slice(2)}`);
    const evicted = (await room.server.counters(room.vault.name)).instance !== before.get(room);
    if (evicted) context.recorder.add("wake", METRIC, label(room.vault.megabytes), room.server.kind, ms);
    else context.log(`wake: ${room.server.kind} ${room.vault.name} was not evicted, sample dropped`);
  }
}

/** Everything on disk and no timer pending. Returns each room's instance. Asking is the last event before the silence. */
async function settle(rooms: readonly Room[]): Promise<Map<Room, string | null>> {
  const instances = new Map<Room, string | null>();
  for (const { server, vault, writer } of rooms) await server.untilDurable(vault.name, writer);
  for (const room of rooms) instances.set(room, (await room.server.counters(room.vault.name)).instance);
  return instances;
}

async function keystroke({ writer, reader, typist }: Room, mark: string): Promise<number> {
  const update = typist.type(mark);
  const arrived = reader.waitFrame((_, raw) => raw.includes(mark), 30_000);
  const sentAt = performance.now();
  writer.sendUpdate(update);
  return (await arrived) - sentAt;
}
