/** Older servers at work over a storage: they save as they did, so that a random history leaves what such an install has (compat sheet, 4.1 and 5). */
import * as Y from "yjs";
import { plainDoc } from "./compare.ts";
import type { MemoryLegacy } from "./legacy-storage.ts";
import { type ChunkShape, writeCheckpoint, writeJournalEntry, writeSqlLayout } from "./legacy-writer.ts";
import { randomEdit } from "./random-edits.ts";
import type { Random } from "./random.ts";

const SHAPES: readonly ChunkShape[] = ["view", "copy", "ArrayBuffer", "DataView"];

/** One update as an older server stored it. */
export interface StoredUpdate {
  /** Storage key of its manifest, `document`, `snapshot_chunks`, or `journal row 3`. */
  readonly name: string;
  readonly update: Uint8Array;
}

/** A server that keeps `doc` and saves what is newer than its last save, with all deletions. */
abstract class OldServer {
  doc: Y.Doc;
  readonly legacy: MemoryLegacy;
  readonly random: Random;
  #vector = Y.encodeStateVector(new Y.Doc());

  constructor(legacy: MemoryLegacy, doc: Y.Doc, random: Random) {
    this.legacy = legacy;
    this.doc = doc;
    this.random = random;
  }

  abstract readonly stored: readonly StoredUpdate[];
  protected abstract append(update: Uint8Array): void;
  protected abstract checkpoint(update: Uint8Array): void;

  /** A save; skipped, as it was, when no clock is new. */
  save(checkpointChance: number): void {
    const vector = Y.encodeStateVector(this.doc);
    if (Buffer.compare(vector, this.#vector) === 0) return;
    if (this.random.chance(checkpointChance)) this.checkpoint(Y.encodeStateAsUpdate(this.doc));
    else this.append(Y.encodeStateAsUpdate(this.doc, this.#vector));
    this.#vector = vector;
  }

  /** A new instance over what is stored. */
  restart(doc: Y.Doc): void {
    this.doc = doc;
    this.#vector = Y.encodeStateVector(doc);
  }
}

/** The key-value layout of `main`. */
export class KvServer extends OldServer {
  stored: StoredUpdate[] = [];
  /** Whether keys of replaced checkpoints stay, as intermediate builds left them. */
  leavesOld = false;
  #version = 0;

  protected append(update: Uint8Array): void {
    const seq = this.stored.filter(({ name }) => name.includes("journal")).length + 1;
    writeJournalEntry(this.legacy.values, seq, update, this.#options(update));
    this.stored.push({ name: `document:journal:manifest:${seq}`, update });
    this.#writeMeta();
  }

  protected checkpoint(update: Uint8Array): void {
    const { values } = this.legacy;
    for (const key of values.keys()) {
      if (key.startsWith("document:journal:") || (!this.leavesOld && key.startsWith("document:checkpoint:"))) values.delete(key);
    }
    this.#version += 1;
    writeCheckpoint(values, this.#version, update, this.#options(update));
    values.set("document:checkpoint:current", { version: this.#version });
    this.stored = [{ name: `document:checkpoint:manifest:${this.#version}`, update }];
    this.#writeMeta();
  }

  #options(update: Uint8Array): { chunkSizeBytes: number; shape: ChunkShape } {
    return { chunkSizeBytes: this.random.int(Math.ceil(update.length / 6), update.length + 10), shape: this.random.pick(SHAPES) };
  }

  #writeMeta(): void {
    const journal = this.stored.filter(({ name }) => name.includes("journal"));
    this.legacy.values.set("document:journal:meta", {
      format: "yaos-doc-journal-v1",
      nextSeq: journal.length + 1,
      entryCount: journal.length,
      totalBytes: journal.reduce((sum, { update }) => sum + update.length, 0),
      updatedAt: "2026-05-20T09:01:00.000Z",
    });
  }
}

/** The tables of PR #51. */
export class SqlServer extends OldServer {
  stored: StoredUpdate[] = [];

  protected append(update: Uint8Array): void {
    writeSqlLayout(this.legacy.sql, { journal: [update] });
    const [row] = this.legacy.sql.exec<{ id: number }>(`SELECT max(id) AS id FROM journal`);
    this.stored.push({ name: `journal row ${row!.id}`, update });
  }

  protected checkpoint(update: Uint8Array): void {
    this.writeSnapshot(update);
  }

  /** What a checkpoint does, and the migration from keys. */
  writeSnapshot(update: Uint8Array): void {
    writeSqlLayout(this.legacy.sql, { snapshot: update, chunkBytes: this.random.int(Math.ceil(update.length / 5), update.length + 10) });
    this.stored = [{ name: "snapshot_chunks", update }];
  }
}

/** A device that comes, edits and leaves. */
export function session(server: OldServer, clientId: number, edits: number): void {
  const client = plainDoc([Y.encodeStateAsUpdate(server.doc)]);
  // Not before it is loaded: Yjs takes another id when it meets its own.
  client.clientID = clientId;
  for (let edit = 0; edit < edits; edit += 1) randomEdit(client, server.random, { surrogates: false });
  Y.applyUpdate(server.doc, Y.encodeStateAsUpdate(client, Y.encodeStateVector(server.doc)), "remote");
}
