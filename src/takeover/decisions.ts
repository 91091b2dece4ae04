/** What an admin may decide about a takeover: to go on without what is lost, or to have a move tried again. */
import type { Sql } from "../ports.ts";
import { readRecord, writeRecord } from "./record.ts";

/** `done`: the room is to be opened anew. */
export type Decision = { readonly status: "done"; readonly settled: readonly string[] } | { readonly status: "noop" };

/** Accepts every loss named so far. Nothing is deleted: what is lost stays where it is, and what waits behind it too. */
export function acceptLoss(sql: Sql): Decision {
  const record = readRecord(sql);
  if (record?.state !== "incomplete") return { status: "noop" };
  const settled = [...new Set([...record.settled, ...record.losses])];
  // The move runs again, and finds nothing lost that anybody misses.
  writeRecord(sql, { ...record, settled, state: "moving", attempts: 0 });
  return { status: "done", settled };
}

/** Lets a move be made again: one that was given up, or one whose sources were damaged since, so that it can be said what is lost. */
export function retryMove(sql: Sql): Decision {
  const record = readRecord(sql);
  if (record === null || record.fingerprint === null) return { status: "noop" };
  writeRecord(sql, { ...record, state: "moving", attempts: 0 });
  return { status: "done", settled: record.settled };
}
