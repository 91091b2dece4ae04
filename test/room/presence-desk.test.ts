import { describe, expect, it } from "vitest";
import { Awareness, applyAwarenessUpdate, encodeAwarenessUpdate } from "y-protocols/awareness";
import { LIMITS } from "../../src/limits.ts";
import { awarenessFrame } from "../../src/protocol/frames.ts";
import { DocClient } from "../kit/doc-client.ts";
import { TestRoom } from "../kit/test-room.ts";

/** y-websocket drops a connection that was silent for longer (`messageReconnectTimeout`; update laws, W2). */
const STOCK_PATIENCE_MS = 30_000;
/** y-protocols looks every 3 s and renews what is 15 s old, so renewals come 15 to 18 s apart. */
const RENEWALS_MS = [15_000, 16_500, 18_000];
const HOUR_MS = 3_600_000;

const STOCK = { door: "sync", text: false } as const;

/** A y-websocket client in short: a document, a presence, and a note of when it last heard anything. */
interface StockClient {
  readonly client: DocClient;
  readonly awareness: Awareness;
  /** The longest silence so far, milliseconds. */
  longestSilenceMs: number;
  /** Presence frames that reached it. */
  heard: number;
}

function openStock(room: TestRoom): StockClient {
  const client = new DocClient();
  const awareness = new Awareness(client.doc);
  clearInterval((awareness as unknown as { _checkInterval: NodeJS.Timeout })._checkInterval); // renewals are the test's matter
  const stock: StockClient = { client, awareness, longestSilenceMs: 0, heard: 0 };
  room.connect(client, STOCK);
  let lastMs = room.clock.nowMs();
  const { peer } = client;
  const send = peer.send.bind(peer);
  peer.send = (frame) => {
    const nowMs = room.clock.nowMs();
    stock.longestSilenceMs = Math.max(stock.longestSilenceMs, nowMs - lastMs);
    lastMs = nowMs;
    if (frame[0] === 1) stock.heard += 1;
    return send(frame);
  };
  renew(stock);
  room.settle();
  return stock;
}

/** What the client's own timer does: the same state under the next clock. */
function renew({ client, awareness }: StockClient): void {
  awareness.setLocalState(awareness.getLocalState());
  client.outbox.push(awarenessFrame(encodeAwarenessUpdate(awareness, [awareness.clientID])));
}

describe("quiet clients", () => {
  it.each(RENEWALS_MS)("[AW4] a lone one that renews every %i ms hears something in time, awake or asleep", (renewalMs) => {
    const room = new TestRoom();
    const stock = openStock(room);
    for (let n = 0; n * renewalMs < HOUR_MS; n++) {
      room.pass(renewalMs);
      if (n % 3 === 1) room.hibernate();
      renew(stock);
      room.settle();
    }
    expect(stock.longestSilenceMs).toBeLessThanOrEqual(STOCK_PATIENCE_MS);
    expect(stock.client.peer.closed).toBe(null);
  });

  it.each(RENEWALS_MS)("[AW4] one that renews every %i ms hears something in time, whenever others last spoke", (renewalMs) => {
    for (let gapMs = 500; gapMs < renewalMs; gapMs += 500) {
      const room = new TestRoom();
      const stock = openStock(room);
      const other = new DocClient();
      room.connect(other, STOCK);
      room.pass(5_000);
      for (let n = 0; n < 6; n++) {
        // The worst case: something was sent just lately enough to keep the echo back, and then nothing more.
        room.pass(renewalMs - gapMs);
        if (n % 2 === 0) other.doc.getText("t").insert(0, "x");
        room.pass(gapMs);
        if (n % 3 === 0) room.hibernate();
        renew(stock);
        room.settle();
      }
      expect(stock.longestSilenceMs, `others spoke ${gapMs} ms before a renewal`).toBeLessThanOrEqual(STOCK_PATIENCE_MS);
    }
  });

  it("[AW4] nothing is echoed to one that hears others anyway", () => {
    const room = new TestRoom();
    const stock = openStock(room);
    const other = new DocClient();
    room.connect(other, STOCK);
    room.pass(LIMITS.awarenessEchoSilenceMs);
    const before = stock.heard;
    for (let n = 0; n < 20; n++) {
      for (let s = 0; s < 15; s += 5) {
        other.doc.getText("t").insert(0, "x");
        room.pass(5_000);
      }
      renew(stock);
      room.settle();
    }
    expect(stock.heard).toBe(before);
    expect(stock.longestSilenceMs).toBeLessThanOrEqual(LIMITS.awarenessEchoSilenceMs);
  });

  it("[AW4] two that only renew keep each other, and see each other's presence", () => {
    const room = new TestRoom();
    const stocks = [openStock(room), openStock(room)];
    for (let n = 0; n < 40; n++) {
      room.pass(15_000);
      if (n % 4 === 3) room.hibernate();
      for (const stock of stocks) renew(stock);
      room.settle();
    }
    for (const stock of stocks) expect(stock.longestSilenceMs).toBeLessThanOrEqual(STOCK_PATIENCE_MS);
    expect(room.look((r) => r.presence.summary.present)).toBe(2);
  });
});

describe("an echo", () => {
  it("[AW4] changes nothing for the client that gets it", () => {
    const room = new TestRoom();
    const stock = openStock(room);
    const echoes: Uint8Array[] = [];
    const send = stock.client.peer.send.bind(stock.client.peer);
    stock.client.peer.send = (frame) => {
      if (typeof frame !== "string" && frame[0] === 1) echoes.push(frame.slice());
      return send(frame);
    };
    room.pass(15_000);
    renew(stock);
    room.settle();
    expect(echoes).toHaveLength(1);
    const clock = stock.awareness.meta.get(stock.awareness.clientID)?.clock;
    let changes = 0;
    stock.awareness.on("update", () => {
      changes += 1;
    });
    // Outer type and length before the payload: each one byte here.
    applyAwarenessUpdate(stock.awareness, echoes[0]!.subarray(2), null);
    expect(changes).toBe(0);
    expect(stock.awareness.meta.get(stock.awareness.clientID)?.clock).toBe(clock);
  });
});
