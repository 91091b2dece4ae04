import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { Gate, tooManyAnswer } from "../../worker/limits/gate.ts";
import { readTarget } from "../../worker/limits/request-target.ts";

const NOW = 1_763_740_000_000;

function from(clientIp: string | null): { headers: Headers; cf?: unknown } {
  return { headers: new Headers(), ...(clientIp === null ? {} : { cf: { clientIp: `${clientIp}:1` } }) };
}

test("[LT1] a credential's connects are its own", () => {
  let now = NOW;
  const gate = new Gate(() => now);
  for (let n = 0; n < LIMITS.connectsPerMinute; n++) expect(gate.connect("owner")).toBeNull();
  const refused = gate.connect("owner");
  expect(refused).toMatchObject({ error: "too many connects" });
  expect(gate.connect("device")).toBeNull();
  now += refused!.retryAfterSeconds * 1_000;
  expect(gate.connect("owner")).toBeNull();
});

test("[LT3] the first wrong credentials of an address are answered as ever, further ones are put off", async () => {
  const gate = new Gate(() => NOW);
  for (let n = 0; n < LIMITS.authFailuresPerMinute; n++) expect(await gate.failure({}, from("192.0.2.1"))).toBeNull();
  expect(await gate.failure({}, from("192.0.2.1"))).toMatchObject({ error: "too many wrong credentials" });
  expect(await gate.failure({}, from("192.0.2.2"))).toBeNull();
});

test("[LT5] requests nobody vouches for are not counted together", async () => {
  const gate = new Gate(() => NOW);
  for (let n = 0; n < LIMITS.authFailuresPerMinute * 3; n++) expect(await gate.failure({}, from(null))).toBeNull();
});

test("[LT6] the platform counts when it can", async () => {
  const asked: string[] = [];
  const YAOS_RATE_LIMIT = { limit: ({ key }: { key: string }) => (asked.push(key), Promise.resolve({ success: asked.length < 2 })) };
  const gate = new Gate(() => NOW);
  expect(await gate.failure({ YAOS_RATE_LIMIT }, from("192.0.2.1"))).toBeNull();
  expect(await gate.failure({ YAOS_RATE_LIMIT }, from("192.0.2.1"))).toMatchObject({ error: "too many wrong credentials", retryAfterSeconds: 60 });
  expect(asked).toEqual(["auth:192.0.2.1", "auth:192.0.2.1"]);
});

test("[LT6] the isolate counts when the platform's limiter fails", async () => {
  const YAOS_RATE_LIMIT = { limit: () => Promise.reject(new Error("down")) };
  const gate = new Gate(() => NOW);
  for (let n = 0; n < LIMITS.authFailuresPerMinute; n++) expect(await gate.failure({ YAOS_RATE_LIMIT }, from("192.0.2.1"))).toBeNull();
  expect(await gate.failure({ YAOS_RATE_LIMIT }, from("192.0.2.1"))).not.toBeNull();
});

test("[LT3] the answer is JSON that says when to come again", async () => {
  const answer = tooManyAnswer({ error: "too many wrong credentials", retryAfterSeconds: 61 });
  expect([answer.status, answer.headers.get("Retry-After"), await answer.json()]).toEqual([429, "61", { error: "too many wrong credentials" }]);
});

test("[LT8] paths and queries up to their limits, and no further", async () => {
  const base = "https://host/";
  const exactPath = base + "x".repeat(LIMITS.maxPathBytes - base.length);
  const exactQuery = `?${"q".repeat(LIMITS.maxQueryBytes - 1)}`;
  expect(readTarget({ url: exactPath + exactQuery }).ok).toBe(true);
  const refusals: [string, number, string][] = [
    [`${exactPath}x`, 414, "path too long"],
    [`${base}${exactQuery}q`, 414, "query too long"],
    [`${base}?${"?".repeat(LIMITS.maxQueryBytes)}`, 414, "query too long"],
    ["http://a b/x", 400, "malformed request"],
    ["http://[/x", 400, "malformed request"],
  ];
  for (const [url, status, error] of refusals) {
    const target = readTarget({ url });
    if (target.ok) throw new Error(`${url.slice(0, 40)} passed`);
    expect([target.answer.status, await target.answer.json()]).toEqual([status, { error }]);
  }
});
