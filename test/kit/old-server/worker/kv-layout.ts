/** The key-value layout: a checkpoint and a journal in chunks, each with a manifest (compat sheet, 4 to 4.3). */
import * as Y from "yjs";
import { assertStorable, bytesOf, concat, sha256 } from "./bytes.ts";
import { readPrechunk } from "./prechunk.ts";
import type { JournalSize, Layout } from "./layout.ts";
import type { KeyValues, ObjectStorage } from "./platform.ts";

const CHUNK_BYTES = 512 * 1024;
/** Keys the platform takes in one call. */
const BATCH_KEYS = 128;

interface Manifest {
  readonly format: string;
  readonly chunkSizeBytes: number;
  readonly chunkCount: number;
  readonly byteLength: number;
  readonly sha256: string;
  readonly updatedAt: string;
}

interface CheckpointManifest extends Manifest {
  readonly version: number;
  readonly stateVectorByteLength: number;
  readonly stateVectorSha256: string;
}

interface EntryManifest extends Manifest {
  readonly seq: number;
}

interface JournalMeta extends JournalSize {
  readonly format: string;
  readonly nextSeq: number;
  readonly updatedAt: string;
}

const POINTER = "document:checkpoint:current";
const META = "document:journal:meta";
const manifestKey = (version: number): string => `document:checkpoint:manifest:${version}`;
const vectorKey = (version: number): string => `document:checkpoint:state-vector:${version}`;
const entryKey = (seq: number): string => `document:journal:manifest:${seq}`;
const chunkKeys = (base: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${base}:${index}`);
const checkpointChunks = (manifest: CheckpointManifest): string[] => chunkKeys(`document:checkpoint:chunk:${manifest.version}`, manifest.chunkCount);
const entryChunks = (manifest: EntryManifest): string[] => chunkKeys(`document:journal:chunk:${manifest.seq}`, manifest.chunkCount);

export class KvLayout implements Layout {
  readonly isWritable = true;
  readonly #storage: ObjectStorage;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
  }

  report(): null {
    return null;
  }

  async load(doc: Y.Doc): Promise<void> {
    const updates = await this.readUpdates();
    const prechunk = await readPrechunk(this.#storage, updates);
    for (const update of [...(prechunk === null ? [] : [prechunk]), ...updates]) Y.applyUpdate(doc, update);
    if (prechunk === null) return;
    await this.checkpoint(doc);
    await this.#storage.delete(["document"]);
  }

  /** Checkpoint first, then the live journal. @throws when something does not verify */
  async readUpdates(): Promise<Uint8Array[]> {
    const storage = this.#storage;
    const updates: Uint8Array[] = [];
    const current = await readCheckpoint(storage);
    if (current !== null) {
      updates.push(await readChunks(storage, checkpointChunks(current), current, "checkpoint"));
      const vector = await storage.get(vectorKey(current.version));
      if (vector === undefined) throw new Error(`checkpoint state vector missing for version ${current.version}`);
      const vectorBytes = bytesOf(vector, vectorKey(current.version));
      if (vectorBytes.byteLength !== current.stateVectorByteLength) {
        throw new Error(`checkpoint state vector length mismatch (expected ${current.stateVectorByteLength}, got ${vectorBytes.byteLength})`);
      }
      if ((await sha256(vectorBytes)) !== current.stateVectorSha256) throw new Error("checkpoint state vector sha256 mismatch");
    }
    const entries = await readEntries(storage, await readMeta(storage));
    for (const entry of entries) updates.push(await readChunks(storage, entryChunks(entry), entry, `journal entry ${entry.seq}`));
    return updates;
  }

  async append(update: Uint8Array): Promise<boolean> {
    if (update.byteLength === 0) return true;
    const digest = await sha256(update);
    await this.#storage.transaction(async (transaction) => {
      const meta = await readMeta(transaction);
      const manifest = { format: "yaos-doc-journal-entry-v1", seq: meta.nextSeq, ...manifestOf(update, digest) };
      await putBatched(transaction, chunkEntries(entryChunks(manifest), update));
      await transaction.put({
        [entryKey(manifest.seq)]: manifest,
        [META]: { ...meta, nextSeq: meta.nextSeq + 1, entryCount: meta.entryCount + 1, totalBytes: meta.totalBytes + update.byteLength, updatedAt: now() },
      });
    });
    return true;
  }

  async checkpoint(doc: Y.Doc): Promise<void> {
    const update = Y.encodeStateAsUpdate(doc);
    const vector = Y.encodeStateVector(doc);
    const [digest, vectorDigest] = [await sha256(update), await sha256(vector)];
    await this.#storage.transaction(async (transaction) => {
      const old = await readCheckpoint(transaction);
      const oldEntries = await readEntries(transaction, await readMeta(transaction));
      const version = (old?.version ?? 0) + 1;
      const manifest: CheckpointManifest = {
        ...manifestOf(update, digest),
        format: "yaos-doc-checkpoint-v2",
        version,
        stateVectorByteLength: vector.byteLength,
        stateVectorSha256: vectorDigest,
      };
      await putBatched(transaction, chunkEntries(checkpointChunks(manifest), update));
      await transaction.put({ [manifestKey(version)]: manifest, [vectorKey(version)]: vector, [POINTER]: { version }, [META]: emptyMeta() });
      const stale = [
        ...(old === null ? [] : [manifestKey(old.version), vectorKey(old.version), ...checkpointChunks(old)]),
        ...oldEntries.flatMap((entry) => [entryKey(entry.seq), ...entryChunks(entry)]),
      ];
      for (let at = 0; at < stale.length; at += BATCH_KEYS) await transaction.delete(stale.slice(at, at + BATCH_KEYS));
    });
  }

  journalSize(): Promise<JournalSize> {
    return readMeta(this.#storage);
  }
}

function now(): string {
  return new Date().toISOString();
}

function emptyMeta(): JournalMeta {
  return { format: "yaos-doc-journal-v1", nextSeq: 1, entryCount: 0, totalBytes: 0, updatedAt: now() };
}

function manifestOf(update: Uint8Array, digest: string): Omit<Manifest, "format"> {
  return { chunkSizeBytes: CHUNK_BYTES, chunkCount: Math.ceil(update.byteLength / CHUNK_BYTES), byteLength: update.byteLength, sha256: digest, updatedAt: now() };
}

/** Each chunk a view of the whole payload: storage then clones all of it per chunk (compat sheet, 4.2). */
function chunkEntries(keys: readonly string[], update: Uint8Array): Record<string, Uint8Array> {
  assertStorable(update.buffer.byteLength);
  return Object.fromEntries(keys.map((key, index) => [key, update.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)]));
}

async function putBatched(storage: KeyValues, entries: Record<string, Uint8Array>): Promise<void> {
  const all = Object.entries(entries);
  for (let at = 0; at < all.length; at += BATCH_KEYS) await storage.put(Object.fromEntries(all.slice(at, at + BATCH_KEYS)));
}

async function getBatched(storage: KeyValues, keys: readonly string[]): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  for (let at = 0; at < keys.length; at += BATCH_KEYS) {
    for (const [key, value] of await storage.get(keys.slice(at, at + BATCH_KEYS))) found.set(key, value);
  }
  return found;
}

async function readCheckpoint(storage: KeyValues): Promise<CheckpointManifest | null> {
  const pointer = (await storage.get(POINTER)) as { version?: unknown } | undefined;
  if (pointer === undefined) return null;
  const { version } = pointer;
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1) throw new Error("checkpoint pointer is invalid");
  const manifest = (await storage.get(manifestKey(version))) as CheckpointManifest | undefined;
  if (!isManifest(manifest, "yaos-doc-checkpoint-v2")) throw new Error(`checkpoint manifest missing or invalid for version ${version}`);
  if (manifest.version !== version) throw new Error(`checkpoint version mismatch (pointer=${version}, manifest=${manifest.version})`);
  return manifest;
}

async function readMeta(storage: KeyValues): Promise<JournalMeta> {
  const meta = (await storage.get(META)) as JournalMeta | undefined;
  if (meta === undefined) return emptyMeta();
  if (meta.format !== "yaos-doc-journal-v1" || ![meta.nextSeq, meta.entryCount, meta.totalBytes].every(Number.isInteger)) throw new Error("journal metadata is invalid");
  if (meta.entryCount === 0 && meta.totalBytes !== 0) throw new Error("journal metadata is inconsistent (entryCount=0 but totalBytes>0)");
  if (meta.nextSeq - meta.entryCount < 1) throw new Error(`journal metadata is inconsistent (nextSeq=${meta.nextSeq}, entryCount=${meta.entryCount})`);
  return meta;
}

async function readEntries(storage: KeyValues, meta: JournalMeta): Promise<EntryManifest[]> {
  const seqs = Array.from({ length: meta.entryCount }, (_, index) => meta.nextSeq - meta.entryCount + index);
  const found = await getBatched(storage, seqs.map(entryKey));
  if (found.size !== seqs.length) throw new Error(`journal load failed: expected ${seqs.length} manifests, found ${found.size}`);
  const entries = seqs.map((seq) => {
    const manifest = found.get(entryKey(seq)) as EntryManifest;
    if (!isManifest(manifest, "yaos-doc-journal-entry-v1") || manifest.seq !== seq) throw new Error(`journal load failed: invalid manifest for seq ${seq}`);
    return manifest;
  });
  const total = entries.reduce((sum, entry) => sum + entry.byteLength, 0);
  if (total !== meta.totalBytes) throw new Error(`journal load failed: metadata totalBytes mismatch (expected ${meta.totalBytes}, got ${total})`);
  return entries;
}

function isManifest(value: Manifest | undefined, format: string): value is Manifest {
  return value !== undefined && value.format === format && [value.chunkSizeBytes, value.chunkCount, value.byteLength].every(Number.isInteger) && /^[0-9a-f]{64}$/.test(value.sha256);
}

async function readChunks(storage: KeyValues, keys: readonly string[], manifest: Manifest, what: string): Promise<Uint8Array> {
  const found = await getBatched(storage, keys);
  if (found.size !== keys.length) throw new Error(`${what} load failed: expected ${keys.length} chunks, found ${found.size}`);
  const parts = keys.map((key) => bytesOf(found.get(key), key));
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    if (!isLast && part.byteLength !== manifest.chunkSizeBytes) throw new Error(`${what} load failed: chunk ${index} has invalid length ${part.byteLength}`);
    if (isLast && part.byteLength > manifest.chunkSizeBytes) throw new Error(`${what} load failed: final chunk is too large (${part.byteLength})`);
  }
  const whole = concat(parts);
  if (whole.byteLength > manifest.byteLength) throw new Error(`${what} load failed: chunk bytes exceed manifest size`);
  if (whole.byteLength < manifest.byteLength) throw new Error(`${what} load failed: expected ${manifest.byteLength} bytes, reconstructed ${whole.byteLength}`);
  if ((await sha256(whole)) !== manifest.sha256) throw new Error(`${what} load failed: sha256 mismatch`);
  return whole;
}
