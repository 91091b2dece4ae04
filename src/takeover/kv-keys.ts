/**
 * Keys of the key-value layout (compat sheet, 4). Versions and sequence numbers are plain decimals, not padded: listing order is not
 * their order.
 */

/** The pre-chunk document: one whole update. */
export const DOCUMENT_KEY = "document";
export const CHECKPOINT_PREFIX = "document:checkpoint:";
export const JOURNAL_PREFIX = "document:journal:";
export const CHECKPOINT_POINTER = `${CHECKPOINT_PREFIX}current`;
export const JOURNAL_META = `${JOURNAL_PREFIX}meta`;

/** Keys and words of one entry: `id` is a checkpoint's version or a journal entry's sequence number. */
export interface KvFamily {
  readonly kind: "checkpoint" | "journal";
  readonly prefix: string;
  /** What the old server calls such an entry in its messages. */
  context(id: number): string;
  /** Its message for a manifest that is absent or malformed. */
  manifestFault(id: number): string;
}

export const CHECKPOINTS: KvFamily = {
  kind: "checkpoint",
  prefix: CHECKPOINT_PREFIX,
  context: () => "checkpoint",
  manifestFault: (version) => `checkpoint manifest missing or invalid for version ${version}`,
};

export const JOURNAL: KvFamily = {
  kind: "journal",
  prefix: JOURNAL_PREFIX,
  context: (seq) => `journal entry ${seq}`,
  manifestFault: (seq) => `journal load failed: invalid manifest for seq ${seq}`,
};

export function manifestKey(family: KvFamily, id: number): string {
  return `${family.prefix}manifest:${id}`;
}

export function chunkKey(family: KvFamily, id: number, index: number): string {
  return `${family.prefix}chunk:${id}:${index}`;
}

export function vectorKey(version: number): string {
  return `${CHECKPOINT_PREFIX}state-vector:${version}`;
}

/** What a key of a family is. */
export type KvKey =
  | { readonly kind: "manifest"; readonly id: number }
  | { readonly kind: "vector"; readonly id: number }
  | { readonly kind: "chunk"; readonly id: number; readonly index: number }
  /** The pointer or the journal metadata. */
  | { readonly kind: "head" }
  | { readonly kind: "unknown" };

/** Reads a key that begins with the family's prefix. Padded or huge numbers are unknown: the old server would never look there. */
export function readKey(family: KvFamily, key: string): KvKey {
  if (key === CHECKPOINT_POINTER || key === JOURNAL_META) return { kind: "head" };
  const [word, first, second, ...more] = key.slice(family.prefix.length).split(":");
  const id = decimal(first);
  if (id === null || id < 1 || more.length > 0) return { kind: "unknown" };
  if (word === "chunk") {
    const index = decimal(second);
    return index === null ? { kind: "unknown" } : { kind: "chunk", id, index };
  }
  if (second !== undefined) return { kind: "unknown" };
  if (word === "manifest") return { kind: "manifest", id };
  if (word === "state-vector" && family.kind === "checkpoint") return { kind: "vector", id };
  return { kind: "unknown" };
}

function decimal(text: string | undefined): number | null {
  if (text === undefined || !/^(?:0|[1-9][0-9]{0,15})$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}
