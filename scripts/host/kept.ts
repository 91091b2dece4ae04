/** Small facts a data directory keeps beside the objects, each in a file that only its owner can read. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The trimmed text of `<dataDir>/<name>`, or null when there is none or it is blank. */
export function readKept(dataDir: string, name: string): string | null {
  try {
    const text = readFileSync(join(dataDir, name), "utf8").trim();
    return text === "" ? null : text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

export function keep(dataDir: string, name: string, text: string): void {
  writeFileSync(join(dataDir, name), `${text}\n`, { mode: 0o600 });
}

/** What is kept, or else what `make` makes, kept from now on. */
export function keptOr(dataDir: string, name: string, make: () => string): string {
  const kept = readKept(dataDir, name);
  if (kept !== null) return kept;
  const made = make();
  keep(dataDir, name, made);
  return made;
}
