/** Pairing codes: eight characters a person reads on one screen and types on another, `XXXX-XXXX`. */

/** 32 characters that are not mistaken for each other: no I, L, O, U. 40 bits in eight of them. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH = 8;

/** @param random at least 8 random bytes */
export function makePairingCode(random: Uint8Array): string {
  let code = "";
  // 256 is a multiple of 32, so every character is as likely as any other.
  for (const byte of random.subarray(0, LENGTH)) code += ALPHABET[byte % ALPHABET.length] ?? "";
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}

/** The code as it was made, from what a person typed: case, blanks and dashes do not matter, and look-alikes are read as what they stand for. Null for another form. */
export function readPairingCode(typed: unknown): string | null {
  if (typeof typed !== "string" || typed.length > 64) return null;
  const code = typed.toUpperCase().replaceAll(/[\s-]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  if (code.length !== LENGTH || ![...code].every((character) => ALPHABET.includes(character))) return null;
  return `${code.slice(0, 4)}-${code.slice(4)}`;
}
