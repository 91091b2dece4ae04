/** How long a push-back waits for what, ms. */
export interface Timings {
  /** For a socket to open and the server's first frame, and for a debug answer. A cold vault has to be loaded. */
  readonly openMs: number;
  /** For an answer, counted from the last frame that came: a large vault comes in several. */
  readonly answerMs: number;
  /** For the old server to save one piece; it begins 2 to 10 s after it came (compat sheet, 5.3). */
  readonly saveMs: number;
  /** Between two looks at its counters. */
  readonly pollMs: number;
  /** After each piece when the server has no counters (1.6.1): its longest wait before a save, and something for the save. */
  readonly quietMs: number;
}

export const TIMINGS: Timings = { openMs: 60_000, answerMs: 60_000, saveMs: 60_000, pollMs: 500, quietMs: 12_000 };
