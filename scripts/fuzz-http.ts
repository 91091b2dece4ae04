/**
 * Sends random requests to the real bundle under workerd: paths, methods, headers, escapes, bodies, with and without credentials. Fails on an answer
 * that SPEC.md does not know (any 5xx but the documented 503s and 507, a refusal that is not the JSON error shape), on no answer, on an exception or the
 * token in the log, and when the server does not serve as before afterwards. Same seed, same requests.
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
import { type RawRequest, send } from "./fuzz/http-request.ts";

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
  await run(await startHost({ dataDir, env: { YAOS_TRUSTED_IP_HEADER: ADDRESS_HEADER, YAOS_ENABLE_ADMIN_ROUTES: "1" } }));
  console.log(`seed ${seed}: ${count} requests in ${((performance.now() - startedAt) / 1000).toFixed(1)} s, ${failures.length} failures`);
  console.log([...statuses].toSorted().map(([status, times]) => `  ${status}: ${times}`).join("\n"));
} finally {
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
}
for (const failure of failures) console.error(`seed ${seed}, ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;

async function run(host: HostProcess): Promise<void> {
  const cases = new HttpCases(seed, host.token);
  const welcome = host.stdout().length;
  let next = from;
  const worker = async (): Promise<void> => {
    while (next < from + count && failures.length < MAX_FAILURES) {
      const index = next++;
      await tryOne(host, cases.make(index), index);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await stillServes(host);
  await host.stop();
  await host.allClosed;
  readLog(host.stderr() + host.stdout().slice(welcome), host.token);
}

async function tryOne(host: HostProcess, request: RawRequest, index: number): Promise<void> {
  const name = `request ${index}: ${request.method} ${JSON.stringify(request.target.slice(0, 200))}`;
  try {
    const answer = await send(host.port, request);
    const status = answer === null ? "no answer" : String(answer.status);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const fault = judge(request, answer, host.token);
    if (fault !== null) failures.push(`${name}: ${fault}`);
  } catch (error) {
    failures.push(`${name}: ${String(error)}`);
  }
}

/** The same process, its public answer, and a room that was in the middle of it. */
async function stillServes(host: HostProcess): Promise<void> {
  try {
    process.kill(host.workerdPid, 0);
    for (const path of ["/", "/vault/fuzz-vault-1/debug/recent"]) {
      const answer = await fetch(host.url + path, { headers: { authorization: `Bearer ${host.token}` } });
      if (answer.status !== 200) failures.push(`afterwards: GET ${path} answers ${answer.status}`);
      await answer.body?.cancel();
    }
  } catch (error) {
    failures.push(`afterwards: ${String(error)}`);
  }
}

/** The runtime's own word on a client that broke the transport, which reaches no code of ours. */
const TRANSPORT = /kj\/.*(WebSocket protocol error|disconnected|connection reset|broken pipe)/i;

/** What a log must not have: an exception nobody caught, ours or the runtime's, and the token. */
function readLog(log: string, token: string): void {
  for (const line of log.split("\n")) {
    if (!TRANSPORT.test(line) && /uncaught|exception|request\.failed|fatal|(^|\W)[A-Z]\w*Error: /i.test(line)) failures.push(`log: ${line.slice(0, 400)}`);
    if (line.includes(token)) failures.push("log: a line has the token");
    if (failures.length >= MAX_FAILURES * 2) return;
  }
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, got ${text}`);
  process.exit(2);
}
