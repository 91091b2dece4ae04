import { BenchClient } from "../client.ts";
import { type BenchCase, serversOf } from "../context.ts";
import { Typist } from "../edits.ts";
import { asNumber, asRecord, type Running } from "../servers.ts";
import { atMost, type Metric, sleep } from "../stats.ts";

const requests = (name: string, most: number): Metric => ({ name, unit: "requests", better: "lower", aim: most === 0 ? "0" : `≤ ${most}`, met: atMost(most) });
const OWNER = requests("object requests per connect of the owner", 1);
const DEVICE = requests("object requests per connect of a device", 2);
const TICKET = requests("… with a ticket, the asking included", 3);
const WRONG = requests("object requests per connect with a wrong credential", 0);
const FIRST = requests("… once per room, in the background", 1);
const MESSAGE: Metric = { name: "object requests per message, a twentieth each", unit: "requests", better: "lower", aim: "≤ 0.05", met: atMost(0.05) };

const CONNECTS = 20;
const MESSAGES = 200;
/** Incoming messages billed as one request (Durable Objects pricing page). */
const MESSAGES_PER_REQUEST = 20;
/** What a room does in the background after a connect is done by then. */
const SETTLE_MS = 500;

/** What a connect and a message cost in requests, counted by the objects themselves. The token is `SYNC_TOKEN`; a claimed server adds one config read a minute. */
export const requestsCase: BenchCase = {
  name: "requests",
  async run(context) {
    for (const measured of serversOf(context, "ours")) {
      const server = await (await measured.counted()).start();
      const add = (metric: Metric, value: number): void => context.recorder.add("requests", metric, "token", measured.kind, value);
      const each = async (times: number, act: () => Promise<unknown>): Promise<number> => {
        const before = await objectRequests(server);
        for (let time = 0; time < times; time++) await act();
        await sleep(SETTLE_MS);
        return ((await objectRequests(server)) - before) / times;
      };
      const owner = server.url("requests");
      await server.useNewDevice();
      const device = server.url("requests");
      const wrong = new URL(owner);
      wrong.searchParams.set("token", "wrong");

      const first = await each(1, () => connectOnce(owner));
      const perConnect = await each(CONNECTS, () => connectOnce(owner));
      add(OWNER, perConnect);
      add(FIRST, first - perConnect);
      add(DEVICE, await each(CONNECTS, () => connectOnce(device)));
      add(TICKET, await each(CONNECTS, async () => connectOnce(await ticketUrl(server, device))));
      add(WRONG, await each(CONNECTS, () => connectOnce(wrong.href)));
      add(MESSAGE, await perMessage(server, owner));
      await server.stop();
    }
  },
};

async function connectOnce(url: string): Promise<void> {
  await (await BenchClient.open(url)).close();
}

async function perMessage(server: Running, url: string): Promise<number> {
  const client = await BenchClient.open(url);
  const typist = new Typist();
  const before = await counts(server);
  for (let n = 0; n < MESSAGES; n++) client.sendUpdate(typist.type("m"));
  await client.waitReceipt();
  const after = await counts(server);
  await client.close();
  const messages = after.messages - before.messages;
  return (after.requests - before.requests + messages / MESSAGES_PER_REQUEST) / MESSAGES;
}

/** The same door with a ticket for the credential in `url`. */
async function ticketUrl(server: Running, url: string): Promise<string> {
  const { ticket } = await server.post("/vault/requests/auth/ticket", new URL(url).searchParams.get("token") ?? "", {});
  const withTicket = new URL(url);
  withTicket.searchParams.delete("token");
  withTicket.searchParams.set("ticket", String(ticket));
  return withTicket.href;
}

async function objectRequests(server: Running): Promise<number> {
  return (await counts(server)).requests;
}

/** As the objects counted: requests into rooms and the config object, and messages into rooms. */
async function counts(server: Running): Promise<{ requests: number; messages: number }> {
  const raw = asRecord(await (await fetch(`http://127.0.0.1:${server.process.port}/bench/counts`)).json());
  const of = (name: string): number => asNumber(raw[name]) ?? Number.NaN;
  return { requests: of("roomRequests") + of("configRequests"), messages: of("roomMessages") };
}
