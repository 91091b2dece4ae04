/** What an update says in numbers: whose clocks, and what is deleted. */
import { type DeleteSet, DeleteSetBuilder } from "../../src/update/delete-set.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { SKIP_REF } from "../../src/update/visitor.ts";

export interface UpdateFacts {
  /** Per client the end of its clocks from 0 on without a gap. */
  readonly vector: ReadonlyMap<number, number>;
  readonly deletes: DeleteSet;
  readonly structs: number;
  /** Every client's clocks begin at 0 and have no gap. */
  readonly isGapless: boolean;
}

/** @throws {UpdateRefusedError} when the bytes are not exactly one v1 update */
export function readFacts(update: Uint8Array): UpdateFacts {
  const vector = new Map<number, number>();
  const deletes = new DeleteSetBuilder();
  let isGapless = true;
  const { structs } = readUpdate(update, {
    struct: (view) => {
      if (view.ref !== SKIP_REF && view.clock === (vector.get(view.client) ?? 0)) vector.set(view.client, view.clock + view.length);
      else isGapless = false;
    },
    deleteClient: (client, count) => deletes.expect(client, count),
    deleteRange: (client, clock, length) => deletes.add(client, clock, length),
  });
  return { vector, deletes: deletes.build(), structs, isGapless };
}

/** Whether `have` reaches every clock of `wanted`. */
export function reaches(have: ReadonlyMap<number, number>, wanted: ReadonlyMap<number, number>): boolean {
  return [...wanted].every(([client, end]) => (have.get(client) ?? 0) >= end);
}
