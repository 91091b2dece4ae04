/** The launcher's side of claiming: what it prints, keeps, remembers and refuses. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { HostEndedError, type HostProcess, killStartedHosts, startHost, type StartHostOptions } from "../kit/host-process.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "yaos-claim-"));
});
afterEach(() => {
  killStartedHosts();
  rmSync(dataDir, { recursive: true, force: true });
});

const TOKEN = "owner-token-0123456789-0123456789-0123456789";

function start(options: Partial<StartHostOptions> = {}): Promise<HostProcess> {
  return startHost({ dataDir, ...options });
}

async function refusal(options: Partial<StartHostOptions>): Promise<string> {
  const outcome = await start(options).then(
    () => new Error("it started"),
    (error: unknown) => error,
  );
  expect(outcome).toBeInstanceOf(HostEndedError);
  expect((outcome as HostEndedError).ended).toBe(1);
  return (outcome as HostEndedError).stderr;
}

/** The code in the printed link. */
function codeIn(host: HostProcess): string {
  return /^ {2}http:\S+\/#code=(\S+)$/m.exec(host.stdout())?.[1] ?? "";
}

async function claim(host: HostProcess, claimCode?: string): Promise<[number, unknown]> {
  const answer = await fetch(`${host.url}/claim`, { method: "POST", body: JSON.stringify({ token: TOKEN, claimCode }) });
  return [answer.status, ((await answer.json()) as { error?: unknown }).error];
}

async function debugStatus(host: HostProcess, token: string): Promise<number> {
  return (await fetch(`${host.url}/vault/v/debug/recent`, { headers: { authorization: `Bearer ${token}` } })).status;
}

describe("an unclaimed server", () => {
  it("[HO8] prints a link with a code it keeps for its owner's eyes, and takes that code only", async () => {
    const host = await start({ args: ["--claim"] });
    const code = codeIn(host);
    expect(code).toMatch(/^[2-9a-z]{4}(-[2-9a-z]{4}){2}$/);
    expect(readFileSync(join(dataDir, "claim-code"), "utf8").trim()).toBe(code);
    expect(statSync(join(dataDir, "claim-code")).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(dataDir, "workerd.capnp"), "utf8")).not.toContain(code);
    expect(await debugStatus(host, TOKEN)).toBe(503);
    expect(await claim(host, "2222-2222-2222")).toEqual([403, "invalid claim code"]);
    expect(await claim(host, code)).toEqual([200, undefined]);
    expect(await debugStatus(host, TOKEN)).toBe(200);
    await host.stop();
  });

  it("[HO9] stays claimed over a restart that says nothing of claiming", async () => {
    const first = await start({ env: { YAOS_AUTH: "claim" } });
    expect(await claim(first, codeIn(first))).toEqual([200, undefined]);
    await first.stop();
    const second = await start();
    expect(second.stdout()).toContain("the one its owner got when claiming it");
    expect(await debugStatus(second, TOKEN)).toBe(200);
    await second.stop();
  });

  it("[HO8] takes the code of YAOS_CLAIM_CODE and keeps none of its own", async () => {
    const host = await start({ args: ["--claim"], env: { YAOS_CLAIM_CODE: "a code of mine" } });
    expect(new URLSearchParams(`code=${codeIn(host)}`).get("code")).toBe("a code of mine");
    expect(() => statSync(join(dataDir, "claim-code"))).toThrow("ENOENT");
    await host.stop();
  });

  it("[HO10] may be claimed without a code on this machine only", async () => {
    const host = await start({ args: ["--claim", "--no-claim-code"] });
    expect(host.stdout()).not.toContain("code");
    expect(await claim(host)).toEqual([200, undefined]);
    await host.stop();
    for (const address of ["0.0.0.0", "::", "*"]) {
      expect(await refusal({ args: ["--claim", "--no-claim-code"], env: { HOST: address } })).toContain(`Cannot listen on ${address} unclaimed and without a claim code`);
    }
  });
});

describe("whose address it is", () => {
  it("[HO11] counts wrong tokens against the connection, whatever address a header claims, and keeps the right one out of it", async () => {
    const host = await start();
    const ask = async (token: string, address: string): Promise<number> => {
      const headers = { authorization: `Bearer ${token}`, "CF-Connecting-IP": address, "X-Forwarded-For": address };
      return (await fetch(`${host.url}/vault/v/debug/recent`, { headers })).status;
    };
    const answers: number[] = [];
    for (let guess = 0; guess < LIMITS.authFailuresPerMinute + 2; guess++) answers.push(await ask(`guess-${guess}`, `192.0.2.${guess}`));
    expect(answers[0]).toBe(401);
    expect(answers.at(-1)).toBe(429);
    expect(await ask(host.token, "192.0.2.1")).toBe(200);
    await host.stop();
  });
});

describe("the choice", () => {
  it("[HO9] can be taken back, and both sides are remembered", async () => {
    await (await start({ args: ["--claim"] })).stop();
    const token = await start({ env: { YAOS_AUTH: "token" } });
    expect(token.token).toMatch(/^[0-9a-f]{64}$/);
    await token.stop();
    const again = await start();
    expect(again.token).toBe(token.token);
    await again.stop();
  });

  it("[HO9] is not remembered from a start that never listened", async () => {
    const before = await start();
    await before.stop();
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    expect(await refusal({ args: ["--claim"], env: { PORT: String(port) } })).toContain("the port is in use");
    taken.close();
    const after = await start();
    expect(after.token).toBe(before.token);
    await after.stop();
  });

  it("[HO10] refuses contradictions by name", async () => {
    expect(await refusal({ args: ["--claim"], env: { SYNC_TOKEN: "x" } })).toContain("Cannot start unclaimed: SYNC_TOKEN is set");
    expect(await refusal({ args: ["--claim"], env: { YAOS_AUTH: "token" } })).toContain("--claim and YAOS_AUTH=token contradict each other");
    expect(await refusal({ args: ["--claim", "--no-claim-code"], env: { YAOS_CLAIM_CODE: "x" } })).toContain("contradict each other");
    expect(await refusal({ args: ["--no-claim-code"] })).toContain("not started with --claim");
    expect(await refusal({ env: { YAOS_AUTH: "maybe" } })).toContain("YAOS_AUTH=maybe");
  });

  it("[HO10] names an argument it does not know", async () => {
    expect(await refusal({ args: ["--claims"] })).toContain("'--claims'");
    expect(await refusal({ args: ["claim"] })).toContain("'claim'");
  });
});
