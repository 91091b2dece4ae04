import { expect, test } from "vitest";
import { DeleteSet, DeleteSetBuilder, encodeDeleteSet, union } from "../../src/update/delete-set.ts";
import { joinDeleteSets } from "../../src/update/join-delete-sets.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { Random } from "../kit/random.ts";

const CLIENTS = [1, 2, 130, 20_000, 4_000_000_000];

function randomSet(random: Random, clients: readonly number[], from = 0): DeleteSet {
  const builder = new DeleteSetBuilder();
  for (let n = random.int(0, 30); n > 0; n--) builder.add(random.pick(clients), from + random.int(0, 400), random.int(1, 9));
  return builder.build();
}

/** Stored sets as shards are: by client, and one client cut over two of them. */
function shards(set: DeleteSet, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let builder = new DeleteSetBuilder();
  for (const client of [...set.clients()].sort((a, b) => a - b)) {
    const ranges = set.ranges(client)!;
    for (let at = 0; at < ranges.length; at += 2) {
      builder.add(client, ranges[at]!, ranges[at + 1]! - ranges[at]!);
      if (!random.chance(0.3)) continue;
      pieces.push(encodeDeleteSet(builder.build()));
      builder = new DeleteSetBuilder();
    }
  }
  const rest = builder.build();
  return rest.isEmpty ? pieces : [...pieces, encodeDeleteSet(rest)];
}

test("joined as bytes, sets are what their union is encoded as", () => {
  for (let seed = 1; seed <= 600; seed++) {
    const random = new Random(seed);
    const base = randomSet(random, CLIENTS);
    const more = randomSet(random, random.chance(0.5) ? CLIENTS : CLIENTS.slice(2));
    expect(joinDeleteSets(shards(base, random), more), `seed ${seed}`).toEqual(encodeDeleteSet(union(base, more)).slice());
  }
  expect(joinDeleteSets([], DeleteSet.empty)).toEqual(Uint8Array.of(0));
});

test("what is no delete set is refused", () => {
  const set = encodeDeleteSet(randomSet(new Random(3), CLIENTS));
  for (let length = 0; length < set.length; length++) expect(() => joinDeleteSets([set.subarray(0, length)], DeleteSet.empty), `${length} bytes`).toThrow(UpdateRefusedError);
  expect(() => joinDeleteSets([Uint8Array.from([...set, 0])], DeleteSet.empty)).toThrow(UpdateRefusedError);
});
