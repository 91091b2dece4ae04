/** What a room knows of an older server's vault that was moved into its tables: how the move ended, not how it is done. */
import type { ClientRange } from "../update/news.ts";

/** Content of an older server's storage that could not be read. */
export interface MissingPart {
  /** Clocks known to be missing. */
  readonly ranges: readonly ClientRange[];
  /** More may be missing than can be named. */
  readonly isUnnamed: boolean;
  /** Names were read out of damaged bytes and may be wrong: what a client with everything else has is taken whatever it is called. */
  readonly isUnsure?: boolean;
  /** What is wrong, for people. */
  readonly reason: string;
}

/** How the vault of an older server stands. Fixed for the life of the room's instance, which begins after the move. */
export interface TakeoverView {
  /** Why nobody may be let in: the move failed, or cannot be made. Null when there was none, or it ended. */
  readonly refusal: string | null;
  /** What is missing, until it is brought back or an admin accepts the loss; null when nothing is. */
  readonly missing: MissingPart | null;
  /**
   * The older server's updates, oldest first, for a room whose own tables cannot be read. Null when there are none, or not all of them verify, or they are
   * too large to be held. Reads only.
   */
  fallback(): readonly Uint8Array[] | null;
  /** Every named range is durable: the room is to be opened anew, for what lies behind them. Its sessions have been ended. */
  filled(): void;
}

/** A room that never had another server. */
export const NO_TAKEOVER: TakeoverView = { refusal: null, missing: null, fallback: () => null, filled: () => undefined };
