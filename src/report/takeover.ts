/** What debug says of an older server's storage: the takeover, entry by entry, and what is left of it (compat sheet, 2.6). */
import type { LegacyStorage } from "../takeover/legacy.ts";
import { legacyFingerprint } from "../takeover/fingerprint.ts";
import type { OpenedAs } from "../takeover/opening.ts";
import { type TakeoverRecord, readableRecord } from "../takeover/record.ts";
import { readMigrationMeta } from "../takeover/sql-layout.ts";

/** The part of debug's `storage` that tells where the vault came from. */
export interface StorageOrigin {
  /** `kv-migrated`, `sql-migrated`: this instance made the move; `refused`; null: nothing special, and the rest of debug says which of `sql`, `fresh`, `kv-fallback`. */
  readonly mode: "kv-migrated" | "sql-migrated" | "refused" | null;
  readonly migrationStatus: "not_started" | "migrated" | "already_sql" | "failed" | "incomplete" | null;
  readonly migrationAt: string | null;
  readonly migrationDurationMs: number | null;
  readonly migrationMeta: Readonly<Record<string, string>> | null;
  readonly legacyDocumentMigrated: boolean;
  readonly takeover: Record<string, unknown> | null;
}

/** @param as how the room was opened */
export function storageOrigin(as: OpenedAs | null, legacy: LegacyStorage): StorageOrigin {
  const record = readableRecord(legacy.sql);
  const marker = record?.marker ?? {};
  const hasMarker = Object.keys(marker).length > 0;
  const duration = Number(marker["duration_ms"]);
  return {
    mode: modeOf(as, record),
    migrationStatus: statusOf(as, record),
    migrationAt: marker["migrated_at"] ?? null,
    migrationDurationMs: hasMarker && Number.isFinite(duration) ? duration : null,
    migrationMeta: hasMarker ? marker : null,
    legacyDocumentMigrated: record?.document === "joined",
    takeover: record === null && as?.hasLegacy !== true ? null : takeoverReport(as, record, legacy),
  };
}

function modeOf(as: OpenedAs | null, record: TakeoverRecord | null): StorageOrigin["mode"] {
  if (as?.refusal != null) return "refused";
  if (as?.movedNow !== true) return null;
  return (record?.marker["source_format"] ?? "").includes("kv") ? "kv-migrated" : "sql-migrated";
}

function statusOf(as: OpenedAs | null, record: TakeoverRecord | null): StorageOrigin["migrationStatus"] {
  if (as?.refusal != null) return "failed";
  if (record === null) return null;
  if (record.state === "incomplete") return "incomplete";
  return as?.movedNow === true ? "migrated" : "already_sql";
}

function takeoverReport(as: OpenedAs | null, record: TakeoverRecord | null, legacy: LegacyStorage): Record<string, unknown> {
  return {
    state: record?.state ?? "not_started",
    refusal: as?.refusal ?? null,
    /** Something of an older server is still stored. */
    oldStorage: legacyFingerprint(legacy) !== null,
    attempts: record?.attempts ?? 0,
    document: record?.document ?? null,
    missing: record?.missing ?? null,
    settled: record?.settled ?? [],
    kept: record?.keep ?? [],
    problems: record?.problems ?? [],
    sources: record?.sources ?? [],
    olderMigrationMeta: readMigrationMeta(legacy.sql),
  };
}

/** Debug's answer while a takeover is under way: there is no room yet. */
export function movingReport(roomId: string, legacy: LegacyStorage): Record<string, unknown> {
  const record = readableRecord(legacy.sql);
  return {
    roomId,
    documentLoaded: false,
    recent: [],
    documentSummary: null,
    documentSummaryReason: "the vault of an older server is being taken over",
    storage: { mode: "moving", migrationStatus: "not_started", migrationAt: null, migrationDurationMs: null, oversizedDeltaCount: 0, migrationMeta: null, takeover: takeoverReport(null, record, legacy) },
    health: { kind: "moving", reason: "the vault of an older server is being taken over", since: null },
  };
}
