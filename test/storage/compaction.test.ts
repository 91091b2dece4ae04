import { expect, test } from "vitest";
import * as Y from "yjs";
import { type CommitBatch, VaultStore } from "../../src/storage/vault-store.ts";
import { planFrame } from "../../src/update/assemble.ts";
import { DeleteSet, DeleteSetBuilder, encodeDeleteSet } from "../../src/update/delete-set.ts";
import type { ClientRange } from "../../src/update/news.ts";
import { withoutPauses } from "../../src/update/pacer.ts";
import { readUpdate } from "../../src/update/reader.ts";
import { byteDifference, plainDoc } from "../kit/compare.ts";
import { checksum } from "../kit/checksum.ts";
import { NodeSql } from "../kit/node-sql.ts";

/** A store fed with a document's own updates, all of them news. */
class Fed {
  readonly sql = new NodeSql();
  readonly store = new VaultStore(this.sql, checksum);
  readonly doc = new Y.Doc({ gc: false });
  #updates: Uint8Array[] = [];

  constructor() {
    this.store.open();
    this.doc.clientID = 7;
    this.doc.on("update", (update: Uint8Array) => this.#updates.push(update));
  }

  batch(): CommitBatch {
    const ranges: ClientRange[] = [];
    const deletes = new DeleteSetBuilder();
    for (const update of this.#updates) {
      readUpdate(update, {
        struct: ({ client, clock, length }) => void ranges.push({ client, from: clock, to: clock + length }),
        deleteRange: (client, clock, length) => deletes.add(client, clock, length),
      });
    }
    const updates = this.#updates;
    this.#updates = [];
    return { updates, ranges, deletes: deletes.build(), held: [], released: [] };
  }

  commit(): void {
    this.store.commit(this.batch(), 0);
  }

  /** What the stored vault shows to an empty client. */
  load(store = this.store): Y.Doc {
    const { chunks } = store.index;
    const frame = planFrame(chunks, () => 0).create(encodeDeleteSet(DeleteSet.empty), (id) => store.readChunk(chunks.find((chunk) => chunk.id === id)!));
    const doc = plainDoc([frame, ...store.readJournalUpdates()]);
    Y.applyUpdate(doc, Uint8Array.of(0, ...encodeDeleteSet(store.readDeletes())));
    return doc;
  }

  reopened(): VaultStore {
    const store = new VaultStore(this.sql, checksum);
    expect(store.open()).toEqual({ gaps: [], damaged: [] });
    return store;
  }
}

/** A vault of which so much was deleted that a chunk wants to be rewritten. */
function deletedVault(): Fed {
  const fed = new Fed();
  const text = fed.doc.getText("t");
  for (let n = 0; n < 400; n++) text.insert(n % 7 === 0 ? 0 : text.length, `line ${n} of some length\n`.repeat(60));
  withoutPauses(fed.store.checkpoint(fed.batch(), 0));
  text.delete(1_000, text.length >> 1);
  withoutPauses(fed.store.checkpoint(fed.batch(), 0));
  expect(fed.store.wantsCompaction).toBe(true);
  return fed;
}

test("commits between the pauses of a compaction stay, and a compaction dropped at any pause has written nothing", () => {
  const fed = deletedVault();
  const text = fed.doc.getText("t");
  const rows = fed.sql.rowsWritten;
  const pauses = [...deletedVault().store.compaction()].length;
  expect(pauses).toBeGreaterThan(1);
  for (let stop = 1; stop <= pauses; stop++) {
    const steps = fed.store.compaction();
    for (let step = 0; step < stop; step++) expect(steps.next().done).toBe(false);
    steps.return(undefined as never);
  }
  expect(fed.sql.rowsWritten).toBe(rows);

  const before = fed.store.chunkBytes;
  let edits = 0;
  for (const _ of fed.store.compaction()) {
    text.insert(edits * 3, "while it pauses ");
    text.delete(edits * 5, 2);
    fed.commit();
    edits += 1;
  }
  expect(edits).toBe(pauses);
  expect(fed.store.chunkBytes).toBeLessThan(before);
  expect(byteDifference(fed.load(), plainDoc([Y.encodeStateAsUpdate(fed.doc)]))).toBe(null);
  expect(byteDifference(fed.load(fed.reopened()), plainDoc([Y.encodeStateAsUpdate(fed.doc)]))).toBe(null);
});

test("a checkpoint dropped at any pause leaves the vault as it was, and the next one takes everything", () => {
  const fed = deletedVault();
  const text = fed.doc.getText("t");
  for (let n = 0; n < 30; n++) text.insert(n * 40, `more ${n}`);
  fed.commit();
  text.delete(100, 500);
  fed.commit();
  const wanted = plainDoc([Y.encodeStateAsUpdate(fed.doc)]);
  for (let stop = 1; ; stop++) {
    const steps = fed.store.checkpoint(null, 0);
    let isDone = false;
    for (let step = 0; step < stop && !isDone; step++) isDone = steps.next().done === true;
    steps.return(undefined as never);
    expect(byteDifference(fed.load(fed.reopened()), wanted), `after ${stop} steps`).toBe(null);
    expect(fed.store.journal.length).toBe(isDone ? 0 : 2);
    if (isDone) break;
  }
  expect(byteDifference(fed.load(), wanted)).toBe(null);
});
