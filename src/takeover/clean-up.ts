/** Clean-up of what an older server left: compares once more that ours hold all of it, and says what would go and what has to stay, before anything is deleted. */
import { ClockIndex } from "../storage/clock-index.ts";
import type { VaultStore } from "../storage/vault-store.ts";
import { splitNews } from "../update/news.ts";
import { Pacer } from "../update/pacer.ts";
import { type WaitingStructs, emitSources } from "./emit-sources.ts";
import { legacyFingerprint } from "./fingerprint.ts";
import { compare } from "./compare.ts";
import { cleaned, deleteOld, planDeletion } from "./delete-old.ts";
import { KEPT_DOCUMENT } from "./kept-document.ts";
import type { MoveHost } from "./move.ts";
import { type TakeoverRecord, readRecord, writeRecord } from "./record.ts";
import type { Source } from "./source.ts";
import { type Survey, knownFrom, survey } from "./survey.ts";
import { verify } from "./verify.ts";

/** Answer of `POST /__yaos/cleanup-kv` (compat sheet, 2.6), with more than the old one said. */
export interface CleanUpReport {
  readonly status: "aborted" | "noop" | "cleaned" | "failed";
  readonly keysDeleted: number;
  /** Rows of PR #51's tables. */
  readonly rowsDeleted: number;
  readonly dryRun?: true;
  /** In a dry run: what would go. */
  readonly keysToDelete?: number;
  readonly rowsToDelete?: number;
  /** What stays, with the reason. */
  readonly kept?: readonly { readonly name: string; readonly reason: string }[];
  readonly error?: string;
}

const PAUSE_EVERY = 4 * 1024 * 1024;

const NOTHING = { keysDeleted: 0, rowsDeleted: 0 };
const REFUSING = "refusing to delete KV data (would cause data loss)";

/**
 * Compares, then deletes. Nothing else may rewrite the store's chunks meanwhile; commits may go on.
 * @param store the room's own @param trouble why the room cannot vouch for its storage now, or null
 */
export function* cleanUp(host: MoveHost, store: VaultStore, trouble: string | null, dryRun: boolean): Generator<null, CleanUpReport> {
  const aborted = (error: string): CleanUpReport => ({ status: "aborted", ...NOTHING, ...(dryRun ? { dryRun } : {}), error });
  if (legacyFingerprint(host.legacy) === null) return { status: "noop", ...NOTHING, ...(dryRun ? { dryRun } : {}) };
  if (trouble !== null) return aborted(`${trouble}: ${REFUSING}`);
  const record = readRecord(host.sql);
  if (record === null || record.state === "moving") return aborted(`SQL storage is empty: ${REFUSING}`);
  const pacer = new Pacer(PAUSE_EVERY);
  const found = yield* survey(host.legacy, knownFrom(record, false), pacer);
  if (found.hasLoss || record.state === "incomplete") return aborted(`part of the old vault cannot be read (${firstLoss(found)}) and nobody has accepted the loss: ${REFUSING}`);
  const isEmpty = found.sources.some((source) => source.structs > 0) && store.clocks.vector.size === 0;
  if (isEmpty) return aborted(`SQL storage is empty: ${REFUSING}`);
  const blocked = yield* waiting(store, found.sources);
  if (typeof blocked === "string") return aborted(`${blocked}: ${REFUSING}`);
  const verdict = yield* compare(store, found, blocked, false, pacer);
  if (!verdict.ok) return aborted(`${verdict.reason}: ${REFUSING}`);
  const kept = yield* keptEntries(store, found, blocked, record, pacer);
  const keep = new Set(kept.flatMap(({ name, keys }) => (keys.length === 0 ? [name] : keys)));
  const keptNames = kept.map(({ name, reason }) => ({ name, reason }));
  const aside = found.left?.entry ?? found.lost.find((entry) => entry.kind === "document") ?? null;
  const entries = [...found.sources.map((source) => source.entry), ...found.lost, ...(found.left === null ? [] : [found.left.entry])];
  const plan = planDeletion(host.sql, [...entries.flatMap((entry) => entry.keys), ...found.otherKeys], keep);
  const [keysToDelete, rowsToDelete] = [plan.heads.length + plan.manifests.length + plan.rest.length, plan.rows];
  if (dryRun) return { status: "noop", ...NOTHING, dryRun, keysToDelete, rowsToDelete, kept: keptNames };
  if (keysToDelete === 0 && rowsToDelete === 0) {
    // One that was broken off is over when there is nothing left to do.
    if (record.isCleaning) writeRecord(host.sql, cleaned({ ...record, keep: [...keep] }, host));
    return { status: "noop", ...NOTHING, kept: keptNames };
  }
  const deleted = yield* deleteOld(host, plan, { ...record, keep: [...keep] }, aside);
  return { status: "cleaned", ...deleted, kept: keptNames };
}

