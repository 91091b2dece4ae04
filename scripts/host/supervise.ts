/**
 * Starts workerd and ends it. It stays in our process group, so a Ctrl-C or a kill of the group reaches both.
 * workerd answers SIGTERM by draining and waits for open WebSockets without limit (tried), so SIGKILL follows soon:
 * storage is safe at any moment, one fsync per commit, and clients reconnect.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { SOCKET_NAME } from "./workerd-config.ts";

/** Time for answers under way to leave between SIGTERM and SIGKILL. */
const DRAIN_MS = 200;

export interface SupervisedWorkerd {
  readonly pid: number;
  /** Resolves with the port workerd listens on; never when it ends before that, so race it with `ended`. */
  readonly listening: Promise<number>;
  /** Resolves when workerd has ended, with how, such as "code 1" or "SIGKILL". */
  readonly ended: Promise<string>;
  /** Ends workerd whatever it is doing. Calling it again changes nothing. */
  end(): void;
}

/** @param environment what the Worker's `fromEnvironment` bindings read, besides what workerd itself needs. */
export function startWorkerd(configFile: string, environment: Readonly<Record<string, string>>): SupervisedWorkerd {
  const child = spawn(workerdBinary(), ["serve", configFile, "--import-path=/", "--control-fd=3"], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const ended = new Promise<string>((done) => {
    child.once("error", (error) => done(error.message)); // it never started
    child.once("exit", (code, signal) => done(signal ?? `code ${code}`));
  });
  return { pid: child.pid ?? -1, listening: listenedPort(child.stdio[3] as Readable), ended, end: () => endChild(child) };
}

/** The program itself, not the script npm links: that one would stay between us and workerd as another process. */
export function workerdBinary(): string {
  return (createRequire(import.meta.url)("workerd") as { default: string }).default;
}

function endChild(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  const killer = setTimeout(() => child.kill("SIGKILL"), DRAIN_MS);
  child.once("exit", () => clearTimeout(killer));
}

/** workerd writes one JSON line per socket to its control descriptor once it listens, with the port the system chose. */
function listenedPort(control: Readable): Promise<number> {
  return new Promise((done) => {
    createInterface(control).on("line", (line) => {
      const message = JSON.parse(line) as { event?: string; socket?: string; port?: number };
      if (message.event === "listen" && message.socket === SOCKET_NAME && message.port !== undefined) done(message.port);
    });
  });
}
