/**
 * An older YAOS server as tests see it: our own stand-in for its Worker (see `worker/index.ts`), run by workerd over a data directory as our
 * launcher does, so that both open the same SQLite files, one after the other.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildWorker } from "../../../scripts/host/build.ts";
import { type SupervisedWorkerd, startWorkerd } from "../../../scripts/host/supervise.ts";
import { readWorkerIdentity } from "../../../scripts/host/worker-identity.ts";
import { writeWorkerdConfig } from "../../../scripts/host/workerd-config.ts";

/** Released server, `main` (both key-value) or PR #51. */
export type OldBuild = "1.6.1" | "main" | "sql";

export interface OldServerOptions {
  readonly dataDir: string;
  readonly build: OldBuild;
  readonly token: string;
  /** Pause before a save; real ones wait 2 s, at most 10. */
  readonly debounceMs?: number;
}

export interface OldServer {
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  readonly wsUrl: string;
  readonly token: string;
  /** `GET /vault/:id/debug/recent`. */
  debug(vault: string): Promise<OldDebug>;
  /** From now on a save stops between encoding and writing, until it is released. */
  holdSaves(vault: string): Promise<void>;
  releaseSaves(vault: string): Promise<void>;
  /** Ends workerd by SIGKILL: what it has not saved is gone. */
  kill(): Promise<void>;
}

/** The parts of the old debug answer tests look at; 1.6.1 has only the room's name. */
export interface OldDebug {
  readonly roomId: string;
  readonly persistence?: {
    readonly status: string;
    readonly successfulSaveCount: number;
    readonly failedSaveCount: number;
    readonly queuedSaveCount: number;
    readonly pendingPersistence: boolean;
    readonly lastSaveStartedAt: string | null;
    readonly lastSaveSucceededAt: string | null;
    readonly lastSaveFailedAt: string | null;
    readonly lastSaveError: string | null;
  };
  readonly storage?: { readonly mode: string; readonly migrationStatus: string; readonly migrationMeta: Readonly<Record<string, string>> | null };
}

const projectDir = join(import.meta.dirname, "../../..");
const COMPATIBILITY_DATE = "2026-03-02";
/** Far longer than a test run: one debounce decides. */
const MAX_WAIT_FACTOR = 5;

const started = new Set<SupervisedWorkerd>();
let bundle: Promise<string> | null = null;

/** Starts it over `dataDir`, which no other server may have open. */
export async function startOldServer(options: OldServerOptions): Promise<OldServer> {
  bundle ??= bundleOnce();
  const bundleDir = await bundle;
  const debounceMs = options.debounceMs ?? 20;
  const variables = {
    SYNC_TOKEN: options.token,
    OLD_BUILD: options.build,
    OLD_DEBOUNCE_MS: String(debounceMs),
    OLD_MAX_WAIT_MS: String(debounceMs * MAX_WAIT_FACTOR),
  };
  mkdirSync(options.dataDir, { recursive: true });
  const configFile = join(options.dataDir, "old-workerd.capnp");
  writeWorkerdConfig(configFile, {
    identity: { ...readWorkerIdentity(projectDir), compatibilityDate: COMPATIBILITY_DATE },
    bundleDir,
    objectsDir: options.dataDir,
    variableNames: Object.keys(variables),
    address: "127.0.0.1:0",
  });
  const workerd = startWorkerd(configFile, variables);
  started.add(workerd);
  const port = await Promise.race([workerd.listening, workerd.ended]);
  if (typeof port !== "number") throw new Error(`The old server's workerd ended before it listened: ${port}`);
  const url = `http://127.0.0.1:${port}`;
  const ask = async (vault: string, what: string): Promise<Response> => {
    const answer = await fetch(`${url}/vault/${encodeURIComponent(vault)}/${what}`, { headers: { authorization: `Bearer ${options.token}` } });
    if (!answer.ok) throw new Error(`old ${what} of ${vault}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  return {
    url,
    wsUrl: url.replace(/^http/, "ws"),
    token: options.token,
    debug: async (vault) => (await (await ask(vault, "debug/recent")).json()) as OldDebug,
    holdSaves: async (vault) => void (await ask(vault, "hold-saves")),
    releaseSaves: async (vault) => void (await ask(vault, "release-saves")),
    kill: async () => {
      process.kill(workerd.pid, "SIGKILL");
      await workerd.ended;
      started.delete(workerd);
    },
  };
}

/** For `afterEach`: ends what a failed test left. */
export function killOldServers(): void {
  for (const workerd of started) workerd.end();
  started.clear();
}

async function bundleOnce(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), "yaos-old-bundle-"));
  process.once("exit", () => rmSync(outDir, { recursive: true, force: true }));
  await buildWorker({ entry: join(import.meta.dirname, "worker/index.ts"), outDir });
  return outDir;
}
