import { beforeEach, expect, test } from "vitest";
import { ConfigCache } from "../../src/access/config-cache.ts";
import type { OwnerConfig } from "../../src/access/owner-record.ts";
import { LIMITS } from "../../src/limits.ts";

let now: number;
let stored: OwnerConfig;
let reads: number;

const unclaimed: OwnerConfig = { claimed: false, tokenHash: null, updateProvider: null, updateRepoUrl: null, updateRepoBranch: null, ownerEpoch: 0 };
const claimedBy = (tokenHash: string, ownerEpoch = 0): OwnerConfig => ({ ...unclaimed, claimed: true, tokenHash, ownerEpoch });
const read = async (): Promise<OwnerConfig> => {
  reads++;
  return stored;
};
const isolate = (): ConfigCache => new ConfigCache(() => now);

beforeEach(() => {
  now = 1_000_000;
  stored = unclaimed;
  reads = 0;
});

test("[AC7] two isolates around a claim: neither says unclaimed afterwards", async () => {
  const [here, there] = [isolate(), isolate()];
  expect((await here.get(read)).claimed).toBe(false);
  expect((await there.get(read)).claimed).toBe(false);
  stored = claimedBy("x");
  here.drop();
  expect((await here.get(read)).claimed).toBe(true);
  expect((await there.get(read)).claimed).toBe(true);
});

test("[AC7] a claimed install is read once a minute, and once for all who ask at the same time", async () => {
  stored = claimedBy("x");
  const cache = isolate();
  await Promise.all([cache.get(read), cache.get(read), cache.get(read)]);
  now += LIMITS.configCacheMs - 1;
  await cache.get(read);
  expect(reads).toBe(1);
  now += 1;
  await cache.get(read);
  expect(reads).toBe(2);
});

test("[AC7] two isolates around a rotation: the other one finds the new token at the first that does not match", async () => {
  stored = claimedBy("old");
  const [here, there] = [isolate(), isolate()];
  await here.get(read);
  const seen = await there.get(read);
  stored = claimedBy("new", 1);
  here.drop();
  now += LIMITS.configRecheckMs + 1;
  expect((await here.get(read)).tokenHash).toBe("new");
  expect((await there.get(read)).tokenHash, "its copy is good for a minute").toBe("old");
  const rechecks = await Promise.all([there.recheck(seen, read), there.recheck(seen, read)]);
  expect(rechecks.map((config) => config?.tokenHash)).toEqual(["new", "new"]);
  expect(reads).toBe(4);
});

test("[AC18] wrong tokens in a row cost one read in two seconds", async () => {
  stored = claimedBy("x");
  const cache = isolate();
  const seen = await cache.get(read);
  for (let i = 0; i < 20; i++) expect(await cache.recheck(seen, read)).toBeNull();
  expect(reads).toBe(1);
  now += LIMITS.configRecheckMs + 1;
  const newer = await cache.recheck(seen, read);
  for (let i = 0; i < 20; i++) expect(await cache.recheck(newer!, read)).toBeNull();
  expect(reads).toBe(2);
});

test("[AC7] a read begun before a change made here is not kept", async () => {
  stored = claimedBy("old");
  const cache = isolate();
  let answer: (config: OwnerConfig) => void = () => undefined;
  const slow = cache.get(() => new Promise((resolve) => (answer = resolve)));
  cache.drop();
  stored = claimedBy("new", 1);
  answer(claimedBy("old"));
  await slow;
  expect((await cache.get(read)).tokenHash).toBe("new");
});

test("[AC16] a copy older than a rotation heard of is not used any more, nor a read that was under way", async () => {
  stored = claimedBy("old", 1);
  const cache = isolate();
  const seen = await cache.get(read);
  cache.heardOf(1);
  expect([await cache.recheck(seen, read), (await cache.get(read)).tokenHash, reads]).toEqual([null, "old", 1]);
  stored = claimedBy("new", 2);
  cache.heardOf(2);
  cache.heardOf(1);
  expect((await cache.recheck(seen, read))?.tokenHash).toBe("new");
  expect([(await cache.get(read)).tokenHash, reads]).toEqual(["new", 2]);

  const other = isolate();
  let answer: (config: OwnerConfig) => void = () => undefined;
  let first = true;
  const slowAtFirst = (): Promise<OwnerConfig> => {
    if (!first) return read();
    first = false;
    return new Promise((resolve) => (answer = resolve));
  };
  const waiting = [other.get(slowAtFirst), other.get(read), other.get(read)];
  other.heardOf(2);
  answer(claimedBy("old", 1));
  expect((await Promise.all(waiting)).map(({ tokenHash }) => tokenHash)).toEqual(["new", "new", "new"]);
  expect(reads, "one for the three").toBe(3);
});

test("[AC7] a read that fails, or never ends, stops nobody for long", async () => {
  stored = claimedBy("x");
  const cache = isolate();
  await expect(cache.get(() => Promise.reject(new Error("gone")))).rejects.toThrow("gone");
  expect((await cache.get(read)).claimed).toBe(true);
  cache.drop();
  void cache.get(() => new Promise(() => undefined));
  now += LIMITS.configRecheckMs;
  expect((await cache.get(read)).claimed).toBe(true);
});
