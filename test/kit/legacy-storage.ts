import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { deserialize } from "node:v8";
import type { LegacyStorage, Sha256 } from "../../src/takeover/legacy.ts";
import { NodeSql } from "./node-sql.ts";

/** One value of a fixture file (see `test/fixtures/legacy-kv/README.md`). */
interface FixtureBytes {
  readonly type: "bytes";
  readonly base64: string;
  readonly container?: string;
  readonly view?: { readonly bufferByteLength: number; readonly byteOffset: number };
}
type FixtureValue = FixtureBytes | { readonly type: "json"; readonly value: unknown };

export interface LegacyFixture {
  readonly name: string;
  readonly entries: Readonly<Record<string, FixtureValue>>;
}

/**
 * `LegacyStorage` over a `Map`, as the platform gives values back: structured clones, a view together with the whole buffer behind it.
 * Counts what it hands out. `delete` refuses more keys than the platform takes; it is not undone with an SQL transaction.
 */
export class MemoryLegacy implements LegacyStorage {
  readonly values: Map<string, unknown>;
  readonly sql: NodeSql;
  /** Values handed out so far, and the largest sum of backing buffers that one call handed out. */
  valuesRead = 0;
  largestReadBytes = 0;
  #sorted: string[] = [];

  constructor(values: Map<string, unknown> = new Map(), sql: NodeSql = new NodeSql()) {
    this.values = values;
    this.sql = sql;
  }

  get(key: string): unknown {
    const value = structuredClone(this.values.get(key));
    if (value !== undefined) this.#count([value]);
    return value;
  }

  list(prefix: string, after: string | null, limit: number): readonly (readonly [key: string, value: unknown])[] {
    // Sorted once per walk: tests put thousands of keys, and change them between walks.
    if (after === null) this.#sorted = [...this.values.keys()].sort();
    const found: [string, unknown][] = [];
    const start = after === null || after < prefix ? this.#position(prefix, false) : this.#position(after, true);
    for (let at = start; at < this.#sorted.length && found.length < limit; at += 1) {
      const key = this.#sorted[at]!;
      if (!key.startsWith(prefix)) break;
      if (this.values.has(key)) found.push([key, structuredClone(this.values.get(key))]);
    }
    this.#count(found.map(([, value]) => value));
    return found;
  }

  delete(keys: readonly string[]): number {
    if (keys.length > 128) throw new RangeError(`delete: ${keys.length} keys, the platform takes 128`);
    return keys.filter((key) => this.values.delete(key)).length;
  }

  sha256(): Sha256 {
    const hash = createHash("sha256");
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
  }

  /** Where keys not below `key` begin, or above it. */
  #position(key: string, above: boolean): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#sorted[middle]!;
      if (other < key || (above && other === key)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #count(values: readonly unknown[]): void {
    this.valuesRead += values.length;
    let bytes = 0;
    for (const value of values) bytes += ArrayBuffer.isView(value) ? value.buffer.byteLength : value instanceof ArrayBuffer ? value.byteLength : 0;
    this.largestReadBytes = Math.max(this.largestReadBytes, bytes);
  }
}

/** Keys and values of a fixture file; views lie in larger buffers full of junk, as the platform hands them back. */
export function loadFixture(fixture: LegacyFixture): Map<string, unknown> {
  return new Map(Object.entries(fixture.entries).map(([key, value]) => [key, fixtureValue(value)]));
}

function fixtureValue(value: FixtureValue): unknown {
  if (value.type === "json") return value.value;
  const bytes = Uint8Array.from(Buffer.from(value.base64, "base64"));
  if (value.container === "ArrayBuffer") return bytes.buffer;
  return value.view === undefined ? bytes : viewOf(bytes, value.view.byteOffset, value.view.bufferByteLength);
}

/** `bytes` as a view of a buffer that is junk around it. */
export function viewOf(bytes: Uint8Array, byteOffset: number, bufferByteLength: number = byteOffset + bytes.length + 13): Uint8Array {
  const buffer = new Uint8Array(bufferByteLength).fill(0xa5);
  buffer.set(bytes, byteOffset);
  return buffer.subarray(byteOffset, byteOffset + bytes.length);
}

/** The database file of a real object, loaded into memory: its key-value storage read out of the runtime's own table, and its SQL. */
export function openObjectFile(path: string): MemoryLegacy {
  const file = readFileSync(path);
  // Write-ahead logging, by the two version bytes of the header, needs a file; in memory there is only the old way.
  file.fill(1, 18, 20);
  const sql = new NodeSql();
  sql.database.deserialize(file);
  const values = new Map<string, unknown>();
  // Values are stored as V8 serializes them.
  for (const row of sql.exec<{ key: string; value: Uint8Array }>(`SELECT key, value FROM _cf_KV`)) values.set(row.key, deserialize(row.value));
  return new MemoryLegacy(values, sql);
}
