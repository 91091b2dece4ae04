/**
 * What has to be done about an older server's storage before a room may be opened: mostly nothing, which costs a few reads; else a move, step by step;
 * else it is said why not. The room begins after it.
 */
import type { MissingPart, TakeoverView } from "../room/takeover-view.ts";
import { DamagedRowError } from "../storage/damage.ts";
import { readTombstone } from "../storage/tombstone.ts";
import { VaultStore } from "../storage/vault-store.ts";
import { cleaned } from "./delete-old.ts";
import { fallbackUpdates } from "./fallback.ts";
import { isStored } from "./missing.ts";
import { legacyFingerprint } from "./fingerprint.ts";
import { type MoveHost, TakeoverStuckError, move } from "./move.ts";
import { type TakeoverRecord, readableRecord, writeRecord } from "./record.ts";

/** How this instance of the object came to its vault: debug's `storage.mode` and `migrationStatus`. */
export interface OpenedAs {
  readonly record: TakeoverRecord | null;
  /** Something of an older server is stored. */
  readonly hasLegacy: boolean;
  /** This instance made the move. */
  readonly movedNow: boolean;
  /** Milliseconds of the move this instance made, or null. */
  readonly moveMs: number | null;
  /** Why there is no room for this vault, or null. */
  readonly refusal: string | null;
}

export interface Opening {
  readonly view: TakeoverView;
  readonly as: OpenedAs;
}

/** @param filled called when a room reports that its holes are filled */
export interface OpeningHost extends MoveHost {
  readonly filled: () => void;
}

/**
 * What is to be done. A generator when it takes more than reading; run it to its end, in as many turns as it takes, before anything else touches the
 * object's storage. It does not throw for what is wrong with the storage: then the opening says why nobody can be let in.
 */
export function beginOpening(host: OpeningHost): Opening | Generator<null, Opening> {
  let record: TakeoverRecord | null;
  let fingerprint: string | null;
  try {
    if (readTombstone(host.sql) !== null) return opened(host, null, false, null, null);
    // One that cannot be read is made anew: everything it says can be found out again.
    record = readableRecord(host.sql);
    fingerprint = legacyFingerprint(host.legacy);
  } catch (error) {
    return refused(host, null, error);
  }
  const isMoved = record?.state !== "cleaning" && record !== null && record.state !== "moving" && record.fingerprint === fingerprint;
  if (record?.state === "incomplete" && record.fingerprint === fingerprint && isFilled(host, record)) return moving(host, fingerprint);
  if (isMoved || (record === null && fingerprint === null)) return opened(host, record, fingerprint !== null, null, null);
  // What was there was deleted by somebody else once everything of it was here.
  if (fingerprint === null && record !== null && record.state !== "moving") return opened(host, ended(host, record), false, null, null);
  // Without tables that can be read there is nothing to move into; the room says so, or serves what the old ones have.
  if (!isReadable(host)) return opened(host, record, fingerprint !== null, null, null);
  return moving(host, fingerprint);
}

/** Whether everything an older server left is in our tables, or there is nothing. Reads only. */
export function isTakenOver(host: Pick<MoveHost, "sql" | "legacy">): boolean {
  try {
    const record = readableRecord(host.sql);
    const fingerprint = legacyFingerprint(host.legacy);
    return fingerprint === null || (record?.state === "complete" && record.fingerprint === fingerprint);
  } catch {
    return false;
  }
}

function* moving(host: OpeningHost, fingerprint: string | null): Generator<null, Opening> {
  const startedMs = host.clock.nowMs();
  try {
    const record = yield* move(host, fingerprint);
    return opened(host, record, fingerprint !== null, null, host.clock.nowMs() - startedMs);
  } catch (error) {
    return refused(host, readableRecord(host.sql), error);
  }
}

/** A clean-up that lost only its last word is over. */
function ended(host: OpeningHost, record: TakeoverRecord): TakeoverRecord {
  if (record.state !== "cleaning") return record;
  const over = cleaned(record, host);
  writeRecord(host.sql, over);
  return over;
}

/** A client has brought what was missing: what waited for it follows on now. */
function isFilled(host: OpeningHost, record: TakeoverRecord): boolean {
  const store = new VaultStore(host.sql, host.checksum);
  try {
    store.open();
  } catch {
    return false;
  }
  return isStored(record.missing, store.clocks);
}

function isReadable(host: OpeningHost): boolean {
  try {
    new VaultStore(host.sql, host.checksum).open();
    return true;
  } catch {
    return false;
  }
}

function opened(host: OpeningHost, record: TakeoverRecord | null, hasLegacy: boolean, refusal: string | null, moveMs: number | null): Opening {
  const missing: MissingPart | null = record?.state === "incomplete" ? record.missing : null;
  return {
    view: { refusal, missing, fallback: () => (hasLegacy ? fallbackUpdates(host) : null), filled: host.filled },
    as: { record, hasLegacy, movedNow: moveMs !== null, moveMs, refusal },
  };
}

function refused(host: OpeningHost, record: TakeoverRecord | null, error: unknown): Opening {
  const text = error instanceof Error ? error.message : String(error);
  const isKnown = error instanceof TakeoverStuckError || error instanceof DamagedRowError;
  host.log.event("error", "takeover.failed", { error: text.slice(0, 200), known: isKnown });
  return opened(host, record, true, `the vault of the older server could not be taken over: ${text}`, null);
}

