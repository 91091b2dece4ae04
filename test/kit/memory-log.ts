import type { Log } from "../../src/ports.ts";

/** One logged event. */
export interface LogEntry {
  readonly level: "info" | "warn" | "error";
  readonly name: string;
  readonly fields: Record<string, string | number | boolean | null>;
}

/** Keeps every event in memory. */
export class MemoryLog implements Log {
  readonly entries: LogEntry[] = [];

  event(level: LogEntry["level"], name: string, fields: LogEntry["fields"]): void {
    this.entries.push({ level, name, fields: { ...fields } });
  }

  /** Events of that name, oldest first. */
  named(name: string): LogEntry[] {
    return this.entries.filter((entry) => entry.name === name);
  }
}
