/** Pairing codes: twelve characters a person reads on one screen and types on another, `XXXX-XXXX-XXXX`. */

/** 32 characters that are not mistaken for each other: no I, L, O, U. 60 bits in twelve of them; what that is enough for stands in pairing-store.ts. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Random bytes behind a code: one for each character. */
export const PAIRING_CODE_BYTES = 12;

/** @param random at least `PAIRING_CODE_BYTES` random bytes */
export function makePairingCode(random: Uint8Array): string {
  let code = "";
  // 256 is a multiple of 32, so every character is as likely as any other.
  for (const byte of random.subarray(0, PAIRING_CODE_BYTES)) code += ALPHABET[byte % ALPHABET.length] ?? "";
  return inGroups(code);
}

/** The code as it was made, from what a person typed: case, blanks and dashes do not matter, and look-alikes are read as what they stand for. Null for another form. */
export function readPairingCode(typed: unknown): string | null {
  if (typeof typed !== "string" || typed.length > 64) return null;
  const code = typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  if (code.length !== PAIRING_CODE_BYTES || ![...code].every((character) => ALPHABET.includes(character))) return null;
  return inGroups(code);
}

function inGroups(code: string): string {
  return `${code.slice(0, 4)}-${code.slice(4, 8)}-${code.slice(8)}`;
}
