/** The small records of the key-value layout, read as the old server validates them (compat sheet, 4 and 4.3). */
import type { KvFamily } from "./kv-keys.ts";

/** The pointer to the current checkpoint. */
export type PointerRecord = { readonly kind: "absent" } | { readonly kind: "invalid" } | { readonly kind: "valid"; readonly version: number };

/** The journal's metadata. An invalid one may still say, in good numbers, how far the journal went. */
export type MetaRecord =
  | { readonly kind: "absent" }
  | {
      readonly kind: "invalid";
      readonly reason: string;
      /** The sequence number after the last one, where the record is well-formed and only inconsistent. */
      readonly nextSeq: number | null;
      /** It speaks of an empty journal, whatever else is wrong with it. */
      readonly isEmpty: boolean;
    }
  | { readonly kind: "valid"; readonly nextSeq: number; readonly entryCount: number; readonly totalBytes: number };

/** A manifest with what can be made of it. Only the hash is needed to prove content; the rest can be found again. */
export interface ManifestRecord {
  /** The old server would accept it: every field is of its form. */
  readonly isWellFormed: boolean;
  /** Its own version or sequence number, to be the one of its key. */
  readonly id: unknown;
  readonly chunkSizeBytes: number | null;
  readonly chunkCount: number | null;
  readonly byteLength: number | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
  /** Of a checkpoint's state vector. */
  readonly vectorByteLength: number | null;
  readonly vectorSha256: string | null;
}

export function readPointer(value: unknown): PointerRecord {
  if (value === undefined) return { kind: "absent" };
  const version = whole(fieldsOf(value)?.["version"], 1);
  return version === null ? { kind: "invalid" } : { kind: "valid", version };
}

export function readMeta(value: unknown): MetaRecord {
  if (value === undefined) return { kind: "absent" };
  const fields = fieldsOf(value) ?? {};
  const nextSeq = whole(fields["nextSeq"], 1);
  const entryCount = whole(fields["entryCount"], 0);
  const totalBytes = whole(fields["totalBytes"], 0);
  const isEmpty = nextSeq === 1 && entryCount === 0;
  if (fields["format"] !== "yaos-doc-journal-v1" || nextSeq === null || entryCount === null || totalBytes === null || !isText(fields["updatedAt"])) {
    return { kind: "invalid", reason: "journal metadata is invalid", nextSeq: null, isEmpty };
  }
  if (entryCount === 0 && totalBytes !== 0) {
    return { kind: "invalid", reason: "journal metadata is inconsistent (entryCount=0 but totalBytes>0)", nextSeq, isEmpty };
  }
  if (nextSeq - entryCount < 1) {
    return { kind: "invalid", reason: `journal metadata is inconsistent (nextSeq=${nextSeq}, entryCount=${entryCount})`, nextSeq, isEmpty };
  }
  return { kind: "valid", nextSeq, entryCount, totalBytes };
}

export function readManifest(family: KvFamily, value: unknown): ManifestRecord {
  const fields = fieldsOf(value) ?? {};
  const isCheckpoint = family.kind === "checkpoint";
  const record = {
    id: fields[isCheckpoint ? "version" : "seq"],
    chunkSizeBytes: whole(fields["chunkSizeBytes"], 1),
    chunkCount: whole(fields["chunkCount"], 0),
    byteLength: whole(fields["byteLength"], 0),
    sha256: hash(fields["sha256"]),
    vectorByteLength: isCheckpoint ? whole(fields["stateVectorByteLength"], 0) : null,
    vectorSha256: isCheckpoint ? hash(fields["stateVectorSha256"]) : null,
  };
  const isWellFormed =
    fields["format"] === (isCheckpoint ? "yaos-doc-checkpoint-v2" : "yaos-doc-journal-entry-v1") &&
    whole(record.id, 1) !== null &&
    record.chunkSizeBytes !== null &&
    record.chunkCount !== null &&
    record.byteLength !== null &&
    record.sha256 !== null &&
    (!isCheckpoint || (record.vectorByteLength !== null && record.vectorSha256 !== null)) &&
    isText(fields["updatedAt"]);
  return { isWellFormed, ...record };
}

function fieldsOf(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}

function whole(value: unknown, least: number): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= least ? value : null;
}

function hash(value: unknown): string | null {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value) ? value : null;
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
