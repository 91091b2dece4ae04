import { accessSync, constants, mkdirSync } from "node:fs";
import { HostError } from "./host-error.ts";

/** Makes the data directory where there is none. @throws {HostError} when something else has its name, or we may not write into it. */
export function makeDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EEXIST" || code === "ENOTDIR") throw new HostError(`Cannot keep data in ${dataDir}: it, or a part of that path, is a file and no directory; name another with YAOS_DATA_DIR`, { cause });
    throw new HostError(`Cannot keep data in ${dataDir}: ${code ?? String(cause)}; name another directory with YAOS_DATA_DIR`, { cause });
  }
}
