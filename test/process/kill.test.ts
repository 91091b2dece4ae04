/**
 * The promise, tested on the whole thing: an edit with a receipt survives the death of every process of the server.
 * Rounds: writers edit over real sockets, launcher and workerd get SIGKILL at a random moment, the writers are dropped with
 * their documents, the server starts again on the same data, and only a fresh, empty client looks. Content of all
 * earlier rounds is judged again after each kill.
 * `YAOS_TEST_BUNDLE` runs it against another build (one that sends receipts before the commit must fail);
 * `YAOS_TEST_SEED` repeats a failure.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import * as Y from "yjs";
import { type HostProcess, killStartedHosts, startHost } from "../kit/host-process.ts";
import { LoggedWriter } from "../kit/logged-writer.ts";
import { Random } from "../kit/random.ts";
import { YaosClient } from "../kit/yaos-client.ts";

const SEED = Number(process.env["YAOS_TEST_SEED"] ?? 20261121);
const MIN_KILLS = 20;
const MIN_RECEIPTS = 1_000;
const VAULTS = ["alpha", "beta/with slash", "gämma", "delta", "epsilon", "zeta", "eta", "theta"];
const WRITERS_PER_VAULT = 6;
/** Load: so many edits by random writers every tick, about 500 a second. */
const TICK_MS = 6;
const EDITS_PER_TICK = 3;

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-kill-"));
});
afterEach(() => {
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

/** What one vault's writers of all rounds were told. Their sockets are closed; only their memory is kept, to judge by. */
type Witnesses = Map<string, LoggedWriter[]>;

it("[RC4] [HO7] keeps every receipted edit over SIGKILLs at random moments", async () => {
  const random = new Random(SEED);
  const witnesses: Witnesses = new Map(VAULTS.map((vault) => [vault, []]));
  let kills = 0;
  let receipts = 0;
  let sent = 0;
  let unreceipted = 0;

  while (kills < MIN_KILLS || receipts < MIN_RECEIPTS) {
    const host = await startHost({ dataDir });
    await judgeAll(host, witnesses, kills);
    const round = await writeUntilKilled(host, kills, random);
    for (const { vault, writer } of round.writers) {
      witnesses.get(vault)?.push(writer);
      sent += writer.client.sentFrames;
      unreceipted += writer.client.sentFrames - writer.client.durableFrames;
    }
    receipts += round.receipts;
    kills++;
  }

  const host = await startHost({ dataDir });
  await judgeAll(host, witnesses, kills);
  await host.stop();
  console.log(`seed ${SEED}: ${kills} kills, ${receipts} receipts, ${sent} frames sent, ${unreceipted} of them not receipted`);
  // Kills that never met an edit on its way would prove nothing.
  expect(unreceipted).toBeGreaterThan(kills);
});

/**
 * One round of writing: ends with the server's whole process group killed, after a random number of receipts and then a
 * random number of further edits, so that the moment falls anywhere between an edit, its commit and its receipt.
 */
async function writeUntilKilled(host: HostProcess, round: number, random: Random) {
  const receiptsToKill = random.int(20, 110);
  let editsToKill = random.int(0, 40);
  let receipts = 0;
  const onReceipt = () => {
    receipts++;
  };
  const writers = VAULTS.flatMap((vault) =>
    Array.from({ length: WRITERS_PER_VAULT }, (_, n) => {
      const options = { wsUrl: host.wsUrl, token: host.token, vault, onReceipt };
      return { vault, writer: new LoggedWriter(`${round}.${n}`, random, options) };
    }),
  );
  await Promise.all(writers.map(({ writer }) => writer.client.synced));

  await new Promise<void>((done) => {
    const load = setInterval(() => {
      for (let n = 0; n < EDITS_PER_TICK; n++) {
        if (receipts >= receiptsToKill && editsToKill-- <= 0) {
          clearInterval(load);
          done();
          return;
        }
        random.pick(writers).writer.edit();
      }
    }, TICK_MS);
  });
  await host.kill9Group();
  // Receipts that left before the kill still count: they may lie in the sockets' buffers.
  await Promise.all(writers.map(({ writer }) => writer.client.closed));
  return { writers, receipts };
}

/** Opens each vault with an empty client that sends nothing of its own and judges what it gets. */
async function judgeAll(host: HostProcess, witnesses: Witnesses, kills: number): Promise<void> {
  for (const [vault, writers] of witnesses) {
    if (writers.length === 0) continue;
    const doc = new Y.Doc();
    const fresh = new YaosClient({ wsUrl: host.wsUrl, token: host.token, vault, doc, readOnly: true });
    await fresh.synced;
    fresh.close();
    await fresh.closed;
    const where = `seed ${SEED}, after kill ${kills}, vault ${vault}`;
    expect(doc.store.pendingStructs, `${where}: structs that wait for missing ones`).toBeNull();
    expect(doc.store.pendingDs, `${where}: deletions of missing structs`).toBeNull();
    for (const writer of writers) {
      const verdict = writer.judge(doc);
      expect(verdict.kind, `${where}, writer ${writer.id}: ${JSON.stringify(verdict)}`).toBe("kept");
    }
    doc.destroy();
  }
}
