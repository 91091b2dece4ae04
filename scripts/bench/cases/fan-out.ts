import type { BenchClient } from "../client.ts";
import { serversOf, type BenchCase } from "../context.ts";
import { readTyped, Typist } from "../edits.ts";
import { joinSmall } from "../join-room.ts";
import type { Running } from "../servers.ts";
import type { Metric } from "../stats.ts";

const METRIC: Metric = {
  name: "one writer, keystrokes delivered",
  unit: "/s",
  better: "higher",
  aim: "≥ 0.8 × relay and ≥ 2 × baseline",
  met: ({ ours, baseline, relay }) => (ours === undefined || baseline === undefined || relay === undefined ? null : ours >= 0.8 * relay && ours >= 2 * baseline),
};
const READERS: readonly { readers: number; keystrokes: number }[] = [
  { readers: 1, keystrokes: 4_000 },
  { readers: 20, keystrokes: 2_000 },
  { readers: 200, keystrokes: 400 },
];

/**
 * One writer sends keystrokes as fast as it can; a delivery is a keystroke that reached a reader, alone or in a coalesced frame.
 * The clock stops when the last reader has the last one.
 */
export const fanOutCase: BenchCase = {
  name: "fan-out",
  async run(context) {
    const servers: Running[] = [];
    for (const measured of serversOf(context, "ours", "baseline", "relay")) servers.push(await measured.elsewhere("fan-out").start());
    for (const { readers, keystrokes } of READERS) {
      const count = context.quick ? Math.ceil(keystrokes / 4) : keystrokes;
      for (const server of servers) await deliveriesPerSecond(server, `warm-${readers}`, readers, count);
      // The servers take turns, so that a slow spell of the machine hits all of them.
      for (let run = 0; run < context.runs; run++) {
        for (const server of servers) {
          const rate = await deliveriesPerSecond(server, `fan-${readers}-${run}`, readers, count);
          context.recorder.add("fan-out", METRIC, `${readers} reader${readers === 1 ? "" : "s"}`, server.kind, rate);
        }
      }
    }
    for (const server of servers) await server.stop();
  },
};

async function deliveriesPerSecond(server: Running, room: string, readers: number, keystrokes: number): Promise<number> {
  await server.useNewDevice();
  const writer = await joinSmall(server, room);
  const clients: BenchClient[] = [];
  for (let i = 0; i < readers; i++) clients.push(await joinSmall(server, room));
  const typist = new Typist();
  const updates = Array.from({ length: keystrokes }, () => typist.type("k"));
  const endMark = `end-${Math.random().toString(36).slice(2)}`;
  updates.push(typist.type(endMark));
  const received: Uint8Array[] = [];
  clients[0]?.onFrame((frame) => {
    if (frame.kind === "update" || frame.kind === "step2") received.push(frame.body);
  });
  const arrivals = clients.map((client) => client.waitFrame((_, raw) => raw.includes(endMark)));
  const startedAt = performance.now();
  for (const update of updates) writer.sendUpdate(update);
  const lastArrival = Math.max(...(await Promise.all(arrivals)));
  if (readTyped(received) !== typist.written()) throw new Error(`bench: ${server.kind} did not deliver every keystroke`);
  await server.untilDurable(room, writer);
  for (const client of [writer, ...clients]) client.terminate();
  return (updates.length * readers * 1000) / (lastArrival - startedAt);
}
