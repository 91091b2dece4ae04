import type { LegacyFindings } from "./legacy.ts";

/** Findings one behind the other. */
export function joinFindings(parts: readonly LegacyFindings[]): LegacyFindings {
  return {
    entries: parts.flatMap((part) => part.entries),
    problems: parts.flatMap((part) => part.problems),
    lostVectors: parts.flatMap((part) => part.lostVectors),
    otherKeys: parts.flatMap((part) => part.otherKeys),
  };
}
