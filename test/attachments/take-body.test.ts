import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { contentLength, drainBody, takeBody } from "../../worker/attachments/take-body.ts";

const hashOf = (...pieces: Uint8Array[]): string => pieces.reduce((hash, piece) => hash.update(piece), createHash("sha256")).digest("hex");

function bodyOf(pieces: readonly Uint8Array[], end: "close" | "error" | "hang" = "close"): { body: ReadableStream<Uint8Array>; cancelled: () => boolean } {
  let isCancelled = false;
  const queue = [...pieces];
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const piece = queue.shift();
        // A copy: what is drained is given back.
        if (piece !== undefined) controller.enqueue(piece.slice());
        else if (end === "close") controller.close();
        else if (end === "error") controller.error(new Error("connection lost"));
        else return new Promise(() => undefined);
        return undefined;
      },
      cancel() {
        isCancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { body, cancelled: () => isCancelled };
}

const MIB = new Uint8Array(1024 * 1024);

test("[AT7] a body is taken piece by piece, and judged by length and hash", async () => {
  const pieces = [Uint8Array.of(1, 2), Uint8Array.of(3)];
  const hash = hashOf(...pieces);
  for (const announced of [3, null]) {
    const taken: Uint8Array[] = [];
    expect(await takeBody(bodyOf(pieces).body, announced, hash, (bytes) => void taken.push(bytes))).toBe(null);
    expect(taken).toEqual(pieces);
  }
  const none = (): void => undefined;
  expect(await takeBody(bodyOf(pieces).body, 3, hashOf(MIB), none)).toBe("hashMismatch");
  expect(await takeBody(bodyOf(pieces).body, 4, hash, none)).toBe("lengthMismatch");
  expect(await takeBody(bodyOf([]).body, null, hashOf(), none)).toBe("missingBody");
  expect(await takeBody(bodyOf(pieces, "error").body, 3, hash, none)).toBe("cutOff");
  expect(await takeBody(bodyOf(pieces, "hang").body, 3, hash, none, 5)).toBe("stalled");
});

test("[AT3] nothing is read beyond the limit or the announced length", async () => {
  const tooMuch = bodyOf(Array.from({ length: 40 }, () => MIB));
  let taken = 0;
  expect(await takeBody(tooMuch.body, null, hashOf(), (bytes) => void (taken += bytes.byteLength))).toBe("tooLarge");
  expect([taken, tooMuch.cancelled()]).toEqual([LIMITS.maxBlobUploadBytes, true]);
  const longer = bodyOf([MIB, MIB]);
  expect(await takeBody(longer.body, MIB.byteLength, hashOf(MIB), () => undefined)).toBe("lengthMismatch");
  expect(longer.cancelled()).toBe(true);
});

test("what the taker throws comes out after the rest was read, so that the sender hears the answer", async () => {
  const source = bodyOf([MIB, MIB, MIB]);
  let takes = 0;
  const taking = takeBody(source.body, null, hashOf(), () => {
    takes += 1;
    if (takes === 2) throw new Error("full");
  });
  await expect(taking).rejects.toThrow("full");
  expect([takes, source.cancelled()]).toEqual([2, false]);
  await expect(drainBody(bodyOf([MIB], "error").body)).resolves.toBe(undefined);
});

test("[AT2] Content-Length is digits or refused", () => {
  const read = (text: string): unknown => contentLength(new Headers({ "Content-Length": text }));
  expect([contentLength(new Headers()), read("0"), read("17")]).toEqual([null, 0, 17]);
  for (const text of ["", "1e3", "-1", "5, 5", "0x10", "1.5", "99999999999999999999"]) expect([text, read(text)]).toEqual([text, "invalid"]);
});
