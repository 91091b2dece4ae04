/** A small vault in each older layout, and what tests ask of findings. */
import { createHash } from "node:crypto";
import { expect } from "vitest";
import * as Y from "yjs";
import { LegacyDamageError, type LegacyEntry, type LegacyFindings } from "../../src/takeover/legacy.ts";
import { MemoryLegacy } from "../kit/legacy-storage.ts";
import { type ChunkShape, writeKvLayout } from "../kit/legacy-writer.ts";

/** A vault of a checkpoint in four chunks and twelve journal entries, each of its own client. */
function exampleVault(): { whole: Y.Doc; checkpoint: Uint8Array; journal: Uint8Array[] } {
  const whole = new Y.Doc();
  whole.clientID = 100;
  whole.getMap("meta").set("a", { path: "a.md" });
  whole.getText("t").insert(0, "checkpoint ".repeat(20));
  const checkpoint = Y.encodeStateAsUpdate(whole);
  const journal: Uint8Array[] = [];
  for (let client = 1; client <= 12; client += 1) {
    whole.clientID = client;
    const before = Y.encodeStateVector(whole);
    whole.getText("t").insert(0, `entry ${client} `);
    journal.push(Y.encodeStateAsUpdate(whole, before));
  }
  return { whole, checkpoint, journal };
}

export const EXAMPLE = exampleVault();
export const CHUNK_BYTES = Math.ceil(EXAMPLE.checkpoint.length / 4);

export function exampleLegacy(shape: ChunkShape = "view"): MemoryLegacy {
  const legacy = new MemoryLegacy();
  writeKvLayout(legacy.values, { ...EXAMPLE, version: 3, chunkSizeBytes: CHUNK_BYTES, shape });
  return legacy;
}

export function readWhole(entry: LegacyEntry): Uint8Array {
  const whole = new Uint8Array(entry.byteLength);
  let at = 0;
  for (const [part, size] of entry.partSizes.entries()) {
    const bytes = entry.readPart(part);
    expect(bytes.length).toBe(size);
    whole.set(bytes, at);
    at += size;
  }
  expect(at).toBe(entry.byteLength);
  if (entry.sha256 !== null) expect(createHash("sha256").update(whole).digest("hex"), entry.name).toBe(entry.sha256);
  return whole;
}

/** What the entries add up to, as `Y.encodeSnapshot` has it: vector and delete set. */
export function snapshotOf(entries: readonly LegacyEntry[]): string {
  const doc = new Y.Doc();
  for (const entry of entries) Y.applyUpdate(doc, readWhole(entry));
  expect(doc.store.pendingStructs).toBe(null);
  return Buffer.from(Y.encodeSnapshot(Y.snapshot(doc))).toString("base64");
}

export const EXPECTED = Buffer.from(Y.encodeSnapshot(Y.snapshot(EXAMPLE.whole))).toString("base64");

export const names = (entries: readonly LegacyEntry[]): string[] => entries.map((entry) => entry.name);
export const losses = (found: LegacyFindings): string[] => found.problems.filter((problem) => problem.isLoss).map(({ key, reason }) => `${key}: ${reason}`);
export const notes = (found: LegacyFindings): string[] => found.problems.filter((problem) => !problem.isLoss).map(({ key, reason }) => `${key}: ${reason}`);

/** Why an entry cannot be read; null when it can. */
export function damageOf(entry: LegacyEntry): { key: string; reason: string } | null {
  try {
    readWhole(entry);
    return null;
  } catch (error) {
    if (error instanceof LegacyDamageError) return { key: error.key, reason: error.message };
    throw error;
  }
}
