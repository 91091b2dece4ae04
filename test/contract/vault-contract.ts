/**
 * What the room expects of the vault store, on whichever `Sql`. Documents are the judge: what is committed, moved into chunks and compacted must load as the
 * document it came from. Runtime-neutral: the same file runs in Node and inside workerd.
 */
import { describe, expect, it } from "vitest";
import * as Y from "yjs";
import type { Checksum, Sql } from "../../src/ports.ts";
import { CommitWindow } from "../../src/room/commit-window.ts";
import { Ingest } from "../../src/room/ingest.ts";
import { SCHEMA_VERSION, migrate, readSchemaVersion } from "../../src/storage/schema.ts";
import { type CommitBatch, type StepReport, VaultStore } from "../../src/storage/vault-store.ts";
import { planFrame } from "../../src/update/assemble.ts";
import { DeleteSet, encodeDeleteSet } from "../../src/update/delete-set.ts";
import type { SqlFactory } from "./sql-contract.ts";

const AT_MS = 1_767_225_600_000;

/** A store with what the room puts before it, minus sockets and time. */
class Vault {
  readonly store: VaultStore;
  readonly window = new CommitWindow();
  readonly #ingest: Ingest;
  readonly #sql: Sql;
  readonly #checksum: Checksum;

  constructor(sql: Sql, checksum: Checksum) {
    this.#sql = sql;
    this.#checksum = checksum;
    this.store = new VaultStore(sql, checksum);
    expect(this.store.open()).toEqual({ gaps: [], damaged: [] });
    this.#ingest = new Ingest(this.store, this.window);
  }

  /** Takes one update into the window. */
  take(update: Uint8Array): void {
    const taken = this.#ingest.take(update, false);
    for (const piece of taken.pieces) this.window.add(piece.update, piece.ranges, piece.deletes, AT_MS);
    if (taken.held !== null) this.window.hold(taken.held, AT_MS);
    this.window.release(taken.released);
  }

  batch(): CommitBatch {
    return this.window.close().batch;
  }

  commit(...updates: readonly Uint8Array[]): void {
    for (const update of updates) this.take(update);
    this.store.commit(this.batch(), AT_MS);
    this.#ingest.windowClosed();
  }

  /** The document that chunks, delete set and journal make. */
  load(): Y.Doc {
    const { store } = this;
    const { chunks } = store.index;
    const doc = new Y.Doc();
    const plan = planFrame(chunks, () => 0);
    Y.applyUpdate(
      doc,
      plan.create(encodeDeleteSet(store.readDeletes()), (id) => store.readChunk(chunks.find((chunk) => chunk.id === id)!)),
    );
    for (const update of store.readJournalUpdates()) Y.applyUpdate(doc, update);
    return doc;
  }

