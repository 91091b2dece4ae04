import { expect, test } from "vitest";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate, removeAwarenessStates } from "y-protocols/awareness";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { type AwarenessEntry, decodeAwareness, encodeAwareness, removalEntry } from "../../src/protocol/awareness-codec.ts";
import { FrameRefusedError } from "../../src/protocol/refused.ts";
import { Presence } from "../../src/room/presence.ts";

function state(client: number, clock: number, text = `{"n":${clock}}`): AwarenessEntry {
  return { client, clock, state: new TextEncoder().encode(text), isNull: text === "null" };
}

function joiner(presence: Presence): [number, number][] {
  const payload = presence.statesForJoiner();
  return payload === null ? [] : decodeAwareness(payload).map((e) => [e.client, e.clock]);
}

test("a newer clock is relayed, owned and echoable; a repeat is neither relayed nor owned", () => {
  const presence = new Presence();
  const first = presence.apply("a", [state(1, 0)]);
  expect(first).toMatchObject({ relayWhole: true, echoNeeded: true, ignored: 0 });
  expect(first.attachments.get("a")).toEqual([[1, 0]]);
  const answer = presence.apply("b", [state(1, 0), state(2, 5)]);
  expect(answer.relay.map((e) => e.client)).toEqual([2]);
  expect([...answer.attachments]).toEqual([["b", [[2, 5]]]]);
  expect(answer.ignored).toBe(1);
  expect(presence.apply("b", [state(1, 0)])).toMatchObject({ relay: [], echoNeeded: false });
  expect(joiner(presence)).toEqual([[1, 0], [2, 5]]);
});

test("closing removes what the connection owns, at its last clock, and nobody else's", () => {
  const presence = new Presence();
  presence.apply("a", [state(1, 4)]);
  presence.apply("b", [state(1, 4), state(2, 5)]);
  expect(presence.close("b")).toEqual([removalEntry(2, 5)]);
  expect(presence.close("b")).toEqual([]);
  expect(joiner(presence)).toEqual([[1, 4]]);
});

test("a reconnect takes the id along, so the late close of the old socket removes nothing", () => {
  const presence = new Presence();
  presence.apply("old", [state(1, 4)]);
  const moved = presence.apply("new", [state(1, 5)]);
  expect(moved.attachments.get("old")).toEqual([]);
  expect(moved.attachments.get("new")).toEqual([[1, 5]]);
  expect(presence.close("old")).toEqual([]);
  expect(presence.close("new")).toEqual([removalEntry(1, 5)]);
});

test("another's equal-clock removal is not believed while the owner lives; the owner's and a newer one are", () => {
  const presence = new Presence();
  presence.apply("a", [state(1, 4)]);
  expect(presence.apply("b", [state(1, 4, "null")]).relay).toEqual([]);
  expect(presence.apply("a", [state(1, 4, "null")]).relay).toHaveLength(1);
  presence.apply("a", [state(1, 5)]);
  const left = presence.apply("b", [state(1, 6, "null")]);
  expect(left.relay).toHaveLength(1);
  expect(left.attachments.get("a")).toEqual([]);
  expect(joiner(presence)).toEqual([]);
});

test("a late re-send does not bring a departed client back; its own next change does", () => {
  const presence = new Presence();
  presence.apply("a", [state(1, 4)]);
  presence.close("a");
  expect(presence.apply("b", [state(1, 4)]).relay).toEqual([]);
  expect(presence.apply("a2", [state(1, 5)]).relay).toHaveLength(1);
});

test("a clock that runs away is ignored, and a spoofed one is taken back by its client's next change", () => {
  const presence = new Presence();
  presence.apply("victim", [state(1, 4)]);
  expect(presence.apply("spoof", [state(1, Number.MAX_SAFE_INTEGER)])).toMatchObject({ relay: [], ignored: 1 });
  expect(presence.apply("spoof", [state(99, LIMITS.maxAwarenessClockStep + 1)]).relay).toEqual([]);
  const client = new Awareness(new Y.Doc());
  try {
    client.clientID = 1;
    applyAwarenessUpdate(client, encodeAwareness([state(1, 4)]), null);
    const spoofed = presence.apply("spoof", [state(1, 4 + LIMITS.maxAwarenessClockStep)]);
    applyAwarenessUpdate(client, encodeAwareness(spoofed.relay), null);
    client.setLocalState({ me: true });
    const back = presence.apply("victim", decodeAwareness(encodeAwarenessUpdate(client, [1])));
    expect(back.relay).toHaveLength(1);
    expect(back.attachments.get("victim")).toHaveLength(1);
    expect(presence.close("spoof")).toEqual([]);
  } finally {
    client.destroy();
  }
});

