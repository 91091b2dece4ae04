/**
 * What the older servers would have loaded from a storage, by the rules of the compat sheet (4.1, 4.3, 4.4, 5.2): the least that a takeover has to serve.
 * Errors carry the older server's own words.
 */
import { createHash } from "node:crypto";
import * as Y from "yjs";
import type { Sql } from "../../src/ports.ts";
import { plainDoc, retryPending } from "./compare.ts";

type Values = ReadonlyMap<string, unknown>;
type Fields = Record<string, unknown>;

/** Checkpoint, then journal, then perhaps the pre-chunk `document`: the document, or the first error. */
export function oldKvLoads(values: Values): Y.Doc | Error {
  try {
    const updates = [...checkpointOf(values), ...journalOf(values)];
    const doc = loaded(updates);
    const document = values.get("document");
    if (document === undefined) return doc;
    const old = loaded([bytesAt(values, "document")]);
    return activePaths(old) > 0 && isWithoutFiles(doc) ? loaded([bytesAt(values, "document"), ...updates]) : doc;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The tables of PR #51: null when they hold no row, and its server looks at the keys. */
export function oldSqlLoads(sql: Sql): Y.Doc | Error | null {
  try {
    const chunks = rowsOf(sql, "snapshot_chunks", "chunk_index");
    const journal = rowsOf(sql, "journal", "id");
    if (chunks.length === 0 && journal.length === 0) return null;
    return loaded(chunks.length === 0 ? journal : [Buffer.concat(chunks), ...journal]);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function rowsOf(sql: Sql, table: string, order: string): Uint8Array[] {
  if (sql.exec(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?`, table).length === 0) return [];
  return sql.exec(`SELECT data FROM ${table} ORDER BY ${order}`).map(({ data }) => {
    if (!(data instanceof Uint8Array)) throw new Error(`data of ${table} is no BLOB`);
    return data;
  });
}

function loaded(updates: readonly Uint8Array[]): Y.Doc {
  const doc = plainDoc(updates.map((update) => new Uint8Array(update)));
  retryPending(doc);
  return doc;
}

function checkpointOf(values: Values): Uint8Array[] {
  const pointer = values.get("document:checkpoint:current");
  if (pointer === undefined) return [];
  const version = fields(pointer)["version"];
  if (!isWhole(version, 1)) throw new Error("checkpoint pointer is invalid");
  const manifest = fields(values.get(`document:checkpoint:manifest:${version}`));
  const isSound =
    isManifest(manifest, "yaos-doc-checkpoint-v2", "version") && isWhole(manifest["stateVectorByteLength"], 0) && isHash(manifest["stateVectorSha256"]);
  if (!isSound) throw new Error(`checkpoint manifest missing or invalid for version ${version}`);
  if (manifest["version"] !== version) throw new Error(`checkpoint version mismatch (pointer=${version}, manifest=${String(manifest["version"])})`);
  const update = payload(values, `document:checkpoint:chunk:${version}`, manifest, "checkpoint");
  const vectorKey = `document:checkpoint:state-vector:${version}`;
  if (!values.has(vectorKey)) throw new Error(`checkpoint state vector missing for version ${version}`);
  const vector = bytesAt(values, vectorKey);
  if (vector.length !== manifest["stateVectorByteLength"]) {
    throw new Error(`checkpoint state vector length mismatch (expected ${String(manifest["stateVectorByteLength"])}, got ${vector.length})`);
  }
  if (sha256(vector) !== manifest["stateVectorSha256"]) throw new Error("checkpoint state vector sha256 mismatch");
  return update.length === 0 ? [] : [update];
}

function journalOf(values: Values): Uint8Array[] {
  if (!values.has("document:journal:meta")) return [];
  const meta = fields(values.get("document:journal:meta"));
  const { nextSeq, entryCount, totalBytes } = meta;
  if (meta["format"] !== "yaos-doc-journal-v1" || !isWhole(nextSeq, 1) || !isWhole(entryCount, 0) || !isWhole(totalBytes, 0) || !isText(meta["updatedAt"])) {
    throw new Error("journal metadata is invalid");
  }
  if (entryCount === 0 && totalBytes !== 0) throw new Error("journal metadata is inconsistent (entryCount=0 but totalBytes>0)");
  if (nextSeq - entryCount < 1) throw new Error(`journal metadata is inconsistent (nextSeq=${nextSeq}, entryCount=${entryCount})`);
  const seqs = Array.from({ length: entryCount }, (_, at) => nextSeq - entryCount + at);
  const found = seqs.filter((seq) => values.has(`document:journal:manifest:${seq}`)).length;
  if (found !== entryCount) throw new Error(`journal load failed: expected ${entryCount} manifests, found ${found}`);
  let total = 0;
  const updates = seqs.map((seq) => {
    const manifest = fields(values.get(`document:journal:manifest:${seq}`));
    if (!isManifest(manifest, "yaos-doc-journal-entry-v1", "seq") || manifest["seq"] !== seq) throw new Error(`journal load failed: invalid manifest for seq ${seq}`);
    total += manifest["byteLength"] as number;
    return payload(values, `document:journal:chunk:${seq}`, manifest, `journal entry ${seq}`);
  });
  if (total !== totalBytes) throw new Error(`journal load failed: metadata totalBytes mismatch (expected ${totalBytes}, got ${total})`);
  return updates;
}

function payload(values: Values, base: string, manifest: Fields, context: string): Uint8Array {
  const failed = `${context} load failed`;
  const chunkCount = manifest["chunkCount"] as number;
  const chunkSize = manifest["chunkSizeBytes"] as number;
  const byteLength = manifest["byteLength"] as number;
  const keys = Array.from({ length: chunkCount }, (_, at) => `${base}:${at}`);
  const found = keys.filter((key) => values.has(key)).length;
  if (found !== chunkCount) throw new Error(`${failed}: expected ${chunkCount} chunks, found ${found}`);
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (const [at, key] of keys.entries()) {
    const chunk = bytesAt(values, key);
    const isFinal = at === chunkCount - 1;
    if (!isFinal && chunk.length !== chunkSize) throw new Error(`${failed}: chunk ${at} has invalid length ${chunk.length}`);
    if (isFinal && chunk.length > chunkSize) throw new Error(`${failed}: final chunk is too large (${chunk.length})`);
    total += chunk.length;
    if (total > byteLength) throw new Error(`${failed}: chunk bytes exceed manifest size`);
    chunks.push(chunk);
  }
  if (total !== byteLength) throw new Error(`${failed}: expected ${byteLength} bytes, reconstructed ${total}`);
  const update = new Uint8Array(Buffer.concat(chunks));
  if (sha256(update) !== manifest["sha256"]) throw new Error(`${failed}: sha256 mismatch`);
  return update;
}

function bytesAt(values: Values, key: string): Uint8Array {
  const value = values.get(key);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new Error(`invalid binary payload for ${key}`);
}

function activePaths(doc: Y.Doc): number {
  return [...doc.getMap("meta").values()].filter((meta) => typeof fields(meta)["path"] === "string" && !fields(meta)["deleted"] && !(meta instanceof Y.AbstractType)).length;
}

function isWithoutFiles(doc: Y.Doc): boolean {
  return ["meta", "pathToId", "idToText"].every((name) => doc.getMap(name).size === 0);
}

function isManifest(manifest: Fields, format: string, id: string): boolean {
  return (
    manifest["format"] === format &&
    isWhole(manifest[id], 1) &&
    isWhole(manifest["chunkSizeBytes"], 1) &&
    isWhole(manifest["chunkCount"], 0) &&
    isWhole(manifest["byteLength"], 0) &&
    isHash(manifest["sha256"]) &&
    isText(manifest["updatedAt"])
  );
}

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function isWhole(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

function isHash(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
