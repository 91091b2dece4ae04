/**
 * What the room may promise. `healthy`: commits work, receipts go out. `unproven`: a commit failed here or killed the instance before this one; edits are
 * relayed, loudly without receipts, and one commit at growing pauses must succeed before anything is promised again. `unreadable`: what is stored cannot
 * be trusted as a whole; nobody is served an empty document in its place. `fallback`: the same, but what an older server left can be read: that is served
 * from memory, edits are relayed and kept there only, and nothing is written or promised.
 */
export type Health =
  | { readonly kind: "healthy" }
  | { readonly kind: "unproven"; readonly reason: string; readonly sinceMs: number; readonly attempts: number }
  | { readonly kind: "unreadable"; readonly reason: string; readonly sinceMs: number }
  /** `maxBytes`: what the window may hold, base and edits together. */
  | { readonly kind: "fallback"; readonly reason: string; readonly sinceMs: number; readonly maxBytes: number };

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/** How long to wait before the next attempt to commit. */
export function retryPauseMs(attempts: number): number {
  return Math.min(FIRST_PAUSE_MS * 2 ** attempts, LONGEST_PAUSE_MS);
}