test("after hibernation ids and clocks are back, states come from the others' answers, once", () => {
  const presence = new Presence();
  presence.restore("a", [[1, 4]]);
  presence.restore("b", [[2, 7]]);
  expect(presence.hasUnknownStates()).toBe(true);
  expect(presence.statesForJoiner()).toBeNull();
  const answer = presence.apply("b", [state(1, 4), state(2, 7)]);
  expect(answer.relayWhole).toBe(true);
  expect(answer.attachments.size).toBe(0);
  expect(presence.hasUnknownStates()).toBe(false);
  expect(presence.apply("a", [state(1, 4), state(2, 7)]).relay).toEqual([]);
  expect(presence.close("a")).toEqual([removalEntry(1, 4)]);
});

test("a socket that closes after hibernation takes its unknown states with it", () => {
  const presence = new Presence();
  presence.restore("a", [[1, 4]]);
  expect(presence.close("a")).toEqual([removalEntry(1, 4)]);
  expect(presence.hasUnknownStates()).toBe(false);
});

test("ids per connection are limited, and a refused frame changes nothing", () => {
  const presence = new Presence();
  const many = Array.from({ length: LIMITS.maxAwarenessIdsPerSession }, (_, i) => state(i, 1));
  presence.apply("a", many);
  expect(() => presence.apply("a", [state(0, 2), state(9_999, 1)])).toThrow(FrameRefusedError);
  expect(presence.apply("a", [state(0, 2)]).relay).toHaveLength(1);
  // An answer with everybody's states owns nothing, so it is no offence.
  expect(presence.apply("b", many).relay).toEqual([]);
});

test("states over the memory limit are relayed but asked for again", () => {
  const presence = new Presence();
  const big = `"${"x".repeat(LIMITS.maxAwarenessBytes - 100)}"`;
  const fit = Math.floor(LIMITS.maxPresenceStateBytes / big.length);
  for (let i = 0; i <= fit; i++) expect(presence.apply(i, [state(i, 1, big)]).relay).toHaveLength(1);
  expect(presence.stateBytes).toBeLessThanOrEqual(LIMITS.maxPresenceStateBytes);
  expect(presence.hasUnknownStates()).toBe(true);
  for (let i = 0; i <= fit; i++) presence.close(i);
  expect(presence.stateBytes).toBe(0);
  expect(presence.hasUnknownStates()).toBe(false);
  expect(presence.presentCount).toBe(0);
});

test("departed clients are forgotten in the end", () => {
  const presence = new Presence();
  for (let i = 0; i < LIMITS.maxPresenceTombstones + 2; i++) {
    presence.apply("a", [state(i, 1)]);
    presence.apply("a", [state(i, 2, "null")]);
  }
  expect(presence.apply("b", [state(0, 1)]).relay).toHaveLength(1);
  expect(presence.apply("b", [state(LIMITS.maxPresenceTombstones, 1)]).relay).toEqual([]);
});

test("kept states do not hold on to the frame they came in", () => {
  const presence = new Presence();
  const payload = encodeAwareness([state(1, 1)]);
  presence.apply("a", decodeAwareness(payload));
  payload.fill(0x20);
  expect(joiner(presence)).toEqual([[1, 1]]);
});

test("stock clients in one room see each other through every close, re-send and reconnect", () => {
  const presence = new Presence();
  const clients = new Map<string, Awareness>();
  const open = (name: string): Awareness => {
    const awareness = new Awareness(new Y.Doc());
    clients.set(name, awareness);
    const joined = presence.statesForJoiner();
    if (joined !== null) applyAwarenessUpdate(awareness, joined, "room");
    return awareness;
  };
  const tell = (entries: readonly AwarenessEntry[], except: string): void => {
    if (entries.length === 0) return;
    for (const [name, awareness] of clients) if (name !== except) applyAwarenessUpdate(awareness, encodeAwareness(entries), "room");
  };
  const send = (name: string, ids?: number[]): void => {
    const awareness = clients.get(name);
    if (awareness === undefined) return;
    tell(presence.apply(name, decodeAwareness(encodeAwarenessUpdate(awareness, ids ?? [awareness.clientID]))).relay, name);
  };
  try {
    for (const name of ["a", "b", "c"]) {
      open(name).setLocalState({ name });
      send(name);
    }
    for (const awareness of clients.values()) expect(awareness.getStates().size).toBe(3);
    // Everybody answers a query with everything it knows: nothing is relayed, nothing changes hands.
    for (const [name, awareness] of clients) send(name, [...awareness.getStates().keys()]);
    const gone = clients.get("b");
    clients.delete("b");
    tell(presence.close("b"), "b");
    for (const awareness of clients.values()) expect(awareness.getStates().size).toBe(2);
    // It comes back over a new connection and changes its state once.
    if (gone !== undefined) {
      removeAwarenessStates(gone, [...gone.getStates().keys()].filter((id) => id !== gone.clientID), "closed");
      clients.set("b2", gone);
      gone.setLocalState({ name: "b", again: true });
    }
    send("b2");
    expect(clients.get("a")?.getStates().size).toBe(3);
    expect(clients.get("c")?.getStates().size).toBe(3);
  } finally {
    for (const awareness of clients.values()) awareness.destroy();
  }
});
