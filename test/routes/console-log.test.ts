import { createHash } from "node:crypto";
import { afterEach, expect, test, vi } from "vitest";
import { consoleLog } from "../../worker/console-log.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

test("[DB6] a log line names a room by the beginning of its id's hash, however short the id is", () => {
  const lines: string[] = [];
  for (const level of ["log", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation((line: string) => void lines.push(`${level} ${line}`));
  const room = "Anna";
  const log = consoleLog(room);
  log.event("info", "session.opened", { sessions: 2 });
  log.event("warn", "session.rejected", { code: 4400 });
  log.event("error", "commit.failed", {});
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["log", "warn", "error"]);
  expect(lines[0]).toContain(`"event":"session.opened","room":"${createHash("sha256").update(room).digest("hex").slice(0, 8)}"`);
  expect(lines[0]).toContain('"sessions":2');
  expect(lines.join()).not.toContain(room);
});
