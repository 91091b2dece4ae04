/** How log lines name a vault. */
import { createHash } from "node:crypto";

/** The first eight hex digits of the SHA-256 of a vault id: its owner finds the lines by it, and a short id does not stand in them whole. */
export function vaultTag(vault: string): string {
  return createHash("sha256").update(vault).digest("hex").slice(0, 8);
}
