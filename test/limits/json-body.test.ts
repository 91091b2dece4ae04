import { expect, test } from "vitest";
import { readJsonBody } from "../../worker/json-body.ts";

const LIMIT = 64;

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  const streams = body instanceof ReadableStream ? { duplex: "half" } : {};
  return new Request("https://host/claim", { method: "POST", body, headers, ...streams } as RequestInit);
}

/** Counts how much of an endless body was asked for. */
function endless(): { stream: ReadableStream<Uint8Array>; pulled: () => number; cancelled: () => boolean } {
  let pulled = 0;
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(16).fill(0x20));
      },
      cancel() {
        cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, pulled: () => pulled, cancelled: () => cancelled };
}

test("[LT7] an object up to the limit is read", async () => {
  expect(await readJsonBody(post('{"token":"ü"}'), LIMIT)).toEqual({ ok: true, value: { token: "ü" } });
  const exact = `{"a":"${"x".repeat(LIMIT - 8)}"}`;
  expect(exact.length).toBe(LIMIT);
  expect(await readJsonBody(post(exact), LIMIT)).toMatchObject({ ok: true });
  expect(await readJsonBody(post(`${exact} `), LIMIT)).toEqual({ ok: false, status: 413, error: "body too large" });
});

test.each([
  ["nothing", null],
  ["an empty text", ""],
  ["null", "null"],
  ["an array", "[]"],
  ["a number", "7"],
  ["a text", '"x"'],
  ["a cut object", '{"a":'],
  ["two objects", "{}{}"],
  ["bytes that are no UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
])("[LT7] %s is no object: 400", async (_, body) => {
  expect(await readJsonBody(post(body as BodyInit | null), LIMIT)).toEqual({ ok: false, status: 400, error: "invalid json" });
});

test("[LT7] deep nesting neither overflows nor throws", async () => {
  const deep = `{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`;
  expect(await readJsonBody(post(deep), 100_000)).toMatchObject({ ok: true });
  expect(await readJsonBody(post("[".repeat(90_000)), 100_000)).toMatchObject({ ok: false, status: 400 });
});

test("[LT7] an endless body is refused at the limit and read no further", async () => {
  const body = endless();
  expect(await readJsonBody(post(body.stream), LIMIT)).toMatchObject({ ok: false, status: 413 });
  expect(body.pulled()).toBeLessThanOrEqual(LIMIT / 16 + 2);
  expect(body.cancelled()).toBe(true);
});

test("[LT7] an announced length over the limit is refused unread", async () => {
  const body = endless();
  expect(await readJsonBody(post(body.stream, { "Content-Length": String(LIMIT + 1) }), LIMIT)).toMatchObject({ ok: false, status: 413 });
  expect(body.pulled()).toBe(0);
});

test("[LT7] a body that breaks off, and one that was used, are 400", async () => {
  const broken = new ReadableStream({ pull: (controller) => controller.error(new Error("gone")) }, { highWaterMark: 0 });
  expect(await readJsonBody(post(broken), LIMIT)).toMatchObject({ ok: false, status: 400 });
  const used = post("{}");
  await used.text();
  expect(await readJsonBody(used, LIMIT)).toMatchObject({ ok: false, status: 400 });
});
