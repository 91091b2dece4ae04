/** One workerd process under measurement: start on a data directory, memory and disk counters from /proc, kill. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { WorkerIdentity } from "../host/worker-identity.ts";
import { writeWorkerdConfig } from "../host/workerd-config.ts";
import { sleep } from "./stats.ts";

export interface LaunchOptions {
  readonly identity: WorkerIdentity;
  readonly bundleDir: string;
  readonly dataDir: string;
  readonly variables: Readonly<Record<string, string>>;
  /** Opens the inspector, for heap figures. Off otherwise: it slows the isolate. */
  readonly inspector: boolean;
  /** Flags for V8, such as `--max-heap-size=64`. */
  readonly v8Flags?: readonly string[];
}

const START_TIMEOUT_MS = 20_000;

export class WorkerdProcess {
  readonly port: number;
  readonly inspectorPort: number | null;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  #stopping = false;

  private constructor(child: ChildProcess, port: number, inspectorPort: number | null) {
    this.#child = child;
    this.port = port;
    this.inspectorPort = inspectorPort;
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        if (!this.#stopping && signal !== "SIGKILL") console.error(`bench: workerd ended by itself (${code ?? signal})`);
        resolve();
      });
    });
  }

  /** Starts workerd on free ports and returns once it answers HTTP. No room has been touched then. */
  static async launch(options: LaunchOptions): Promise<WorkerdProcess> {
    const port = await freePort();
    const inspectorPort = options.inspector ? await freePort() : null;
    const objectsDir = join(options.dataDir, "objects");
    mkdirSync(objectsDir, { recursive: true });
    const config = join(options.dataDir, "workerd.capnp");
    writeWorkerdConfig(config, {
      identity: options.identity,
      bundleDir: options.bundleDir,
      objectsDir,
      variableNames: Object.keys(options.variables),
      address: `127.0.0.1:${port}`,
      v8Flags: options.v8Flags ?? [],
    });
    const args = ["serve", config, "--import-path=/", "--experimental"];
    if (inspectorPort !== null) args.push(`--inspector-addr=127.0.0.1:${inspectorPort}`);
    // A process group of its own, so that nothing outlives a bench that is interrupted (see `endAll`).
    const child = spawn(workerdBinary(), args, { detached: true, stdio: ["ignore", process.env["YAOS_BENCH_LOG"] === undefined ? "ignore" : "inherit", "inherit"], env: { ...process.env, ...options.variables } });
    running.add(child);
    child.once("exit", () => running.delete(child));
    const launched = new WorkerdProcess(child, port, inspectorPort);
    await launched.#untilReady();
    return launched;
  }

  /** Resident memory now and at its highest since the start, bytes. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN) * 1024;
    return { now: field("VmRSS"), peak: field("VmHWM") };
  }

  /** Bytes this process has made the file system write, in pages. */
  diskBytesWritten(): number {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${this.#child.pid}/io`, "utf8"))?.[1] ?? Number.NaN);
  }

  /** SIGKILL: workerd drains for ever on SIGTERM while sockets are open, and what was durable stays so. */
  async kill(): Promise<void> {
    this.#stopping = true;
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  async #untilReady(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await (await fetch(`http://127.0.0.1:${this.port}/bench-ready`)).arrayBuffer();
        return;
      } catch (error) {
        if (performance.now() > deadline || this.#child.exitCode !== null) throw new Error("bench: workerd does not answer", { cause: error });
        await sleep(10);
      }
    }
  }
}

const running = new Set<ChildProcess>();

/** Ends every workerd this bench started; for exit handlers. */
export function endAll(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** The native binary, not its Node shim: the shim's process would be measured instead. */
function workerdBinary(): string {
  const loaded: unknown = createRequire(import.meta.url)("workerd");
  return (loaded as { default: string }).default;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  if (address === null || typeof address === "string") throw new Error("bench: no free port");
  return address.port;
}
