/** Ways in which the storage of an older server may be torn, each at a place drawn at random. They return what they did, for messages, or null. */
import { createHash } from "node:crypto";
import type { Random } from "./random.ts";
import type { MemoryLegacy } from "./legacy-storage.ts";
import type { StoredUpdate } from "./old-servers.ts";

export type Tear = (legacy: MemoryLegacy, random: Random) => string | null;

const POINTER = "document:checkpoint:current";
const META = "document:journal:meta";
const WRONG = ["text", 42, null, {}, [1, 2], true] as const;

const bytesAt = (value: unknown): Uint8Array | null =>
  value instanceof ArrayBuffer ? new Uint8Array(value) : ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : null;

function anyKey(legacy: MemoryLegacy, random: Random, pick: (key: string, value: unknown) => boolean): string | null {
  const keys = [...legacy.values].filter(([key, value]) => pick(key, value)).map(([key]) => key);
  return keys.length === 0 ? null : random.pick(keys);
}

function loseKey(pick: (key: string) => boolean): Tear {
  return (legacy, random) => {
    const key = anyKey(legacy, random, pick);
    if (key === null) return null;
    legacy.values.delete(key);
    return `lost ${key}`;
  };
}

/** Records that can be made again from others: a takeover loses nothing by their loss. One such tear a vault, or two of them hide each other. */
export const DERIVED_TEARS: readonly Tear[] = [
  loseKey((key) => key === POINTER),
  loseKey((key) => key === META),
  loseKey((key) => key.includes(":state-vector:")),
  (legacy, random) => {
    const key = anyKey(legacy, random, (name) => name === POINTER || name === META);
    if (key === null) return null;
    const value = random.pick(WRONG);
    legacy.values.set(key, value);
    return `${key} is ${JSON.stringify(value)}`;
  },
  (legacy, random) => {
    const key = anyKey(legacy, random, (name) => name.includes(":state-vector:"));
    if (key === null) return null;
    legacy.values.set(key, random.pick([new Uint8Array([1, 2, 3]), new Uint8Array(), "text", 5]));
    return `${key} is another`;
  },
  (legacy, random) => wrongField(legacy, random, META, ["nextSeq", "entryCount", "totalBytes", "format", "updatedAt"]),
  (legacy, random) => {
    const key = anyKey(legacy, random, (name) => name.includes(":manifest:"));
    if (key === null) return null;
    return wrongField(legacy, random, key, ["format", "version", "seq", "chunkSizeBytes", "chunkCount", "byteLength", "stateVectorByteLength", "stateVectorSha256", "updatedAt"]);
  },
  (legacy, random) => {
    const [row] = rowsOf(legacy, "journal", random);
    if (row === undefined) return null;
    legacy.sql.exec(`UPDATE journal SET byte_length = ? WHERE id = ?`, random.int(0, 9_999), row);
    return `byte_length of journal row ${row}`;
  },
  (legacy, random) => {
    if (rowsOf(legacy, "snapshot_chunks", random).length === 0) return null;
    legacy.sql.exec(`INSERT OR REPLACE INTO _migration_meta (key, value) VALUES (?, ?)`, random.pick(["migration_completed", "snapshot_bytes", "migrated_at"]), "none");
    return "markers of PR #51";
  },
];

function wrongField(legacy: MemoryLegacy, random: Random, key: string, names: readonly string[]): string | null {
  const record = legacy.values.get(key);
  if (typeof record !== "object" || record === null) return null;
  const there = names.filter((each) => each in record);
  if (there.length === 0) return null;
  const name = random.pick(there);
  const old = (record as Record<string, unknown>)[name];
  const value = random.pick<unknown>([undefined, "x", -1, 0.5, null, ...(typeof old === "number" ? [old + 1, old - 1, old + 1000, 0] : [])]);
  legacy.values.set(key, { ...record, [name]: value });
  return `${key}.${name} ${String(old)} is ${String(value)}`;
}

/** What is no part of the vault: left by intermediate builds, failed transactions and reused numbers. */
export const LITTER_TEARS: readonly Tear[] = [
  // An unpublished newer checkpoint: chunks alone.
  (legacy, random) => {
    if (!legacy.values.has(POINTER)) return null;
    for (let at = random.int(0, 3); at >= 0; at -= 1) legacy.values.set(`document:checkpoint:chunk:900:${at}`, new Uint8Array(64).fill(at));
    return "chunks of checkpoint 900, unpublished";
  },
  // Chunks of a longer entry that had the number before.
  (legacy, random) => {
    const key = anyKey(legacy, random, (name) => name.startsWith("document:journal:manifest:"));
    if (key === null) return null;
    const { seq, chunkCount } = legacy.values.get(key) as { seq: number; chunkCount: number };
    for (let more = random.int(1, 3); more > 0; more -= 1) legacy.values.set(`document:journal:chunk:${seq}:${chunkCount + more - 1}`, new Uint8Array(50).fill(more));
    return `surplus chunks of entry ${seq}`;
  },
  // Chunks with index 1 and above of entries behind the journal's end.
  (legacy) => {
    if (!legacy.values.has(META)) return null;
    for (const seq of [40, 41]) legacy.values.set(`document:journal:chunk:${seq}:1`, new Uint8Array(30).fill(seq));
    return "chunks 1 of entries 40 and 41";
  },
  (legacy) => {
    legacy.values.set("document:journal:chunk:07:x", "?");
    legacy.values.set("document:other", { version: 1 });
    return "keys of no known form";
  },
];

