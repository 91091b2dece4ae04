/** One update of the key-value layout, read chunk by chunk from its keys. */
import { bytesOf } from "./bytes-of.ts";
import { chunkKey, type KvFamily, manifestKey, vectorKey } from "./kv-keys.ts";
import { LegacyDamageError, type LegacyEntry, type LegacyKind, type LegacyStorage } from "./legacy.ts";

/** What was found of an entry. */
export interface KvEntryFacts {
  readonly family: KvFamily;
  /** Version or sequence number. */
  readonly id: number;
  readonly isLive: boolean;
  readonly partSizes: readonly number[];
  readonly sha256: string | null;
  readonly hasVector: boolean;
}

/** Tens of thousands of these may exist: keys are made when asked for. */
export class KvEntry implements LegacyEntry {
  readonly kind: LegacyKind;
  readonly isLive: boolean;
  readonly byteLength: number;
  readonly partSizes: readonly number[];
  readonly sha256: string | null;
  readonly #storage: LegacyStorage;
  readonly #family: KvFamily;
  readonly #id: number;
  readonly #hasVector: boolean;

  constructor(storage: LegacyStorage, facts: KvEntryFacts) {
    this.kind = facts.family.kind;
    this.isLive = facts.isLive;
    this.partSizes = facts.partSizes;
    this.byteLength = facts.partSizes.reduce((sum, size) => sum + size, 0);
    this.sha256 = facts.sha256;
    this.#storage = storage;
    this.#family = facts.family;
    this.#id = facts.id;
    this.#hasVector = facts.hasVector;
  }

  get name(): string {
    return manifestKey(this.#family, this.#id);
  }

  get keys(): readonly string[] {
    const keys = [this.name, ...this.partSizes.map((_, index) => chunkKey(this.#family, this.#id, index))];
    if (this.#hasVector) keys.push(vectorKey(this.#id));
    return keys;
  }

  readPart(part: number): Uint8Array {
    const key = chunkKey(this.#family, this.#id, part);
    const value = this.#storage.get(key);
    const failed = `${this.#family.context(this.#id)} load failed`;
    if (value === undefined) throw new LegacyDamageError(key, `${failed}: missing chunk ${part}`);
    const bytes = bytesOf(value);
    if (bytes === null) throw new LegacyDamageError(key, `invalid binary payload for ${key}`);
    if (bytes.byteLength !== this.partSizes[part]) throw new LegacyDamageError(key, `${failed}: chunk ${part} has invalid length ${bytes.byteLength}`);
    return bytes;
  }
}
