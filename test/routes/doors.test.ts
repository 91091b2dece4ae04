import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { connectUrl, decodeRoomId, findDoor } from "../../worker/doors.ts";

test.each([
  ["/vault/sync/abc", "vault", "abc"],
  ["/vault/sync/sync", "vault", "sync"],
  ["/vault/sync/a%2Fb", "vault", "a%2Fb"],
  ["/sync/abc", "sync", "abc"],
  ["/sync/a/b//c/", "sync", "a/b//c/"],
  ["/sync/", "sync", ""],
  ["/parties/main/a/b", "parties", "a/b"],
  ["/parties/any%20one/r", "parties", "r"],
  ["/parties/main/", "parties", ""],
])("[DR2] %s is a door", (path, door, rawId) => {
  expect(findDoor("GET", path)).toEqual({ door, rawId });
});

test.each(["/", "/sync", "/vault/sync", "/vault/sync/", "/vault/sync/a/", "/vault/sync/a/b", "/parties/main", "/parties//r", "/Sync/a", "/x/sync/a"])(
  "[DR2] %s is none",
  (path) => {
    expect(findDoor("GET", path)).toBeNull();
  },
);

test("[DR3] ids are decoded once and have limits", () => {
  expect(decodeRoomId("a%2Fb/c")).toEqual({ ok: true, roomId: "a/b/c" });
  expect(decodeRoomId("a%252Fb")).toEqual({ ok: true, roomId: "a%2Fb" });
  expect(decodeRoomId("%zz")).toEqual({ ok: false, fault: "malformed room id" });
  expect(decodeRoomId("%ff")).toEqual({ ok: false, fault: "malformed room id" });
  expect(decodeRoomId("")).toEqual({ ok: false, fault: "empty room id" });
  expect(decodeRoomId("x".repeat(LIMITS.maxRoomIdBytes))).toMatchObject({ ok: true });
  expect(decodeRoomId(`${"x".repeat(LIMITS.maxRoomIdBytes - 1)}%C3%BC`)).toEqual({ ok: false, fault: "room id too long" });
});

test("[DR5] text goes to the YAOS door, and elsewhere only to clients that say _pk", () => {
  const none = new URLSearchParams();
  const pk = new URLSearchParams("_pk=abc");
  const entry = { by: "owner", mode: "rw", epoch: 0, schema: null } as const;
  const url = (door: Parameters<typeof connectUrl>[0], query: URLSearchParams): string => connectUrl(door, "a/b c", query, entry);
  expect(url("vault", none)).toBe("https://internal/__yaos/connect?door=vault&text=1&room=a%2Fb%20c&by=owner&mode=rw&epoch=0&schema=");
  expect(url("sync", none)).toContain("text=0");
  expect(url("sync", pk)).toContain("text=1");
  expect(url("parties", none)).toContain("text=0");
  expect(url("parties", pk)).toContain("text=1");
});

test("the room hears who comes, how far, since when, and with which schema", () => {
  const entry = { by: "Ab3_-6789012", mode: "ro", epoch: 4, schema: 2 } as const;
  expect(connectUrl("sync", "r", new URLSearchParams("schemaVersion=2"), entry)).toBe(
    "https://internal/__yaos/connect?door=sync&text=0&room=r&by=Ab3_-6789012&mode=ro&epoch=4&schema=2",
  );
});