/** Tears at content; some of them hit a record that could be made again, or litter. */
export const CONTENT_TEARS: readonly Tear[] = [
  loseKey((key) => key.includes(":chunk:")),
  loseKey((key) => key.includes(":manifest:")),
  loseKey((key) => key.startsWith("document:")),
  (legacy, random) => {
    const key = anyKey(legacy, random, (_, value) => (bytesAt(value)?.length ?? 0) > 0);
    if (key === null) return null;
    const bytes = bytesAt(legacy.values.get(key))!.slice();
    bytes[random.int(0, bytes.length - 1)]! ^= 1 << random.int(0, 7);
    legacy.values.set(key, bytes);
    return `a bit of ${key}`;
  },
  (legacy, random) => {
    const key = anyKey(legacy, random, (_, value) => (bytesAt(value)?.length ?? 0) > 0);
    if (key === null) return null;
    const bytes = bytesAt(legacy.values.get(key))!;
    const length = random.int(0, bytes.length - 1);
    legacy.values.set(key, bytes.slice(0, length));
    return `${key} cut to ${length} of ${bytes.length} bytes`;
  },
  (legacy, random) => {
    const key = anyKey(legacy, random, (name) => name.startsWith("document:"));
    if (key === null) return null;
    const value = random.pick(WRONG);
    legacy.values.set(key, value);
    return `${key} is ${JSON.stringify(value)}`;
  },
  (legacy, random) => {
    const key = anyKey(legacy, random, (name) => name.includes(":manifest:"));
    return key === null ? null : wrongField(legacy, random, key, ["sha256"]);
  },
  (legacy, random) => {
    const table = random.pick(["journal", "snapshot_chunks"]);
    const [row] = rowsOf(legacy, table, random);
    if (row === undefined) return null;
    legacy.sql.exec(`DELETE FROM ${table} WHERE rowid = ?`, row);
    return `row ${row} of ${table} deleted`;
  },
  (legacy, random) => {
    const table = random.pick(["journal", "snapshot_chunks"]);
    const [row] = rowsOf(legacy, table, random);
    if (row === undefined) return null;
    const data = legacy.sql.exec<{ data: Uint8Array }>(`SELECT data FROM ${table} WHERE rowid = ?`, row)[0]!.data;
    const kind = random.int(0, 2);
    let torn: Uint8Array | string = "text";
    if (kind === 1 && data.length > 0) torn = new Uint8Array(data.slice(0, random.int(0, data.length - 1)));
    else if (kind === 2 && data.length > 0) {
      torn = new Uint8Array(data);
      torn[random.int(0, torn.length - 1)]! ^= 1 << random.int(0, 7);
    }
    legacy.sql.exec(`UPDATE ${table} SET data = ? WHERE rowid = ?`, torn, row);
    return `row ${row} of ${table} ${["is text", "cut", "a bit of it"][kind]}`;
  },
];

/** Row ids in an order drawn at random. */
function rowsOf(legacy: MemoryLegacy, table: string, random: Random): number[] {
  if (legacy.sql.exec(`SELECT 1 FROM sqlite_schema WHERE name = ?`, table).length === 0) return [];
  return random.shuffle(legacy.sql.exec<{ id: number }>(`SELECT rowid AS id FROM ${table}`).map((row) => row.id));
}

/** Whether an update still stands as it was stored, whatever derived records say. */
export function isIntact(legacy: MemoryLegacy, { name, update }: StoredUpdate): boolean {
  const found = bytesOfStored(legacy, name, hashOf(update));
  return found !== null && Buffer.compare(found, update) === 0;
}

/** The bytes that lie there under a name, or null: no bytes, or no manifest that names their hash. */
export function bytesOfStored(legacy: MemoryLegacy, name: string, sha256: string): Uint8Array | null {
  if (name === "document") return bytesAt(legacy.values.get(name));
  if (name === "snapshot_chunks") return joined(legacy.sql.exec(`SELECT data, chunk_index AS id FROM snapshot_chunks ORDER BY id`));
  if (name.startsWith("journal row")) return joined(legacy.sql.exec(`SELECT data, 0 AS id FROM journal WHERE id = ?`, Number(name.slice(12))));
  if ((legacy.values.get(name) as { sha256?: unknown } | null | undefined)?.sha256 !== sha256) return null;
  let whole: Uint8Array = new Uint8Array();
  for (let at = 0; ; at += 1) {
    const part = bytesAt(legacy.values.get(`${name.replace(":manifest:", ":chunk:")}:${at}`));
    if (part === null) return null;
    whole = Buffer.concat([whole, part]);
    // What lies behind may be litter of an entry that had the number before.
    if (hashOf(whole) === sha256) return whole;
  }
}

function joined(rows: readonly { readonly [column: string]: unknown }[]): Uint8Array | null {
  if (rows.length === 0 || rows.some(({ data, id }, at) => !(data instanceof Uint8Array) || id !== at)) return null;
  return Buffer.concat(rows.map(({ data }) => data as Uint8Array));
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
