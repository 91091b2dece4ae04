/** The core's log events as one JSON line each. */
import type { Log } from "../src/ports.ts";
import { vaultTag } from "./vault-tag.ts";

/** @param room the room id; only its tag is logged */
export function consoleLog(room: string): Log {
  const tag = vaultTag(room);
  return {
    event(level, name, fields) {
      const line = JSON.stringify({ event: name, room: tag, ...fields });
      if (level === "error") console.error(line);
      else if (level === "warn") console.warn(line);
      else console.log(line);
    },
  };
}
