/**
 * Sends random requests to the real bundle under workerd, by turns to a server with a token and to one that is claimed on the way: paths, methods,
 * headers, escapes, bodies, with and without credentials. Fails on an answer that SPEC.md does not know (any 5xx but the documented 503s and 507, a
 * refusal that is not the JSON error shape), on no answer, on a secret in an answer, on an exception or a token in the log, and when a server does not
 * serve afterwards. Same seed, same requests.
 *
 *   npm run fuzz:http -- --count 20000 --seed 1 [--from 0]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type HostProcess, killStartedHosts, startHost } from "../test/kit/host-process.ts";
import { buildWorker, endBundler } from "./host/build.ts";
import { readWorkerIdentity } from "./host/worker-identity.ts";
import { judge } from "./fuzz/http-judge.ts";
import { ADDRESS_HEADER, HttpCases } from "./fuzz/http-cases.ts";
import { send } from "./fuzz/http-request.ts";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    /** Number of the first request: a failure names its own. */
    from: { type: "string", default: "0" },
  },
});

/** Requests under way at once: enough that they meet each other. */
const AT_ONCE = 8;
/** The runtime's own word on a client that broke the transport, which reaches no code of ours. */
const TRANSPORT = /kj\/.*(WebSocket protocol error|disconnected|connection reset|broken pipe)/i;
const CLAIM_CODE = "fuzz-claim-code";
const ENVIRONMENT = { YAOS_TRUSTED_IP_HEADER: ADDRESS_HEADER, YAOS_ENABLE_ADMIN_ROUTES: "1" };
/** Failures after which there is nothing more to learn. */
const MAX_FAILURES = 20;

const projectDir = join(import.meta.dirname, "..");
const count = wholeNumber("count", values.count);
const seed = wholeNumber("seed", values.seed);
const from = wholeNumber("from", values.from);

const dataDir = mkdtempSync(join(tmpdir(), "yaos-fuzz-http-"));
const failures: string[] = [];
const statuses = new Map<string, number>();
try {
  if (process.env["YAOS_TEST_BUNDLE"] === undefined) {
    const outDir = join(dataDir, "bundle");
    await buildWorker({ entry: join(projectDir, readWorkerIdentity(projectDir).main), outDir });
    await endBundler();
    process.env["YAOS_TEST_BUNDLE"] = outDir;
  }
  const startedAt = performance.now();
  await run([await startOwned(), await startUnclaimed()]);
  console.log(`seed ${seed}: ${count} requests in ${((performance.now() - startedAt) / 1000).toFixed(1)} s, ${failures.length} failures`);
  console.log([...statuses].toSorted().map(([status, times]) => `  ${status}: ${times}`).join("\n"));
} finally {
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
}
for (const failure of failures) console.error(`seed ${seed}, ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** One server under attack. */
interface Target {
  readonly host: HostProcess;
  readonly cases: HttpCases;
  readonly tokens: readonly string[];
  /** What was logged before: the welcome shows what its owner must know. */
  readonly logged: number;
}

async function startOwned(): Promise<Target> {
  const host = await startHost({ dataDir: join(dataDir, "owned"), env: ENVIRONMENT });
  return target(host, [host.token]);
}

/** Claimed when a part of the requests is through. */
async function startUnclaimed(): Promise<Target> {
  const host = await startHost({ dataDir: join(dataDir, "claimed"), env: { ...ENVIRONMENT, YAOS_AUTH: "claim", YAOS_CLAIM_CODE: CLAIM_CODE } });
  return target(host, [1, 2].map((n) => `fuzz-token-${n}-${"0123456789".repeat(3)}`));
}

function target(host: HostProcess, tokens: readonly string[]): Target {
  return { host, tokens, cases: new HttpCases(seed, tokens), logged: host.stdout().length };
}

async function run(targets: readonly [Target, Target]): Promise<void> {
  const unclaimedUntil = from + Math.ceil(count / 20);
  await runRange(targets, from, unclaimedUntil);
  const claim = await fetch(`${targets[1].host.url}/claim`, { method: "POST", body: JSON.stringify({ token: targets[1].tokens[0], claimCode: CLAIM_CODE }) });
  if (claim.status !== 200) failures.push(`claiming answers ${claim.status} ${await claim.text()}`);
  await runRange(targets, unclaimedUntil, from + count);
  for (const { host, tokens, logged } of targets) {
    await stillServes(host, tokens);
    await host.stop();
    await host.allClosed;
    readLog(host.stderr() + host.stdout().slice(logged), tokens);
  }
}

/** Even numbers go to the one server, odd ones to the other. */
async function runRange(targets: readonly [Target, Target], start: number, end: number): Promise<void> {
  let next = start;
  const worker = async (): Promise<void> => {
    while (next < end && failures.length < MAX_FAILURES) {
      const index = next++;
      await tryOne(targets[index % 2 === 0 ? 0 : 1], index);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function tryOne({ host, cases, tokens }: Target, index: number): Promise<void> {
  const request = cases.make(index);
  const name = `request ${index}: ${request.method} ${JSON.stringify(request.target.slice(0, 200))}`;
  try {
    const answer = await send(host.port, request);
    const status = answer === null ? "no answer" : String(answer.status);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const fault = judge(request, answer, tokens);
    if (fault !== null) failures.push(`${name}: ${fault}`);
  } catch (error) {
    failures.push(`${name}: ${String(error)}`);
  }
}

/** The same process, its public answer, and a room that was not in the middle of it: others may have been erased. */
async function stillServes(host: HostProcess, tokens: readonly string[]): Promise<void> {
  try {
    process.kill(host.workerdPid, 0);
    if ((await statusOf(host, "/", null)) !== 200) failures.push("afterwards: GET / does not answer 200");
    const rooms = await Promise.all(tokens.map((token) => statusOf(host, "/vault/fuzz-after/debug/recent", token)));
    if (!rooms.includes(200)) failures.push(`afterwards: the room's debug answers ${rooms.join(", ")}`);
  } catch (error) {
    failures.push(`afterwards: ${String(error)}`);
  }
}

async function statusOf(host: HostProcess, path: string, token: string | null): Promise<number> {
  const answer = await fetch(host.url + path, { headers: token === null ? {} : { authorization: `Bearer ${token}` } });
  await answer.body?.cancel();
  return answer.status;
}

/** What a log must not have: an exception nobody caught, ours or the runtime's, and a token. */
function readLog(log: string, tokens: readonly string[]): void {
  for (const line of log.split("\n")) {
    if (!TRANSPORT.test(line) && /uncaught|exception|request\.failed|fatal|(^|\W)[A-Z]\w*Error: /i.test(line)) failures.push(`log: ${line.slice(0, 400)}`);
    if (tokens.some((token) => line.includes(token))) failures.push("log: a line has a token");
    if (failures.length >= MAX_FAILURES * 2) return;
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, got ${text}`);
  process.exit(2);
}
