/**
 * The launcher as a test sees it: a child in its own process group, with workerd in it, on a free port. The caller
 * gives the data directory, so the same data can be served again after any kind of end.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const projectDir = join(import.meta.dirname, "../..");

export interface StartHostOptions {
  readonly dataDir: string;
  /** Added to a clean environment; `undefined` takes a default away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Arguments for the launcher, such as `--claim`. */
  readonly args?: readonly string[];
  /** Starts it as people do, `npm start`; the process is then npm. */
  readonly viaNpm?: boolean;
}

export interface HostProcess {
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  readonly wsUrl: string;
  /** The token it printed; empty when it printed none, as for a server that waits to be claimed. */
  readonly token: string;
  readonly port: number;
  /** The launcher, or npm above it; also the number of its process group. */
  readonly pid: number;
  readonly workerdPid: number;
  /** How the launcher ended: exit code or signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when every process that holds the launcher's output has ended: workerd, and the launcher below npm. */
  readonly allClosed: Promise<void>;
  /** SIGKILL for launcher and workerd at once; resolves when both are gone. */
  kill9Group(): Promise<void>;
  /** SIGTERM for the launcher; resolves with how it ended. */
  stop(): Promise<number | NodeJS.Signals>;
  /** Sends a signal to the launcher alone. */
  signal(signal: NodeJS.Signals): void;
  stdout(): string;
  stderr(): string;
}

/** A launcher that ended before it served, with everything it said. */
export class HostEndedError extends Error {
  override readonly name = "HostEndedError";
  readonly ended: number | NodeJS.Signals;
  readonly stderr: string;

  constructor(ended: number | NodeJS.Signals, stderr: string) {
    super(`The launcher ended with ${ended} before it served: ${stderr}`);
    this.ended = ended;
    this.stderr = stderr;
  }
}

/** Started hosts whose processes may still run; {@link killStartedHosts} ends what a failed test left. */
const started = new Set<ChildProcess>();

/**
 * Starts the launcher on the prebuilt bundle (`YAOS_TEST_BUNDLE`, or `dist/`) and waits until it serves.
 * @throws {HostEndedError} when it ends instead.
 */
export async function startHost(options: StartHostOptions): Promise<HostProcess> {
  const [program, args] = options.viaNpm === true ? ["npm", ["start"]] : [process.execPath, [join(projectDir, "scripts/start.ts"), ...(options.args ?? [])]];
  const child = spawn(program, args, {
    cwd: projectDir,
    detached: true, // a group of its own, so that a test can kill exactly this server
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      PORT: "0",
      YAOS_DATA_DIR: options.dataDir,
      YAOS_BUNDLE_DIR: process.env["YAOS_TEST_BUNDLE"] ?? join(projectDir, "dist"),
      ...options.env,
    },
  });
  started.add(child);
  const ended = once(child, "exit").then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  const closed = once(child, "close"); // workerd holds the pipes too: they close when both have ended

  let stdout = "";
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const welcomed = new Promise<void>((done) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      if (stdout.includes("Ctrl-C stops the server")) done();
    });
  });
  const failed = await Promise.race([welcomed, Promise.all([ended, closed])]);
  if (failed !== undefined) {
    started.delete(child);
    throw new HostEndedError(failed[0], stderr);
  }

  const url = /listens on (http:\S+)/.exec(stdout)?.[1] ?? "";
  const lock = JSON.parse(readFileSync(join(options.dataDir, "lock.json"), "utf8")) as { workerdPid: number };
  const pid = child.pid ?? 0;
  return {
    url,
    wsUrl: url.replace(/^http/, "ws"),
    token: /^ {2}token {2}(\S+)$/m.exec(stdout)?.[1] ?? "",
    port: Number(new URL(url).port),
    pid,
    workerdPid: lock.workerdPid,
    ended,
    allClosed: closed.then(() => {}),
    kill9Group: async () => {
      killGroup(pid);
      await closed;
      started.delete(child);
    },
    stop: async () => {
      child.kill("SIGTERM");
      const how = await ended;
      started.delete(child);
      return how;
    },
    signal: (signal) => child.kill(signal),
    stdout: () => stdout,
    stderr: () => stderr,
  };
}

/** For `afterEach`: ends every process group a test started and did not see end. */
export function killStartedHosts(): void {
  for (const child of started) killGroup(child.pid ?? 0);
  started.clear();
}

function killGroup(pid: number): void {
  try {
    if (pid > 0) process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
