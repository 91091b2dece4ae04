/** What the room counted since this instance started. Plain numbers in one flat object: debug prints it as it is. */
export interface Counters {
  /** Every frame that arrived; always the sum of the outcomes below. */
  framesReceived: number;
  framesRelayed: number;
  framesCovered: number;
  framesHeld: number;
  framesServed: number;
  framesAwareness: number;
  framesIgnored: number;
  framesRefused: number;
  /** Changes of a read-only session: not taken. */
  framesReadOnly: number;
  /** Changes that arrived while storage was degraded and the window was full. */
  framesTurnedAway: number;
}

/** The one outcome every frame has. */
export type FrameOutcome = "relayed" | "covered" | "held" | "served" | "awareness" | "ignored" | "refused" | "readOnly" | "turnedAway";

export const OUTCOME_COUNTER: Record<FrameOutcome, Exclude<keyof Counters, "framesReceived">> = {
  relayed: "framesRelayed",
  covered: "framesCovered",
  held: "framesHeld",
  served: "framesServed",
  awareness: "framesAwareness",
  ignored: "framesIgnored",
  refused: "framesRefused",
  readOnly: "framesReadOnly",
  turnedAway: "framesTurnedAway",
};

export function newCounters(): Counters {
  return {
    framesReceived: 0,
    framesRelayed: 0,
    framesCovered: 0,
    framesHeld: 0,
    framesServed: 0,
    framesAwareness: 0,
    framesIgnored: 0,
    framesRefused: 0,
    framesReadOnly: 0,
    framesTurnedAway: 0,
  };
}
