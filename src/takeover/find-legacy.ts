import { joinFindings } from "./join-findings.ts";
import { findKvEntries } from "./kv-layout.ts";
import type { LegacyFindings, LegacyStorage } from "./legacy.ts";
import { findSqlEntries } from "./sql-layout.ts";

/** Everything older servers left, of every layout: none is left out because another exists, for updates commute. */
export function findLegacy(storage: LegacyStorage): LegacyFindings {
  return joinFindings([findKvEntries(storage), findSqlEntries(storage.sql)]);
}
