/**
 * `npm start`: serves the built Worker under workerd with its data on disk. Environment: `PORT`, `HOST`, `YAOS_DATA_DIR`, `YAOS_AUTH`,
 * `YAOS_BUNDLE_DIR` (skips the build), and the Worker's own variables. `npm start -- --claim` waits to be claimed in a browser.
 * Needs no account and no network.
 * The npm script says `exec` because npm passes SIGTERM to its shell only: without it the shell would die and leave us.
 */
import { join } from "node:path";
import { addressOf, assertListenable, isLoopback, outsideAddresses, urlHost } from "./host/address.ts";
import { type HostArguments, readArguments, USAGE } from "./host/arguments.ts";
import { type Auth, rememberChoice, settleAuth } from "./host/auth.ts";
import { buildWorker, endBundler } from "./host/build.ts";
import { makeDataDir } from "./host/data-dir.ts";
import { HostError } from "./host/host-error.ts";
import { lockDataDir } from "./host/lock.ts";
import { type HostSettings, readSettings } from "./host/settings.ts";
import { type SupervisedWorkerd, startWorkerd } from "./host/supervise.ts";
import { welcome, welcomeClaimed, welcomeUnclaimed } from "./host/welcome.ts";
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
  const args = readArguments(process.argv.slice(2));
  if (args.help) return console.log(USAGE);
  const settings = readSettings(process.env, projectDir);
  const identity = readWorkerIdentity(projectDir);
  const configFile = join(settings.dataDir, "workerd.capnp");
  makeDataDir(settings.dataDir);

  const lock = await lockDataDir(settings.dataDir, configFile, (line) => console.error(line));
  try {
    const auth = settleAuth(settings, args);
    await assertListenable(settings.host, settings.port);
    const bundleDir = settings.bundleDir ?? join(projectDir, "dist");
    if (settings.bundleDir === undefined) {
      await buildWorker({ entry: join(projectDir, identity.main), outDir: bundleDir });
      await endBundler();
    }

    const variables = variablesOf(settings, auth);
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
    const [how] = await Promise.all([workerd.ended, announce(workerd, settings, args, auth)]);
    if (!stopping) throw new HostError(`workerd ended by itself (${how}); nothing receipted is lost, start again to go on`);
  } finally {
    lock.release();
  }
}

/** The Worker's variables. It tells the two kinds of ownership apart by whether `SYNC_TOKEN` is there. */
function variablesOf(settings: HostSettings, auth: Auth): Record<string, string> {
  const { SYNC_TOKEN: _token, YAOS_CLAIM_CODE: _code, ...others } = settings.variables;
  if (auth.mode === "token") return { ...others, SYNC_TOKEN: auth.token };
  return auth.claimCode === null ? others : { ...others, YAOS_CLAIM_CODE: auth.claimCode };
}

/** Keeps the choice of ownership once workerd listens, and prints the welcome once the Worker answers; says nothing when workerd ends first, since `serve` then does. */
async function announce(server: SupervisedWorkerd, settings: HostSettings, args: HostArguments, auth: Auth): Promise<void> {
  const port = await Promise.race([server.listening, server.ended]);
  if (typeof port !== "number") return;
  rememberChoice(settings, args);
  const url = `http://${addressOf(urlHost(settings.host), port)}`;
  let ended = false;
  void server.ended.then(() => (ended = true));
  while (!ended) {
    try {
      const answer = await fetch(`${url}/api/capabilities`); // any answer shows that it serves
      const claimed = (await answer.json().catch(() => null)) as { claimed?: unknown } | null;
      console.log(greeting(url, settings, auth, claimed?.claimed === true));
      return;
    } catch {
      await new Promise((done) => setTimeout(done, ANSWER_POLL_MS));
    }
  }
}

function greeting(url: string, settings: HostSettings, auth: Auth, claimed: boolean): string {
  const { dataDir, host } = settings;
  if (auth.mode === "token") return welcome({ url, token: auth.token, dataDir });
  if (claimed) return welcomeClaimed({ url, dataDir });
  const { port } = new URL(url);
  const everywhere = !isLoopback(host) && urlHost(host) !== host; // it listens on all addresses, and `url` names the loopback
  const otherUrls = everywhere ? outsideAddresses().map((address) => `http://${addressOf(address, Number(port))}`) : [];
  return welcomeUnclaimed({ url, dataDir, claimCode: auth.claimCode, otherUrls });
}
