/** What is found of the first SQL layout, alone and beside others. */
import { describe, expect, test } from "vitest";
import { findLegacy } from "../../src/takeover/find-legacy.ts";
import { LegacyDamageError } from "../../src/takeover/legacy.ts";
import { readMigrationMeta } from "../../src/takeover/sql-layout.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeSqlLayout } from "../kit/legacy-writer.ts";
import { CHUNK_BYTES, EXAMPLE, exampleLegacy, EXPECTED, losses, names, notes, readWhole, snapshotOf } from "./layout-examples.ts";

describe("the first SQL layout", () => {
  const markers = { migration_completed: "true", source_format: "kv" };
  const sqlLegacy = (options: { markers?: Record<string, string> } = {}): MemoryLegacy => {
    const legacy = new MemoryLegacy();
    writeSqlLayout(legacy.sql, { snapshot: EXAMPLE.checkpoint, journal: EXAMPLE.journal, chunkBytes: CHUNK_BYTES, ...options });
    return legacy;
  };

  test.each([{}, { markers }])("[TK1] snapshot and rows, markers or not: %j", (options) => {
    const legacy = sqlLegacy(options);
    const found = findLegacy(legacy);
    expect(found.problems).toEqual([]);
    expect(names(found.entries)).toEqual(["snapshot_chunks", ...Array.from({ length: 12 }, (_, index) => `journal row ${index + 1}`)]);
    expect(found.entries[0]!.partSizes.length).toBe(4);
    expect(found.entries.every((entry) => entry.isLive && entry.keys.length === 0 && entry.sha256 === null)).toBe(true);
    expect(snapshotOf(found.entries)).toBe(EXPECTED);
    expect(readMigrationMeta(legacy.sql)).toEqual(options.markers ?? null);
  });

  test("[TK1] both layouts at once are both found", () => {
    const legacy = exampleLegacy();
    writeSqlLayout(legacy.sql, { snapshot: EXAMPLE.checkpoint, journal: EXAMPLE.journal });
    const found = findLegacy(legacy);
    expect(found.entries.map((entry) => entry.kind).filter((kind, index, all) => kind !== all[index - 1])).toEqual(["checkpoint", "journal", "sql-snapshot", "sql-journal"]);
  });

  test("[TK1] tables are only read", () => {
    const legacy = sqlLegacy();
    const before = legacy.sql.rowsWritten;
    for (const entry of findLegacy(legacy).entries) readWhole(entry);
    expect(legacy.sql.rowsWritten).toBe(before);
  });

  test("[TK2] a hole in the snapshot is named; what is left of it is read as the old server would, or not", () => {
    const legacy = sqlLegacy();
    legacy.sql.exec(`DELETE FROM snapshot_chunks WHERE chunk_index = 1`);
    const found = findLegacy(legacy);
    expect([losses(found), found.problems[0]?.reason]).toEqual([[], "chunk 1 is missing before chunk 2"]);
    expect(found.entries.length).toBe(13);
  });

  test("[TK2] data that is no BLOB is a loss", () => {
    const legacy = sqlLegacy();
    legacy.sql.exec(`UPDATE snapshot_chunks SET data = 'text' WHERE chunk_index = 3`);
    legacy.sql.exec(`UPDATE journal SET data = 7 WHERE id = 2`);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual(["snapshot_chunks: chunk 3 is no BLOB but text", "journal row 2: data is no BLOB but integer"]);
    expect(found.entries.length).toBe(11);
  });

  test("[TK2] a wrong byte_length costs nothing, a missing row is named", () => {
    const legacy = sqlLegacy();
    legacy.sql.exec(`UPDATE journal SET byte_length = 1 WHERE id = 2`);
    legacy.sql.exec(`DELETE FROM journal WHERE id IN (4, 5)`);
    const found = findLegacy(legacy);
    expect(losses(found)).toEqual([]);
    expect(notes(found)).toEqual([`journal row 2: byte_length is 1, its data has ${EXAMPLE.journal[1]!.length} bytes`, "journal row 4: rows 4 to 5 are missing"]);
    expect(readWhole(found.entries[2]!)).toEqual(EXAMPLE.journal[1]);
  });

  test("[TK2] a row that changes after it was found is refused", () => {
    const legacy = sqlLegacy();
    const [snapshot, row] = findLegacy(legacy).entries;
    legacy.sql.exec(`DELETE FROM journal`);
    legacy.sql.exec(`DROP TABLE snapshot_chunks`);
    expect(() => snapshot!.readPart(0)).toThrow(LegacyDamageError);
    expect(() => row!.readPart(0)).toThrow(LegacyDamageError);
  });

  test("[TK1] tables of the same names that are somebody else's are named and left alone", () => {
    const legacy = new MemoryLegacy();
    legacy.sql.exec(`CREATE TABLE journal (seq INTEGER PRIMARY KEY, line TEXT)`);
    legacy.sql.exec(`CREATE VIEW snapshot_chunks AS SELECT 1 AS chunk_index, x'00' AS data`);
    legacy.sql.exec(`CREATE TABLE _migration_meta (name TEXT)`);
    const found = findLegacy(legacy);
    expect(found.entries).toEqual([]);
    expect(losses(found)).toEqual([]);
    expect(found.problems.map(({ key }) => key)).toEqual(["snapshot_chunks", "journal"]);
    expect(readMigrationMeta(legacy.sql)).toBe(null);
  });
});