  reopened(): Vault {
    return new Vault(this.#sql, this.#checksum);
  }
}

function drain(steps: Generator<unknown, StepReport>): { report: StepReport; turns: number } {
  for (let turns = 1; ; turns += 1) {
    const next = steps.next();
    if (next.done === true) return { report: next.value, turns };
  }
}

function expectSame(actual: Y.Doc, expected: Y.Doc): void {
  expect(actual.store.pendingStructs).toBeNull();
  expect(actual.getText("t").toString() === expected.getText("t").toString()).toBe(true);
  expect(actual.getMap("m").toJSON()).toEqual(expected.getMap("m").toJSON());
  expect(Y.equalSnapshots(Y.snapshot(actual), Y.snapshot(expected))).toBe(true);
}

/** A document whose updates are collected. */
function author(clientId: number): { doc: Y.Doc; take: () => Uint8Array[] } {
  const doc = new Y.Doc();
  doc.clientID = clientId;
  let updates: Uint8Array[] = [];
  doc.on("update", (update: Uint8Array) => {
    updates.push(update);
  });
  return {
    doc,
    take: () => {
      const taken = updates;
      updates = [];
      return taken;
    },
  };
}

/** Edits with deletions, from a counter: the same on every runtime. */
function write(doc: Y.Doc, rounds: number, from = 0): void {
  const text = doc.getText("t");
  for (let round = from; round < from + rounds; round += 1) {
    text.insert((round * 7) % (text.length + 1), `word ${round} `);
    if (round % 3 === 2) text.delete((round * 5) % (text.length - 4), 4);
    doc.getMap("m").set(`key ${round % 5}`, round);
  }
}

/** A small update and a big one after it, which cannot be placed without the first. */
function bigBehindGap(byteLength: number, clientId = 1): { doc: Y.Doc; first: Uint8Array; big: Uint8Array } {
  const { doc, take } = author(clientId);
  write(doc, 1);
  const [first, ...others] = take();
  doc.getMap("m").set(`image ${clientId}`, Array.from({ length: byteLength / 8 }, (_, at) => String(at).padStart(8, "0")).join(""));
  return { doc, first: first!, big: Y.mergeUpdates([...others, ...take()]) };
}

/** Registers the suite under `name`; every test gets a database of its own. */
export function registerVaultContract(name: string, withSql: SqlFactory, checksum: Checksum): void {
  const check = (title: string, body: (open: () => Vault, sql: Sql) => void): void => {
    it(title, async () => {
      await withSql((sql) => body(() => new Vault(sql, checksum), sql));
    });
  };

  describe(`vault store on ${name}`, () => {
    check("a fresh object is read without a write, and the first commit makes the schema", (open, sql) => {
      const vault = open();
      expect(vault.store.isFresh).toBe(true);
      expectSame(vault.load(), new Y.Doc());
      expect(sql.rowsWritten).toBe(0);
      const a = author(1);
      write(a.doc, 1);
      vault.commit(...a.take());
      expect(readSchemaVersion(sql)).toBe(SCHEMA_VERSION);
      expect(migrate(sql)).toBe(false);
      expect(vault.store.isFresh).toBe(false);
    });

    check("[JN1] one commit is one row, found again with its deletions after a reopen", (open, sql) => {
      const vault = open();
      const a = author(1);
      write(a.doc, 3);
      vault.commit(...a.take());
      const before = sql.rowsWritten;
      write(a.doc, 10, 3);
      vault.commit(...a.take());
      expect(sql.rowsWritten - before).toBe(1);
      a.doc.getText("t").delete(0, 9);
      vault.commit(...a.take());
      const again = vault.reopened();
      expect(again.store.head).toBe(3);
      expect([...again.store.clocks.vector]).toEqual([...vault.store.clocks.vector]);
      expectSame(again.load(), a.doc);
      expectSame(vault.load(), a.doc);
    });

    check("[JN2] reading back writes nothing", (open, sql) => {
      const vault = open();
      const a = author(1);
      write(a.doc, 20);
      vault.commit(...a.take());
      drain(vault.store.checkpoint(null, AT_MS));
      const before = sql.rowsWritten;
      expectSame(vault.reopened().load(), a.doc);
      expect(sql.rowsWritten).toBe(before);
    });

    check("[CP2] [JN4] a checkpoint moves the journal into chunks; seq and slots go on", (open, sql) => {
      let vault = open();
      const a = author(1);
      const b = author(2);
      for (let round = 0; round < 6; round += 1) {
        write(a.doc, 5, round * 5);
        for (const update of a.take()) Y.applyUpdate(b.doc, update);
        b.take();
        write(b.doc, 5, round * 5);
        const updates = b.take();
        for (const update of updates) Y.applyUpdate(a.doc, update);
        a.take();
        vault.commit(Y.encodeStateAsUpdate(a.doc));
        vault.commit(...updates);
        if (round % 2 === 1) {
          const { report } = drain(vault.store.checkpoint(null, AT_MS));
          expect(report.kind).toBe("done");
          expect(vault.store.journal).toEqual([]);
        }
        vault = vault.reopened();
        expectSame(vault.load(), a.doc);
      }
      expect(drain(vault.store.checkpoint(null, AT_MS)).report.kind).toBe("noop");
      const head = vault.store.head;
      write(a.doc, 1);
      vault.commit(...a.take());
      expect(vault.store.head).toBe(head + 1);
      expect(vault.store.journal.at(-1)?.slot).toBe(1);
      const [{ n } = { n: -1 }] = sql.exec<{ n: number }>(`SELECT count(*) AS n FROM room_chunk`);
      expect(n).toBe(vault.store.index.chunks.reduce((sum, chunk) => sum + chunk.parts, 0));
    });

    check("[CP3] [CP4] compaction keeps the document, and deleted text leaves the bytes", (open) => {
      const vault = open();
      const a = author(1);
      for (let round = 0; round < 6; round += 1) {
        a.doc.getText("t").insert(0, String.fromCharCode(97 + round).repeat(300_000));
        vault.commit(...a.take());
        drain(vault.store.checkpoint(null, AT_MS));
      }
      const before = vault.store.chunkBytes;
      a.doc.getText("t").delete(0, 1_500_000);
      write(a.doc, 4);
      vault.commit(...a.take());
      drain(vault.store.checkpoint(null, AT_MS));
      let steps = 0;
      for (; vault.store.wantsCompaction; steps += 1) {
        expect(steps).toBeLessThan(20);
        expect(vault.store.compactOnce().kind).toBe("done");
        expectSame(vault.reopened().load(), a.doc);
      }
      expect(steps).toBeGreaterThan(0);
      expect(vault.store.chunkBytes).toBeLessThan(before / 2);
      expect(vault.store.compactOnce().kind).toBe("noop");
    });

    check("[SY5] structs behind a gap are stored, not served, and placed when the gap closes", (open, sql) => {
      const vault = open();
      const a = author(1);
      write(a.doc, 2);
      const [first, ...later] = a.take();
      vault.commit(...later);
      expect(vault.store.held.length).toBeGreaterThan(0);
      expect([...vault.store.clocks.vector]).toEqual([]);
      expect(vault.load().store.pendingStructs).toBeNull();
      const again = vault.reopened();
      expect(again.store.held.map((held) => held.update)).toEqual(vault.store.held.map((held) => held.update));
      again.commit(first!);
      expect(again.store.held).toEqual([]);
      expect(sql.exec(`SELECT count(*) AS n FROM room_held`)).toEqual([{ n: 0 }]);
      expectSame(again.load(), a.doc);
      expectSame(again.reopened().load(), a.doc);
    });

    check("[SY9] a held update larger than a row lies in parts, and is placed after a reopen", (open, sql) => {
      const vault = open();
      const { doc, first, big } = bigBehindGap(5_000_000);
      vault.commit(big);
      expect(vault.store.held.length).toBe(1);
      expect(sql.exec(`SELECT count(*) AS n FROM room_held`)).toEqual([{ n: 3 }]);
      const again = vault.reopened();
      expect(again.store.held.map((held) => held.update.byteLength)).toEqual([vault.store.held[0]!.update.byteLength]);
      again.take(first);
      const batch = again.batch();
      expect(again.store.fits(batch)).toBe(false);
      drain(again.store.checkpoint(batch, AT_MS));
      expect(again.store.held).toEqual([]);
      expect(sql.exec(`SELECT count(*) AS n FROM room_held`)).toEqual([{ n: 0 }]);
      expectSame(again.reopened().load(), doc);
    });

    check("[SY9] held updates keep their order of arrival over parts, and one commit may hold 10 MiB", (open, sql) => {
      const vault = open();
      const [a, b] = [bigBehindGap(4_000_000), bigBehindGap(6_000_000, 2)];
      const c = author(3);
      write(c.doc, 2);
      const [start, ...rest] = c.take();
      vault.commit(...rest.slice(0, 1), a.big, b.big, ...rest.slice(1));
      const again = vault.reopened();
      expect(again.store.held.map((held) => checksum(held.update))).toEqual(vault.store.held.map((held) => checksum(held.update)));
      // Small ones are placed by a commit; the big ones and their rows stay.
      again.commit(start!);
      expect(again.store.held.length).toBe(2);
      again.take(a.first);
      again.take(b.first);
      drain(again.store.checkpoint(again.batch(), AT_MS));
      expect(sql.exec(`SELECT count(*) AS n FROM room_held`)).toEqual([{ n: 0 }]);
      const loaded = again.reopened().load();
      for (const { doc } of [a, b, c]) Y.applyUpdate(doc, Y.encodeStateAsUpdate(loaded));
      expectSame(loaded, a.doc);
      expectSame(loaded, c.doc);
    });

    check("[SY9] a checkpoint that publishes an oversized batch stores what is held with it", (open, sql) => {
      const vault = open();
      const a = author(5);
      a.doc.getMap("m").set("image", Uint8Array.from({ length: 2_000_000 }, (_, at) => at % 251));
      const { first, big, doc } = bigBehindGap(5_000_000);
      for (const update of [...a.take(), big]) vault.take(update);
      drain(vault.store.checkpoint(vault.batch(), AT_MS));
      expect(vault.store.held.length).toBe(1);
      expect(sql.exec(`SELECT count(*) AS n FROM room_held`)).toEqual([{ n: 3 }]);
      const again = vault.reopened();
      again.take(first);
      drain(again.store.checkpoint(again.batch(), AT_MS));
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(a.doc));
      expectSame(again.reopened().load(), doc);
    });

    for (const [name, damage, reason, partsKept] of [
      ["a missing part", `DELETE FROM room_held WHERE key = (SELECT max(key) FROM room_held)`, "row-missing", 2],
      ["a damaged part", `UPDATE room_held SET data = x'00' WHERE key = (SELECT max(key) - 1 FROM room_held)`, "checksum-mismatch", 3],
    ] as const) {
      check(`[DG3] ${name} of a held update sets it aside, and a repeat is held again`, (open, sql) => {
        const vault = open();
        const { doc, first, big } = bigBehindGap(5_000_000);
        const c = author(3);
        write(c.doc, 1);
        const [, second] = c.take();
        vault.commit(second!);
        vault.commit(big);
        sql.exec(damage);
        const store = new VaultStore(sql, checksum);
        const { gaps, damaged } = store.open();
        expect(gaps).toEqual([]);
        expect(damaged.map((error) => [error.origin.kind, error.reason])).toEqual([["held", reason]]);
        expect(store.held.length).toBe(1);
        store.setAside(damaged, AT_MS);
        expect(store.damagedRows().map((row) => row.origin)).toEqual(Array.from({ length: partsKept }, () => "held row 2"));
        expect(store.lost).toEqual([]);
        const again = vault.reopened();
        expect(again.store.held.length).toBe(1);
        again.commit(big);
        again.take(first);
        drain(again.store.checkpoint(again.batch(), AT_MS));
        expectSame(again.reopened().load(), doc);
      });
    }

    for (const table of ["room_index", "room_index_copy"]) {
      check(`[DG4] a room is read without ${table}, which is written again`, (open, sql) => {
        const vault = open();
        const a = author(1);
        write(a.doc, 20);
        vault.commit(...a.take());
        drain(vault.store.checkpoint(null, AT_MS));
        sql.exec(`UPDATE ${table} SET sum = sum + 1`);
        const store = new VaultStore(sql, checksum);
        const { damaged } = store.open();
        expect(damaged.map((error) => error.message)).toEqual(table === "room_index" ? ["Cannot read index copy 1: checksum-mismatch"] : []);
        expect([...store.clocks.vector]).toEqual([...vault.store.clocks.vector]);
        const before = sql.rowsWritten;
        if (damaged.length > 0) {
          store.setAside(damaged, AT_MS);
          // The bytes set aside, and both copies.
          expect(sql.rowsWritten - before).toBe(3);
        } else {
          const again = vault.reopened();
          write(a.doc, 5, 20);
          again.commit(...a.take());
          drain(again.store.checkpoint(null, AT_MS));
        }
        sql.exec(`UPDATE ${table === "room_index" ? "room_index_copy" : "room_index"} SET sum = sum + 1`);
        const last = new VaultStore(sql, checksum);
        last.setAside(last.open().damaged, AT_MS);
        expectSame(vault.reopened().load(), a.doc);
      });
    }

    check("[DG4] a room without either copy of its index is not opened", (open, sql) => {
      const vault = open();
      const a = author(1);
      write(a.doc, 20);
      vault.commit(...a.take());
      drain(vault.store.checkpoint(null, AT_MS));
      sql.exec(`UPDATE room_index SET sum = sum + 1`);
      sql.exec(`UPDATE room_index_copy SET sum = sum + 1`);
      expect(() => new VaultStore(sql, checksum).open()).toThrow("Cannot read index: checksum-mismatch");
      sql.exec(`DELETE FROM room_index`);
      sql.exec(`DELETE FROM room_index_copy`);
      expect(() => new VaultStore(sql, checksum).open()).toThrow("Cannot read index: row-missing");
    });

    check("[DG2] the proof of an object that has nothing yet makes a whole room", (open) => {
      const first = open();
      first.store.prove(AT_MS);
      const vault = first.reopened();
      expect(vault.store.isFresh).toBe(false);
      const a = author(1);
      write(a.doc, 3);
      vault.commit(...a.take());
      expectSame(vault.reopened().load(), a.doc);
    });

    for (const [name, damage] of [
      ["no schema version", `DELETE FROM room_meta WHERE key = 'schema_version'`],
      ["an unreadable schema version", `UPDATE room_meta SET value = 'x' WHERE key = 'schema_version'`],
      ["schema version 0", `UPDATE room_meta SET value = '0' WHERE key = 'schema_version'`],
      ["no oldest version that may open it", `DELETE FROM room_meta WHERE key = 'min_safe_version'`],
      ["an empty room_meta", `DELETE FROM room_meta`],
      ...["room_meta", "room_journal", "room_index", "room_chunk", "room_deletes", "room_held"].map((table) => [`no table ${table}`, `DROP TABLE ${table}`] as const),
    ] as const) {
      check(`[DG4] a room with ${name} is not opened as a new one`, (open, sql) => {
        const vault = open();
        const a = author(1);
        write(a.doc, 3);
        vault.commit(...a.take());
        sql.exec(damage);
        const before = sql.rowsWritten;
        expect(() => new VaultStore(sql, checksum).open()).toThrow();
        expect(sql.rowsWritten).toBe(before);
      });
    }

    for (const seq of [0, 4, 1_000_000_000_000]) {
      check(`[DG3] a journal row that says it is number ${seq} costs itself only, and its bytes are kept`, (open, sql) => {
        const vault = open();
        const authors = [1, 2, 3, 4].map((client) => author(client));
        for (const { doc, take } of authors) {
          doc.getMap("m").set(`row of ${doc.clientID}`, doc.clientID);
          vault.commit(...take());
        }
        const [{ data } = { data: new Uint8Array() }] = sql.exec<{ data: Uint8Array }>(`SELECT data FROM room_journal WHERE slot = 2`);
        sql.exec(`UPDATE room_journal SET seq = ? WHERE slot = 2`, seq);
        const store = new VaultStore(sql, checksum);
        const { gaps, damaged } = store.open();
        expect([gaps, damaged.map((error) => error.message)]).toEqual([[], ["Cannot read journal slot 2: row-unreadable"]]);
        store.setAside(damaged, AT_MS);
        expect(sql.exec(`SELECT origin, data FROM room_damaged`)).toEqual([{ origin: "journal slot 2", data }]);
        const again = vault.reopened();
        expect(again.store.lostUnknown).toBe(true);
        expect(again.store.head).toBe(4);
        expect(again.load().getMap("m").toJSON()).toEqual({ "row of 1": 1, "row of 3": 3, "row of 4": 4 });
      });
    }

    check("[JN7] an oversized batch is staged and published with the journal before it, or not at all", (open, sql) => {
      const vault = open();
      const a = author(1);
      write(a.doc, 5);
      vault.commit(...a.take());
      const small = new Y.Doc();
      Y.applyUpdate(small, Y.encodeStateAsUpdate(a.doc));
      a.doc.transact(() => {
        for (let at = 0; at < 50; at += 1) a.doc.getMap("m").set(`big ${at}`, "b".repeat(100_000));
      });
      const updates = a.take();
      for (const update of updates) vault.take(update);
      const batch = vault.batch();
      expect(vault.store.fits(batch)).toBe(false);
      expect(() => vault.store.commit(batch, AT_MS)).toThrow(RangeError);

      // Dropped half way: staged chunks are in the database and no part of the vault.
      const dropped = vault.store.checkpoint(batch, AT_MS);
      for (let turn = 0; turn < 4; turn += 1) expect(dropped.next().done).toBe(false);
      expectSame(vault.reopened().load(), small);

      const again = vault.reopened();
      for (const update of updates) again.take(update);
      const { report, turns } = drain(again.store.checkpoint(again.batch(), AT_MS));
      expect(turns).toBeGreaterThan(2);
      expect(report.chunksWritten).toBeGreaterThan(2);
      expect(again.store.journal).toEqual([]);
      expectSame(again.load(), a.doc);
      expectSame(again.reopened().load(), a.doc);
      const [{ n } = { n: -1 }] = sql.exec<{ n: number }>(`SELECT count(*) AS n FROM room_chunk`);
      expect(n).toBe(again.store.index.chunks.reduce((sum, chunk) => sum + chunk.parts, 0));
    });

    check("a single struct larger than a row is kept in parts", (open) => {
      const vault = open();
      const a = author(1);
      a.doc.getMap("m").set("image", Uint8Array.from({ length: 4_500_000 }, (_, at) => at % 253));
      for (const update of a.take()) vault.take(update);
      drain(vault.store.checkpoint(vault.batch(), AT_MS));
      expect(Math.max(...vault.store.index.chunks.map((chunk) => chunk.parts))).toBeGreaterThan(1);
      const image = vault.reopened().load().getMap("m").get("image") as Uint8Array;
      expect(image.byteLength).toBe(4_500_000);
      expect(image.every((byte, at) => byte === at % 253)).toBe(true);
    });

    check("[JN6] a commit that fails leaves disk and memory as they were", (open, sql) => {
      const vault = open();
      const a = author(1);
      write(a.doc, 5);
      vault.commit(...a.take());
      const bad: CommitBatch = {
        updates: [Uint8Array.of(0, 0)],
        ranges: [],
        deletes: DeleteSet.empty,
        // Not a value a column takes: the statement after the journal row fails.
        held: [null as unknown as Uint8Array],
        released: [],
      };
      expect(() => vault.store.commit(bad, AT_MS)).toThrow();
      expect(vault.store.head).toBe(1);
      expect(sql.exec(`SELECT count(*) AS n FROM room_journal`)).toEqual([{ n: 1 }]);
      write(a.doc, 5, 5);
      vault.commit(...a.take());
      expectSame(vault.reopened().load(), a.doc);
    });
  });
}
