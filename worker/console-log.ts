/** The core's log events as one JSON line each. */
import type { Log } from "../src/ports.ts";

/** @param room the room id; only its first characters are logged */
export function consoleLog(room: string): Log {
  const shortRoom = room.slice(0, 8);
  return {
    event(level, name, fields) {
      const line = JSON.stringify({ event: name, room: shortRoom, ...fields });
      if (level === "error") console.error(line);
      else if (level === "warn") console.warn(line);
      else console.log(line);
    },
  };
}
