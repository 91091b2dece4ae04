import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { absorbDeletes, type DeleteDirectory, publishDeletes, readDeletes } from "../../src/storage/delete-store.ts";
import { EMPTY_INDEX } from "../../src/storage/room-index.ts";
import { migrate } from "../../src/storage/schema.ts";
import { clientHash, DeleteSet, DeleteSetBuilder, encodeDeleteSet, union } from "../../src/update/delete-set.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { checksum } from "../kit/checksum.ts";
import { forSeeds } from "../kit/histories.ts";
import { NodeSql } from "../kit/node-sql.ts";
import { Random } from "../kit/random.ts";

/** Ranges all over these clients; few of them touch. */
function scattered(random: Random, clients: number, ranges: number): DeleteSet {
  const builder = new DeleteSetBuilder();
  for (let i = 0; i < ranges; i++) builder.add(random.int(1, clients) * 1000, random.int(0, 2 ** 30), random.int(1, 3));
  return builder.build();
}

/** A store of deletions as the vault store drives it, and what it should hold. */
class Deletes {
  readonly sql = new NodeSql();
  directory: DeleteDirectory = EMPTY_INDEX;
  expected: DeleteSet = DeleteSet.empty;

  constructor() {
    this.sql.transaction(() => migrate(this.sql));
  }

  get rows(): number {
    return this.sql.exec<{ n: number }>(`SELECT count(*) AS n FROM room_deletes`)[0]!.n;
  }

  steps(added: DeleteSet): ReturnType<typeof absorbDeletes> {
    const stored = readDeletes(this.sql, checksum, this.directory, added.clients());
    return absorbDeletes(this.sql, checksum, this.directory, added, union(stored, added));
  }

  absorb(added: DeleteSet): void {
    const absorbed = withoutPauses(this.steps(added));
    this.sql.transaction(() => publishDeletes(this.sql, checksum, absorbed));
    this.directory = absorbed.directory;
    this.expected = union(this.expected, added);
  }

  check(): void {
    const bytes = encodeDeleteSet(this.expected);
    expect(Buffer.compare(encodeDeleteSet(readDeletes(this.sql, checksum, this.directory)), bytes)).toBe(0);
    for (const [position, client] of [...this.expected.clients()].entries()) {
      const hash = clientHash(this.expected.ranges(client)!);
      expect(this.directory.hashes.get(client)?.hash).toBe(hash);
      // Each reads the rows it needs: some clients stand for all.
      if (position % 20 === 0) expect(clientHash(readDeletes(this.sql, checksum, this.directory, [client]).ranges(client)!)).toBe(hash);
    }
    expect(this.rows).toBe(this.directory.shards.length + (this.directory.deltaBytes > 0 ? 1 : 0));
  }
}

test("[A6] whatever was absorbed is read back, over folds, for all clients and for each", () => {
  forSeeds(4, (seed) => {
    const random = new Random(seed);
    const deletes = new Deletes();
    let folds = 0;
    for (let round = 0; round < 6; round++) {
      const before = deletes.directory.shards;
      // Now many clients, now a single one with more than a shard holds.
      deletes.absorb(random.chance(0.7) ? scattered(random, 300, 12_000) : scattered(random, 2, 30_000));
      if (deletes.directory.shards !== before) folds += 1;
    }
    deletes.check();
    expect(folds).toBeGreaterThan(1);
  });
});

test("shards are cut between clients, so that a fold rewrites only those it touches", () => {
  const random = new Random(1);
  const deletes = new Deletes();
  deletes.absorb(scattered(random, 400, 80_000));
  const { shards } = deletes.directory;
  expect(shards.length).toBeGreaterThan(4);
  expect(shards.some((shard) => shard.continues)).toBe(false);
  for (const shard of shards) expect(shard.byteLength).toBeLessThan(LIMITS.deleteShardBytes * 1.5);
  // Deletions of the lowest clients alone, enough of them for a fold.
  const added = scattered(random, 20, 45_000);
  deletes.absorb(added);
  expect(deletes.directory.deltaBytes).toBe(0);
  expect(deletes.directory.shards.slice(-3)).toEqual(shards.slice(-3));
  deletes.check();
});

test("a fold dropped at any pause leaves what is stored as it was, and the next one clears up", () => {
  const random = new Random(2);
  const deletes = new Deletes();
  deletes.absorb(scattered(random, 200, 40_000));
  const more = scattered(random, 200, 30_000);
  const pauses = [...deletes.steps(more)].length;
  expect(pauses).toBeGreaterThan(3);
  for (let stop = 1; stop <= pauses; stop++) {
    const steps = deletes.steps(more);
    for (let step = 0; step < stop; step++) expect(steps.next().done).toBe(false);
    steps.return(undefined as never);
    expect(Buffer.compare(encodeDeleteSet(readDeletes(deletes.sql, checksum, deletes.directory)), encodeDeleteSet(deletes.expected))).toBe(0);
  }
  expect(deletes.rows).toBeGreaterThan(deletes.directory.shards.length);
  deletes.absorb(more);
  deletes.check();
});
