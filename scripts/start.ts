/**
 * `npm start`: serves the built Worker under workerd with its data on disk. Environment: `PORT`, `HOST`, `YAOS_DATA_DIR`,
 * `YAOS_BUNDLE_DIR` (skips the build), and the Worker's own variables. Needs no account and no network.
 * The npm script says `exec` because npm passes SIGTERM to its shell only: without it the shell would die and leave us.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { addressOf, assertListenable, urlHost } from "./host/address.ts";
import { buildWorker, endBundler } from "./host/build.ts";
import { HostError } from "./host/host-error.ts";
import { lockDataDir } from "./host/lock.ts";
import { readSettings } from "./host/settings.ts";
import { type SupervisedWorkerd, startWorkerd } from "./host/supervise.ts";
import { keptToken } from "./host/token.ts";
import { welcome } from "./host/welcome.ts";
import { readWorkerIdentity } from "./host/worker-identity.ts";
import { objectsDirOf, writeWorkerdConfig } from "./host/workerd-config.ts";

const projectDir = join(import.meta.dirname, "..");
/** Pause between two questions whether the Worker answers yet. */
const ANSWER_POLL_MS = 20;

let workerd: SupervisedWorkerd | undefined;
let stopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    stopping = true;
    workerd?.end();
  });
}

try {
  await serve();
} catch (error) {
  workerd?.end();
  if (!(error instanceof HostError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function serve(): Promise<void> {
  const settings = readSettings(process.env, projectDir);
  const identity = readWorkerIdentity(projectDir);
  const configFile = join(settings.dataDir, "workerd.capnp");
  mkdirSync(settings.dataDir, { recursive: true });

  const lock = await lockDataDir(settings.dataDir, configFile, (line) => console.error(line));
  try {
    await assertListenable(settings.host, settings.port);
    const bundleDir = settings.bundleDir ?? join(projectDir, "dist");
    if (settings.bundleDir === undefined) {
      await buildWorker({ entry: join(projectDir, identity.main), outDir: bundleDir });
      await endBundler();
    }

    const token = settings.variables["SYNC_TOKEN"]?.trim() ?? keptToken(settings.dataDir);
    const variables = { ...settings.variables, SYNC_TOKEN: token };
    writeWorkerdConfig(configFile, {
      identity,
      bundleDir,
      objectsDir: objectsDirOf(settings.dataDir),
      variableNames: Object.keys(variables),
      address: addressOf(settings.host, settings.port),
    });
    if (stopping) return;

    workerd = startWorkerd(configFile, variables);
    lock.noteWorkerd(workerd.pid);
    void announce(workerd, settings.host, token, settings.dataDir);
    const how = await workerd.ended;
    if (!stopping) throw new HostError(`workerd ended by itself (${how}); nothing receipted is lost, start again to go on`);
  } finally {
    lock.release();
  }
}

/** Prints the welcome once the Worker answers; says nothing when workerd ends first, since `serve` then does. */
async function announce(server: SupervisedWorkerd, host: string, token: string, dataDir: string): Promise<void> {
  const port = await Promise.race([server.listening, server.ended]);
  if (typeof port !== "number") return;
  const url = `http://${addressOf(urlHost(host), port)}`;
  let ended = false;
  void server.ended.then(() => (ended = true));
  while (!ended) {
    try {
      await (await fetch(`${url}/api/capabilities`)).body?.cancel(); // any answer will do
      console.log(welcome({ url, token, dataDir }));
      return;
    } catch {
      await new Promise((done) => setTimeout(done, ANSWER_POLL_MS));
    }
  }
}
