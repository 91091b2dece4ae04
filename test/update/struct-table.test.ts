/** Memory follows what an update says, not how often it says it: a frame may hold millions of structs. */
import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { planFrame } from "../../src/update/assemble.ts";
import { DeleteSet, encodeDeleteSet } from "../../src/update/delete-set.ts";
import { splitNews } from "../../src/update/news.ts";
import { Pacer, withoutPauses } from "../../src/update/pacer.ts";
import { rewrite } from "../../src/update/rewrite.ts";
import { StructTable } from "../../src/update/struct-table.ts";
import { ByteWriter } from "../../src/update/varint.ts";

const GC = 0;
const SKIP = 10;

/** One client's structs that carry only a length, from clock 0. */
function lengths(client: number, structs: readonly (readonly [ref: number, length: number])[]): Uint8Array {
  const out = new ByteWriter();
  for (const value of [1, structs.length, client, 0]) out.varUint(value);
  for (const [ref, length] of structs) {
    out.byte(ref);
    out.varUint(length);
  }
  out.byte(0);
  return out.finish();
}

function rows(updates: readonly Uint8Array[]): [client: number, clock: number, length: number][] {
  const table = new StructTable();
  const sources = updates.map((bytes) => ({ bytes, runs: null }));
  withoutPauses(table.scan(sources, new Pacer(Infinity)));
  return Array.from({ length: table.count }, (_, row) => [table.clientIds[table.client[row]!]!, table.clock[row]!, table.length[row]!]);
}

describe("structs of one update", () => {
  test("[CK6] collected structs that follow each other take one row, however many", () => {
    expect(rows([lengths(5, Array.from({ length: 10_000 }, () => [GC, 3] as const))])).toEqual([[5, 0, 30_000]]);
    // Not over a gap, and not from one update to the next.
    expect(rows([lengths(5, [[GC, 1], [GC, 1], [SKIP, 4], [GC, 2]]), lengths(6, [[GC, 1]])])).toEqual([[5, 0, 2], [5, 6, 2], [6, 0, 1]]);
    // Clocks that need the wide columns.
    expect(rows([lengths(5, [[GC, 2 ** 31], [GC, 2 ** 31], [GC, 7]])])).toEqual([[5, 0, 2 ** 32 + 7]]);
  });

  test("[CP3] they mean the same when they are written again, cut where others refer to them", () => {
    const collected = lengths(5, Array.from({ length: 100 }, () => [GC, 2] as const));
    const cuts = new Map([[5, Float64Array.of(31, 100)]]);
    const chunks = rewrite([{ bytes: collected, runs: null }], { deletes: DeleteSet.empty, cuts, chunkBytes: 1e6 });
    const plan = planFrame(chunks.map((chunk, id) => ({ id, runs: chunk.runs })), () => 0);
    const [made, plain] = [new Y.Doc(), new Y.Doc()];
    Y.applyUpdate(made, plan.create(encodeDeleteSet(DeleteSet.empty), (id) => chunks[id]!.bytes));
    Y.applyUpdate(plain, collected);
    expect(made.store.pendingStructs).toBeNull();
    expect(Y.equalSnapshots(Y.snapshot(made), Y.snapshot(plain))).toBe(true);
  });

  test("[CK4] [LM1] others are refused above maxStructsPerUpdate", () => {
    const out = new ByteWriter(LIMITS.maxStructsPerUpdate * 9);
    const count = LIMITS.maxStructsPerUpdate + 1;
    for (const value of [1, count, 5, 0]) out.varUint(value);
    // Deleted items (1): the first under a root type, each other with the one before as its origin.
    for (const value of [1, 1, 1, 97, 1]) out.varUint(value);
    for (let clock = 1; clock < count; clock++) {
      out.byte(0x81);
      out.varUint(5);
      out.varUint(clock - 1);
      out.byte(1);
    }
    out.byte(0);
    expect(() => splitNews(out.finish(), () => 0)).toThrow("too-many-structs");
    const collected = splitNews(lengths(5, Array.from({ length: count }, () => [GC, 1] as const)), () => 0);
    expect(collected.ready).toEqual([{ client: 5, from: 0, to: count }]);
  });
});
