import { expect, test } from "vitest";
import * as Y from "yjs";
import { LIMITS } from "../../src/limits.ts";
import { CLOSE, VAULT_REFUSALS, closeFor } from "../../src/protocol/close-codes.ts";
import { degradedFrame, receiptFrame, refusalFrames } from "../../src/protocol/custom.ts";
import { FrameRefusedError } from "../../src/protocol/refused.ts";
import { UpdateRefusedError } from "../../src/update/refused.ts";

test("a receipt has exactly the keys plugins know, then ours, in order", () => {
  const stateVector = Y.encodeStateVector(new Y.Doc());
  expect(receiptFrame({ stateVector, epoch: "e1", durableFrames: 3 })).toBe(
    '__YPS:{"type":"yaos/sv-echo","schema":1,"sv":"AA==","epoch":"e1","durableFrames":3}',
  );
  const big = Uint8Array.from({ length: 40_000 }, (_, i) => i % 251);
  const sv = (JSON.parse(receiptFrame({ stateVector: big, epoch: "e", durableFrames: 0 })?.slice(6) ?? "{}") as { sv: string }).sv;
  expect(sv).toBe(Buffer.from(big).toString("base64"));
});

test("a vector whose base64 is over the limit gives no receipt", () => {
  const fits = (LIMITS.maxReceiptVectorChars / 4) * 3;
  expect(receiptFrame({ stateVector: new Uint8Array(fits), epoch: "e", durableFrames: 0 })).not.toBeNull();
  expect(receiptFrame({ stateVector: new Uint8Array(fits + 1), epoch: "e", durableFrames: 0 })).toBeNull();
});

test("refusals at the YAOS door are the two frames of the compat sheet", () => {
  expect(refusalFrames("unauthorized")).toEqual(['{"type":"error","code":"unauthorized"}', '__YPS:{"type":"error","code":"unauthorized"}']);
  expect(refusalFrames("update_required", { reason: "client_schema_older_than_room", clientSchemaVersion: 1, roomSchemaVersion: 3 })[0]).toBe(
    '{"type":"error","code":"update_required","reason":"client_schema_older_than_room","clientSchemaVersion":1,"roomSchemaVersion":3}',
  );
  expect(VAULT_REFUSALS.unclaimed).toEqual({ close: { code: 1008, reason: "server unclaimed", retry: false }, status: 503 });
  expect(degradedFrame("commit-failed")).toBe('__YPS:{"type":"yaos/degraded","reason":"commit-failed"}');
});

test("44xx exactly where a retry cannot help, and every reason fits the wire", () => {
  for (const { code, reason, retry } of Object.values(CLOSE)) {
    expect(code === 1000 || code === 1008 || (code >= 4400 && code < 4600)).toBe(true);
    if (code >= 4000) expect(retry).toBe(code >= 4500);
    expect(new TextEncoder().encode(reason).length).toBeLessThanOrEqual(123);
  }
});

test("errors close with their own code as the reason", () => {
  expect(closeFor(new FrameRefusedError("frame-truncated", 0, ""))).toEqual({ code: 4400, reason: "frame-truncated", retry: false });
  expect(closeFor(new FrameRefusedError("awareness-too-many-ids", 0, ""))).toEqual({ code: 4413, reason: "awareness-too-many-ids", retry: false });
  expect(closeFor(new UpdateRefusedError("too-deep", 0))).toEqual({ code: 4413, reason: "too-deep", retry: false });
  expect(closeFor(new UpdateRefusedError("duplicate-client", 0))).toEqual({ code: 4422, reason: "duplicate-client", retry: false });
  expect(closeFor(new Error("secret"))).toEqual(CLOSE.internal);
});
