import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BenchClient } from "../client.ts";
import { label, middle, serversOf, type BenchCase, type BenchContext } from "../context.ts";
import { EMPTY_UPDATE } from "../join-room.ts";
import type { MeasuredServer } from "../servers.ts";
import { atMost, median, type Metric, type ServerKind } from "../stats.ts";
import { EMPTY_VECTOR } from "../wire.ts";
import type { Vault } from "../vaults.ts";

const LAST_BYTE: Metric = { name: "empty client joins, fresh process: last byte", unit: "ms", better: "lower", aim: "≤ 250 ms", met: atMost(250) };
const BYTES: Metric = { name: "… bytes in", unit: "KB", better: "lower" };
const LOAD: Metric = { name: "… client's load time", unit: "ms", better: "lower" };
const RATIO: Metric = { name: "… load time against one Yjs frame", unit: "×", better: "lower", aim: "≤ 1.2 ×", met: atMost(1.2) };

/** An empty client joins; then a fresh process loads what it got, beside one that loads Yjs's own encoding of the same vault. */
export const joinCase: BenchCase = {
  name: "join",
  async run(context) {
    const vaults = [...context.sizes.map((size) => context.vault(size, "one")), context.vault(middle(context), "many")];
    const servers = serversOf(context, "ours", "baseline");
    for (const measured of servers) await measured.seed(vaults);
    for (const vault of vaults) {
      const setting = vault.form === "one" ? label(vault.megabytes) : `${label(vault.megabytes)}, many importers`;
      const served = new Map<ServerKind, readonly Uint8Array[]>();
      for (let run = 0; run < context.runs; run++) {
        for (const measured of servers) served.set(measured.kind, await joinOnce(context, measured, vault, setting));
      }
      measureClient(context, vault, setting, served);
    }
  },
};

async function joinOnce(context: BenchContext, measured: MeasuredServer, vault: Vault, setting: string): Promise<readonly Uint8Array[]> {
  const server = await measured.start();
  const { client, result } = await BenchClient.connectAndSync(server.url(vault.name), EMPTY_VECTOR, EMPTY_UPDATE);
  context.recorder.add("join", LAST_BYTE, setting, measured.kind, result.ms);
  context.recorder.add("join", BYTES, setting, measured.kind, result.bytesIn / 1000);
  client.terminate();
  await server.stop();
  return result.updates;
}

/** Takes turns between the servers and Yjs's own frame, so that a slow spell of the machine hits all of them. */
function measureClient(context: BenchContext, vault: Vault, setting: string, served: ReadonlyMap<ServerKind, readonly Uint8Array[]>): void {
  const dir = mkdtempSync(join(tmpdir(), "yaos-bench-load-"));
  const write = (name: string, updates: readonly Uint8Array[]): string[] =>
    updates.map((update, i) => {
      const file = join(dir, `${name}-${i}`);
      writeFileSync(file, update);
      return file;
    });
  try {
    const plain = write("yjs", [vault.whole]);
    const forms = [...served].map(([kind, updates]) => ({ kind, files: write(kind, updates), samples: [] as number[] }));
    const reference: number[] = [];
    for (let run = 0; run < context.runs; run++) {
      const expected = load(plain);
      reference.push(expected.ms);
      for (const form of forms) {
        const loaded = load(form.files);
        if (loaded.hash !== expected.hash) throw new Error(`bench: ${form.kind} served another vault than ${vault.name}`);
        form.samples.push(loaded.ms);
        context.recorder.add("join", LOAD, setting, form.kind, loaded.ms);
      }
    }
    for (const form of forms) context.recorder.add("join", RATIO, setting, form.kind, median(form.samples) / median(reference));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function load(files: readonly string[]): { ms: number; hash: string } {
  const script = join(import.meta.dirname, "..", "load-client.ts");
  return JSON.parse(execFileSync(process.execPath, [script, ...files], { encoding: "utf8" })) as { ms: number; hash: string };
}
