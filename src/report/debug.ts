/**
 * The answer of `GET /__yaos/debug`: every field plugins and operators know (compat sheet, 2.6), then what this server thinks beyond that.
 * Asking reads what the summary needs and changes nothing.
 */
import type { Sql } from "../ports.ts";
import { LIMITS } from "../limits.ts";
import { encodeStateVector } from "../update/state-vector.ts";
import type { Room } from "../room/room.ts";
import { cutCount } from "../storage/chunk-cuts.ts";
import { SCHEMA_VERSION } from "../storage/schema.ts";
import type { StorageOrigin } from "./takeover.ts";
import { summarizeVault } from "./vault-summary.ts";

/** @param roomId as the caller named it @param nowMs epoch @param origin where the vault came from */
export function debugReport(room: Room, roomId: string, sql: Sql, nowMs: number, origin: StorageOrigin | null = null): Record<string, unknown> {
  const { store, window, stats, health, keeper, counters } = room;
  const readable = health.kind !== "unreadable";
  const { unsaved } = room;
  const isDamaged = store.lost.length > 0 || store.lostUnknown;
  const { summary, reason } = !readable
    ? { summary: null, reason: health.reason }
    : isDamaged
      ? { summary: null, reason: "part of the vault is damaged" }
      : room.isStaging
        ? { summary: null, reason: "a large delta is being stored" }
        : summarizeVault(store, window);
  const sessions = [...room.sessions];
  const durableVector = encodeStateVector(store.clocks.vector);
  const holes = store.clocks.holes();
  return {
    roomId,
    documentLoaded: readable,
    recent: stats.recent.map((entry) => ({ ts: iso(entry.atMs), event: entry.event, roomId, detail: entry.detail })),
    svEcho: stats.receipts,
    persistence: {
      status: health.kind === "healthy" && !isDamaged ? "healthy" : "degraded",
      lastSaveStartedAt: iso(stats.lastSaveStartedAtMs),
      lastSaveSucceededAt: iso(stats.lastSaveSucceededAtMs),
      lastSaveFailedAt: iso(stats.lastSaveFailedAtMs),
      lastSaveError: stats.lastSaveError,
      successfulSaveCount: stats.commits.count,
      failedSaveCount: stats.commits.failed,
      consecutiveSaveFailures: stats.commits.failedInARow,
      queuedSaveCount: (window.isEmpty ? 0 : 1) + (room.isStaging ? 1 : 0),
      checkpointFallbackCount: stats.oversized,
      pendingPersistence: unsaved.sinceMs !== null || health.kind !== "healthy",
      lastDeltaBytes: stats.commits.lastBytes,
      journalEntryCount: readable ? store.journal.length : null,
      journalBytes: readable ? store.journalBytes : null,
      lastPersistedStateVectorHash: readable ? hexPrefix(durableVector) : null,
      loadedStateVectorHash: readable ? hexPrefix(durableVector) : null,
      lastCompactionAt: iso(keeper.lastAtMs),
      lastCompactionReason: keeper.lastReason,
      lastCompactionError: keeper.lastError,
      legacyDocumentMigrated: origin?.legacyDocumentMigrated ?? false,
    },
    documentSummary: summary,
    documentSummaryReason: reason,
    storage: {
      mode: health.kind === "fallback" ? "kv-fallback" : (origin?.mode ?? (store.isFresh ? "fresh" : "sql")),
      migrationStatus: health.kind === "fallback" ? "failed" : (origin?.migrationStatus ?? (store.isFresh ? "not_started" : "already_sql")),
      migrationAt: origin?.migrationAt ?? null,
      migrationDurationMs: origin?.migrationDurationMs ?? null,
      coldLoadDurationMs: stats.openedInMs,
      oversizedDeltaCount: stats.oversized,
      migrationMeta: origin?.migrationMeta ?? null,
      takeover: origin?.takeover ?? null,
      schemaVersion: SCHEMA_VERSION,
      rowsRead: sql.rowsRead,
      rowsWritten: sql.rowsWritten,
      rowsWrittenBy: stats.rowsWrittenBy,
      countedSince: iso(stats.sinceMs),
      databaseBytes: sql.databaseSize,
    },
    health: { kind: health.kind, reason: health.kind === "healthy" ? null : health.reason, since: health.kind === "healthy" ? null : iso(health.sinceMs) },
    index: {
      clients: store.clocks.vector.size,
      stateVectorBytes: durableVector.byteLength,
      chunks: store.index.chunks.length,
      chunkRuns: store.index.chunks.reduce((sum, chunk) => sum + chunk.runs.length, 0),
      chunkBytes: store.chunkBytes,
      cutPoints: store.index.chunks.reduce((sum, chunk) => sum + cutCount(chunk.cuts), 0),
      deletedClocksSinceRewrite: store.index.chunks.reduce((sum, chunk) => sum + chunk.deletedClocks, 0),
    },
    journal: { rows: store.journal.length, bytes: store.journalBytes, head: store.head, absorbed: store.index.absorbed },
    deleteSet: {
      shards: store.index.shards.length,
      ranges: store.index.shards.reduce((sum, shard) => sum + shard.rangeCount, 0),
      baseBytes: store.index.shards.reduce((sum, shard) => sum + shard.byteLength, 0),
      deltaBytes: store.index.deltaBytes,
      journalRanges: store.journalDeletes.rangeCount,
    },
    gaps: { heldRows: store.held.length, heldBytes: room.ingest.heldBytes, holes: holes.slice(0, LIMITS.traceRingEntries), holeCount: holes.length, overlaps: stats.overlaps },
    damage: {
      lost: store.lost.slice(0, LIMITS.traceRingEntries),
      lostRangeCount: store.lost.length,
      lostUnknown: store.lostUnknown,
      setAside: store.damagedRows().map((row) => ({ ...row, atMs: undefined, at: iso(row.atMs) })),
      parkedSessions: sessions.filter((session) => session.parked !== null).length,
      parkedCount: stats.parked,
      healedCount: stats.healed,
    },
    sessions: {
      count: sessions.length,
      live: sessions.filter((session) => session.live).length,
      byDoor: countBy(sessions.map((session) => session.door)),
      connects: stats.connects,
      refused: stats.refusedConnects,
      socketErrors: stats.socketErrors,
      presence: room.presence.summary,
    },
    access: {
      owner: sessions.filter((session) => session.by === "owner").length,
      devices: sessions.filter((session) => session.by !== "owner").length,
      readOnly: sessions.filter((session) => session.mode === "ro").length,
      registered: readable && room.isRegistered,
    },
    schema: readable ? room.schema.summary : null,
    erasedAt: iso(room.erasedAtMs),
    commitBuffer: { bytes: unsaved.byteLength, ageMs: unsaved.sinceMs === null ? 0 : nowMs - unsaved.sinceMs, updates: unsaved.updates },
    receipts: { ...stats.receipts, waitingSessions: sessions.filter((session) => session.durable < session.received).length },
    frames: { ...counters, deliveries: room.relays.deliveries, relayFrames: room.relays.frames },
    refusals: stats.refusals,
    checkpoints: { ...keeper.totals, breakerOpen: keeper.isOpen, longestStepMs: stats.longestStepMs },
    commits: stats.commits,
    serves: { ...stats.serves, sendBudget: room.sendBudget.state },
    errors: stats.errors.map((entry) => ({ ts: iso(entry.atMs), event: entry.event, detail: entry.detail })),
    storedErrors: readable ? store.storedErrors().map((entry) => ({ ts: iso(entry.atMs), event: entry.event, detail: entry.detail })) : [],
  };
}

function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}

/** First 16 bytes as hex: what older servers call a hash. */
function hexPrefix(bytes: Uint8Array): string {
  return [...bytes.subarray(0, 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
