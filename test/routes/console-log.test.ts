import { afterEach, expect, test, vi } from "vitest";
import { consoleLog } from "../../worker/console-log.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

test("[DB6] a log line names the start of a room's id and no more", () => {
  const lines: string[] = [];
  for (const level of ["log", "warn", "error"] as const) vi.spyOn(console, level).mockImplementation((line: string) => void lines.push(`${level} ${line}`));
  const room = "Anna's diary of 2026";
  const log = consoleLog(room);
  log.event("info", "session.opened", { sessions: 2 });
  log.event("warn", "session.rejected", { code: 4400 });
  log.event("error", "commit.failed", {});
  expect(lines.map((line) => line.split(" ")[0])).toEqual(["log", "warn", "error"]);
  expect(lines[0]).toContain('"event":"session.opened","room":"Anna\'s d"');
  expect(lines[0]).toContain('"sessions":2');
  expect(lines.join()).not.toContain(room.slice(0, 10));
});
