/**
 * Deletes old storage in an order in which whatever is left at any time is nothing to be mistaken: an older server that is put back in between finds no vault, or
 * an earlier state of it, and ours finds whole entries or none. Each batch is durable with its turn. When it is broken off, the next opening unites what is
 * left, as after any change of the old storage, and deletes nothing: nobody has asked it to.
 */
import type { Sql } from "../ports.ts";
import { bytesOf } from "./bytes-of.ts";
import { legacyFingerprint } from "./fingerprint.ts";
import { keepDocument } from "./kept-document.ts";
import type { LegacyEntry } from "./legacy.ts";
import type { MoveHost } from "./move.ts";
import { type TakeoverRecord, writeRecord } from "./record.ts";
import { lastIdGiven, tableState } from "./sql-tables.ts";

/** What goes, in the order of the fields. */
export interface DeletionPlan {
  /** What an older server begins with: pointer, journal metadata, the pre-chunk document, checkpoint manifests and their vectors. */
  readonly heads: readonly string[];
  /** Manifests of journal entries: before the chunks they name. */
  readonly manifests: readonly string[];
  /** Chunks, and litter. */
  readonly rest: readonly string[];
  /** Ids of rows of PR #51's `journal`, the last first; whether its snapshot goes. */
  readonly journalRows: readonly number[];
  readonly snapshot: boolean;
  /** Rows in all. */
  readonly rows: number;
}

/** Keys of one batch: what the platform takes in one call. */
const KEYS = 128;
const ROWS = 32;

/** @param keys all keys of the old storage @param keep those, and names of SQL rows, that stay */
export function planDeletion(sql: Sql, keys: readonly string[], keep: ReadonlySet<string>): DeletionPlan {
  const going = [...new Set(keys)].filter((key) => !keep.has(key));
  const isHead = (key: string): boolean => /^document(?::checkpoint:(?:current|manifest:.*|state-vector:.*)|:journal:meta)?$/.test(key);
  const isManifest = (key: string): boolean => key.startsWith("document:journal:manifest:");
  const ids = tableState(sql, "journal") === "present" ? sql.exec<{ id: number }>(`SELECT id FROM journal ORDER BY id DESC`).map((row) => row.id) : [];
  const journalRows = ids.filter((id) => !keep.has(`journal row ${id}`));
  const chunks = tableState(sql, "snapshot_chunks") === "present" && !keep.has("snapshot_chunks") ? sql.exec<{ n: number }>(`SELECT count(*) AS n FROM snapshot_chunks`)[0]!.n : 0;
  return {
    heads: going.filter(isHead),
    manifests: going.filter(isManifest),
    rest: going.filter((key) => !isHead(key) && !isManifest(key)),
    journalRows,
    snapshot: chunks > 0,
    rows: journalRows.length + chunks,
  };
}

/** @param record with what is kept @param left the `document` that did not join, whose bytes are kept in a table of ours */
export function* deleteOld(host: MoveHost, plan: DeletionPlan, record: TakeoverRecord, left: LegacyEntry | null): Generator<null, { keysDeleted: number; rowsDeleted: number }> {
  const { sql, legacy } = host;
  let keysDeleted = 0;
  let rowsDeleted = 0;
  const cleaning: TakeoverRecord = { ...record, state: "cleaning", cleanedUpTo: lastIdGiven(sql), isCleaning: true };
  sql.transaction(() => {
    writeRecord(sql, cleaning);
    if (left !== null) {
      const value = legacy.get("document");
      // What is no bytes at all stays as text, for a human.
      if (value !== undefined) keepDocument(sql, bytesOf(value) ?? new TextEncoder().encode(JSON.stringify(value)));
    }
    // In one turn, however many: older servers keep one checkpoint.
    for (let at = 0; at < plan.heads.length; at += KEYS) keysDeleted += legacy.delete(plan.heads.slice(at, at + KEYS));
  });
  yield null;
  for (let at = 0; at < plan.journalRows.length; at += ROWS) {
    // The last first: what is left is a vault as it once was.
    const ids = plan.journalRows.slice(at, at + ROWS);
    sql.exec(`DELETE FROM journal WHERE id IN (SELECT value FROM json_each(?))`, JSON.stringify(ids));
    rowsDeleted += ids.length;
    yield null;
  }
  if (plan.snapshot) {
    // Some dozens of rows at most, of one update: all of them or none.
    sql.exec(`DELETE FROM snapshot_chunks`);
    rowsDeleted += plan.rows - plan.journalRows.length;
    yield null;
  }
  for (const keys of [plan.manifests, plan.rest]) {
    for (let at = 0; at < keys.length; at += KEYS) {
      keysDeleted += legacy.delete(keys.slice(at, at + KEYS));
      yield null;
    }
  }
  writeRecord(sql, cleaned(cleaning, host));
  return { keysDeleted, rowsDeleted };
}

/** The record of a clean-up that is over. */
export function cleaned(record: TakeoverRecord, host: MoveHost): TakeoverRecord {
  return {
    ...record,
    state: "complete",
    isCleaning: false,
    missing: null,
    fingerprint: legacyFingerprint(host.legacy),
    marker: { ...record.marker, cleaned_at: new Date(host.clock.nowMs()).toISOString() },
  };
}
