/** The vault between the two steps: a file with one Yjs v1 update. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import * as Y from "yjs";
import { UpdateRefusedError } from "../../src/update/refused.ts";
import { PushBackError } from "./push-back-error.ts";
import { readFacts, type UpdateFacts } from "./update-facts.ts";

/** A whole vault, checked: gapless, and nothing in it rests on anything outside. */
export interface WholeVault {
  readonly update: Uint8Array;
  readonly facts: UpdateFacts;
  /** Its `sys.schemaVersion`, or 1 as the oldest plugins have none (compat sheet, 7). */
  readonly schemaVersion: number;
}

/** @param what names the bytes in messages @throws {PushBackError} `file-damaged` */
export function checkVault(update: Uint8Array, what: string): WholeVault {
  try {
    const facts = readFacts(update);
    const doc = docOf(update);
    if (!facts.isGapless || doc.store.pendingStructs !== null) throw new PushBackError("file-damaged", `${what} is incomplete: some of its edits rest on others that are not there`);
    const version = doc.getMap("sys").get("schemaVersion");
    return { update, facts, schemaVersion: typeof version === "number" && Number.isSafeInteger(version) && version >= 0 ? version : 1 };
  } catch (cause) {
    if (!(cause instanceof UpdateRefusedError)) throw cause;
    throw new PushBackError("file-damaged", `${what} is no Yjs update or damaged: ${cause.message}`, { cause });
  }
}

/** A document with these updates in it. */
export function docOf(...updates: readonly Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc;
}

/** Refused before anything is asked of a server. @throws {PushBackError} `file-exists` */
export function assertFree(file: string, force: boolean): void {
  if (!force && existsSync(file)) throw new PushBackError("file-exists", `${file} exists already: name another file, or say --force to replace it`);
}

/** Only its owner may read it: it is the whole vault. An existing file is replaced when the new one is on disk. @throws {PushBackError} `file-exists`, `file-unwritable` */
export function writeVault(file: string, update: Uint8Array, force: boolean): void {
  assertFree(file, force);
  const target = force ? `${file}.part` : file;
  try {
    writeFileSync(target, update, { flag: force ? "w" : "wx", mode: 0o600, flush: true });
    if (force) renameSync(target, file);
  } catch (cause) {
    throw new PushBackError("file-unwritable", `Cannot write ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** @throws {PushBackError} `file-unreadable`, `file-damaged` */
export function readVault(file: string): WholeVault {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new PushBackError("file-unreadable", `Cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
  return checkVault(bytes, file);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
