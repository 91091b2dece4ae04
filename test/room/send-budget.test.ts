import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { SendBudget, type SendTicket } from "../../src/room/send-budget.ts";

const MIB = 1024 * 1024;
/** After this long without asking a room is gone, and after this long a grant is over. */
const EXPIRES_MS = 2 * LIMITS.sendCreditWaitMs;
const START_MS = 1_000_000;

function enter(budget: SendBudget, ...sizes: readonly number[]): SendTicket[] {
  return sizes.map((bytes) => budget.enter(bytes, START_MS));
}

describe("send budget", () => {
  it("grants at once what fits, and counts it until it is released", () => {
    const budget = new SendBudget();
    const [a, b] = enter(budget, 20 * MIB, 28 * MIB);
    const endA = a!.tryStart(START_MS);
    const endB = b!.tryStart(START_MS);
    expect([endA, endB]).not.toContain(null);
    expect(budget.state).toEqual({ inFlightBytes: 48 * MIB, waiting: 0 });
    endA!();
    expect(budget.state).toEqual({ inFlightBytes: 28 * MIB, waiting: 0 });
    endA!();
    endB!();
    expect(budget.state).toEqual({ inFlightBytes: 0, waiting: 0 });
  });

  it("lets in no byte more than the budget, and exactly the budget", () => {
    for (const [over, granted] of [[0, true], [1, false]] as const) {
      const budget = new SendBudget();
      const [first, second] = enter(budget, MIB, LIMITS.sendBudgetBytes - MIB + over);
      first!.tryStart(START_MS);
      expect(second!.tryStart(START_MS) !== null, `${over} bytes over`).toBe(granted);
    }
  });

  it("serves in the order of asking: a small answer does not pass a big one that waits", () => {
    const budget = new SendBudget();
    const [running, big, small] = enter(budget, 30 * MIB, 30 * MIB, 2 * MIB);
    const end = running!.tryStart(START_MS)!;
    expect(small!.tryStart(START_MS)).toBe(null);
    expect(big!.tryStart(START_MS)).toBe(null);
    expect(budget.state.waiting).toBe(2);
    end();
    expect(small!.tryStart(START_MS)).toBe(null);
    expect(big!.tryStart(START_MS)).not.toBe(null);
    expect(small!.tryStart(START_MS)).not.toBe(null);
    expect(budget.state).toEqual({ inFlightBytes: 32 * MIB, waiting: 0 });
  });

  it("always lets one through, however big, and nobody beside it", () => {
    const budget = new SendBudget();
    const [huge, tiny] = enter(budget, 2 * LIMITS.sendBudgetBytes, 1);
    const end = huge!.tryStart(START_MS)!;
    expect(end).not.toBe(null);
    expect(tiny!.tryStart(START_MS)).toBe(null);
    end();
    expect(tiny!.tryStart(START_MS)).not.toBe(null);
  });

  it("forgets the place of a room that stopped asking, not of one that goes on", () => {
    const budget = new SendBudget();
    const [running, dead, alive] = enter(budget, 40 * MIB, 40 * MIB, 40 * MIB);
    const end = running!.tryStart(START_MS)!;
    for (let waitedMs = LIMITS.sendRetryMs; waitedMs < EXPIRES_MS; waitedMs += LIMITS.sendRetryMs) {
      expect(alive!.tryStart(START_MS + waitedMs), `after ${waitedMs} ms`).toBe(null);
      if (waitedMs === LIMITS.sendRetryMs) {
        expect(dead!.tryStart(START_MS + waitedMs)).toBe(null);
        end();
      }
      expect(budget.state.waiting).toBe(2);
    }
    // Counted from when it last asked, not from when it joined.
    expect(alive!.tryStart(START_MS + EXPIRES_MS)).toBe(null);
    expect(alive!.tryStart(START_MS + LIMITS.sendRetryMs + EXPIRES_MS)).not.toBe(null);
    expect(budget.state).toEqual({ inFlightBytes: 40 * MIB, waiting: 0 });
  });

  it("ends a grant that nobody released, late, and its release then harms nobody", () => {
    const budget = new SendBudget();
    const [lost, next] = enter(budget, 40 * MIB, 40 * MIB);
    const endLost = lost!.tryStart(START_MS)!;
    expect(next!.tryStart(START_MS + EXPIRES_MS - 1)).toBe(null);
    const endNext = next!.tryStart(START_MS + EXPIRES_MS);
    expect(endNext).not.toBe(null);
    endLost();
    expect(budget.state).toEqual({ inFlightBytes: 40 * MIB, waiting: 0 });
    endNext!();
    expect(budget.state.inFlightBytes).toBe(0);
  });

  it("a grant lasts longer than the wait for a client that does not answer", () => {
    const budget = new SendBudget();
    const [running, next] = enter(budget, 40 * MIB, 40 * MIB);
    running!.tryStart(START_MS);
    expect(next!.tryStart(START_MS + LIMITS.sendCreditWaitMs)).toBe(null);
  });

  it("gives up a place, first or in the middle, and twice", () => {
    const budget = new SendBudget();
    const [running, first, middle, last] = enter(budget, 40 * MIB, 40 * MIB, 40 * MIB, 8 * MIB);
    running!.tryStart(START_MS);
    middle!.cancel();
    middle!.cancel();
    expect(budget.state.waiting).toBe(2);
    expect(last!.tryStart(START_MS)).toBe(null);
    first!.cancel();
    expect(last!.tryStart(START_MS)).not.toBe(null);
    last!.cancel();
    expect(budget.state).toEqual({ inFlightBytes: 48 * MIB, waiting: 0 });
  });

  it("asks on after everybody slept so long that it was dropped as dead", () => {
    const budget = new SendBudget();
    const [running, asleep, newer] = enter(budget, 40 * MIB, 40 * MIB, 1);
    const end = running!.tryStart(START_MS)!;
    expect(asleep!.tryStart(START_MS + 20)).toBe(null);
    newer!.tryStart(START_MS + 5_020);
    end();
    expect(asleep!.tryStart(START_MS + 5_021)).not.toBe(null);
  });
});