/** What of the sources waits behind gaps; a sentence when something follows on and is not stored. */
function* waiting(store: VaultStore, sources: readonly Source[]): Generator<null, WaitingStructs[] | string> {
  const steps = emitSources(sources, store.clocks);
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) {
    if (step.value !== null) return `${step.value.source.entry.name} holds edits that SQL storage does not`;
    yield null;
  }
  return step.value;
}

/** Entries that hold anything ours do not: they stay. */
function* keptEntries(store: VaultStore, found: Survey, blocked: readonly WaitingStructs[], record: TakeoverRecord, pacer: Pacer): Generator<null, { name: string; reason: string; keys: readonly string[] }[]> {
  const kept: { name: string; reason: string; keys: readonly string[] }[] = [];
  // Structs behind gaps that the room keeps by itself, as it does with those of its clients.
  const waits = new ClockIndex();
  for (const { update } of store.held) {
    const { ready, held: behind } = splitNews(update, () => 0);
    for (const range of [...ready, ...behind]) waits.add(range.client, range.from, range.to);
  }
  for (const source of new Set(blocked.map((each) => each.source))) {
    const isHeld = blocked.filter((each) => each.source === source).every((each) => waits.has(each.client, each.from, each.to));
    if (!isHeld) kept.push({ name: source.entry.name, reason: "some of it waits behind a gap", keys: source.entry.keys });
  }
  for (const entry of found.lost) {
    if (entry.kind === "document") kept.push({ name: entry.name, reason: "it does not verify; its bytes are kept here, for export", keys: [KEPT_DOCUMENT] });
    else if (entry.isLive) kept.push({ name: entry.name, reason: "it does not verify", keys: entry.keys });
  }
  // What was never an entry because it is broken: nobody knows what it holds.
  const named = new Set([...found.sources.map((source) => source.entry.name), ...found.lost.map((entry) => entry.name)]);
  for (const { key, reason, mayBeLoss } of found.problems) {
    if (mayBeLoss !== true && /^(?:snapshot_chunks|journal row \d+)$/.test(key) && !named.has(key) && !kept.some(({ name }) => name === key)) kept.push({ name: key, reason, keys: [] });
  }
  for (const { entry, trailingBytes } of found.sources) {
    if (entry.sha256 === null && trailingBytes > 0) kept.push({ name: entry.name, reason: "there are bytes behind its update, and nothing proves it", keys: entry.keys });
  }
  // What an earlier clean-up has kept, as far as ours do not hold it now.
  const held = new Set(found.sources.flatMap((source) => source.entry.keys));
  const earlier = record.keep.filter((key) => found.otherKeys.includes(key) && !held.has(key));
  if (earlier.length > 0) kept.push({ name: `${earlier.length} keys kept before`, reason: "nothing proves them", keys: earlier });
  // Something was lost and is settled: then what cannot be proven may be the last of it.
  if (record.settled.length > 0) {
    const chunks = found.otherKeys.filter((key) => /:(?:chunk|state-vector):/.test(key));
    if (chunks.length > 0) kept.push({ name: `${chunks.length} keys without a manifest`, reason: "nothing proves them", keys: chunks });
  }
  const { left } = found;
  if (left !== null) {
    const behind = yield* waiting(store, [left]);
    const isThere = typeof behind !== "string" && behind.length === 0;
    const ends = new Map(left.sections.map((section) => [section.client, section.end]));
    if (!isThere || !(yield* verify(store, [left], (client) => ends.get(client) ?? 0, pacer)).ok) {
      // Its key goes all the same: an older server that finds it alone would take it for the vault.
      kept.push({ name: left.entry.name, reason: "it is not part of the vault; its bytes are kept here, for export", keys: [KEPT_DOCUMENT] });
    }
  }
  return kept;
}

function firstLoss(found: Survey): string {
  return found.problems.find((problem) => problem.isLoss)?.reason ?? "unknown";
}

