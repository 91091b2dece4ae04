/** The text that tells whether an older server wrote since. */
import { expect, test } from "vitest";
import * as Y from "yjs";
import { legacyFingerprint } from "../../src/takeover/fingerprint.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { writeCheckpoint, writeJournalEntry, writeKvLayout, writeSqlLayout } from "../kit/legacy-writer.ts";

/** An update with this much text. */
function updateOf(characters: number): Uint8Array {
  const doc = new Y.Doc();
  doc.clientID = 5;
  doc.getText("t").insert(0, "x".repeat(characters));
  return Y.encodeStateAsUpdate(doc);
}

test("[TK1] nothing of an older server has no fingerprint, other keys and empty tables included", () => {
  const legacy = new MemoryLegacy(new Map<string, unknown>([["roomMeta", {}], ["trace:1", {}], ["__ps_name", "x"]]));
  expect(legacyFingerprint(legacy)).toBe(null);
  writeSqlLayout(legacy.sql, { journal: [updateOf(3)], markers: { migration_completed: "true" } });
  expect(legacyFingerprint(legacy)).not.toBe(null);
  legacy.sql.exec(`DELETE FROM journal`);
  expect(legacyFingerprint(legacy)).toBe(null);
  legacy.sql.exec(`DROP TABLE journal`);
  legacy.sql.exec(`CREATE TABLE journal (line TEXT)`);
  legacy.sql.exec(`INSERT INTO journal VALUES ('ours')`);
  expect(legacyFingerprint(legacy)).toBe(null);
});

test("[TK1] each write of an older server changes the fingerprint, and reading does not", () => {
  const legacy = new MemoryLegacy();
  const seen = new Set<string | null>([legacyFingerprint(legacy)]);
  const expectNews = (what: string): void => {
    const print = legacyFingerprint(legacy);
    expect(seen.has(print), what).toBe(false);
    expect(legacyFingerprint(legacy)).toBe(print);
    seen.add(print);
  };
  legacy.values.set("document", updateOf(10));
  expectNews("document");
  legacy.values.delete("document");
  writeKvLayout(legacy.values, { journal: [updateOf(10)] });
  expectNews("first journal entry");
  writeKvLayout(legacy.values, { journal: [updateOf(10), updateOf(11)] });
  expectNews("second journal entry");
  writeKvLayout(legacy.values, { checkpoint: updateOf(20) });
  expectNews("checkpoint");
  writeKvLayout(legacy.values, { checkpoint: updateOf(20), version: 2 });
  expectNews("next checkpoint");
  legacy.values.set("document:journal:meta", { ...(legacy.values.get("document:journal:meta") as object), updatedAt: "later" });
  expectNews("same counts at another time");
  writeSqlLayout(legacy.sql, { journal: [updateOf(10)] });
  expectNews("first row");
  writeSqlLayout(legacy.sql, { journal: [updateOf(10)] });
  expectNews("second row");
  writeSqlLayout(legacy.sql, { snapshot: updateOf(10) });
  expectNews("snapshot");
  writeSqlLayout(legacy.sql, { snapshot: updateOf(11) });
  expectNews("other snapshot");
  writeSqlLayout(legacy.sql, { journal: [updateOf(10)] });
  writeSqlLayout(legacy.sql, { snapshot: updateOf(11) });
  expectNews("same snapshot after a row that came and went");
});

test("[TK1] torn states have a fingerprint", () => {
  const values: [string, unknown][] = [["document:checkpoint:current", 5], ["document:journal:meta", "torn"], ["document:checkpoint:chunk:1:0", new Uint8Array(3)], ["document:journal:chunk:1:1", new Uint8Array(3)]];
  for (const [key, value] of values) expect(legacyFingerprint(new MemoryLegacy(new Map([[key, value]]))), key).not.toBe(null);
  const orphans = new MemoryLegacy();
  writeCheckpoint(orphans.values, 1, updateOf(5));
  writeJournalEntry(orphans.values, 1, updateOf(5));
  expect(legacyFingerprint(orphans)).not.toBe(null);
});

test("[TK1] a fingerprint is a handful of small reads, however large the vault", () => {
  const legacy = new MemoryLegacy();
  writeKvLayout(legacy.values, { checkpoint: updateOf(400_000), journal: Array.from({ length: 200 }, () => updateOf(1_000)), chunkSizeBytes: 5_000 });
  writeSqlLayout(legacy.sql, { snapshot: updateOf(400_000), journal: Array.from({ length: 50 }, () => updateOf(1_000)), chunkBytes: 5_000 });
  const rows = legacy.sql.rowsRead;
  legacyFingerprint(legacy);
  expect(legacy.valuesRead).toBe(2);
  expect(legacy.largestReadBytes).toBe(0);
  expect(legacy.sql.rowsRead - rows).toBeLessThan(20);
});
