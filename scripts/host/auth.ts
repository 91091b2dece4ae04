/**
 * How the server is owned: by a token the launcher hands to the Worker, or by claiming in a browser. A data directory remembers the
 * last choice, since a claimed server started with a token of ours would refuse every device its owner has connected.
 */
import { randomBytes, randomInt } from "node:crypto";
import { isLoopback } from "./address.ts";
import type { HostArguments } from "./arguments.ts";
import { HostError } from "./host-error.ts";
import { keep, keptOr, readKept } from "./kept.ts";
import type { HostSettings } from "./settings.ts";

/** `token`: what every request must show. `claim`: whoever knows the code, where one is wanted, may claim. */
export type Auth = { readonly mode: "token"; readonly token: string } | { readonly mode: "claim"; readonly claimCode: string | null };

/** Files in the data directory. */
const TOKEN_FILE = "token";
const CLAIM_CODE_FILE = "claim-code";
const MODE_FILE = "auth";

/** 30 signs that are not mistaken for each other when typed from a screen: no 0, 1, i, l, o, u. */
const CODE_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz";
const CODE_GROUPS = 3;
const CODE_GROUP_LENGTH = 4;

/**
 * Settles how the server is owned. Order: `--claim` or `YAOS_AUTH`, then `SYNC_TOKEN`, then what the data directory was last told, then a token.
 * Keeps a secret it makes, and not the choice itself: {@link rememberChoice} does when the server listens.
 * @throws {HostError} for a contradiction, and for a server that anybody who reaches it from outside the machine could claim.
 */
export function settleAuth(settings: HostSettings, args: HostArguments): Auth {
  const { dataDir, variables } = settings;
  const token = variables["SYNC_TOKEN"]?.trim();
  const told = toldMode(settings, args);
  if (args.claim && settings.auth === "token") throw new HostError("Cannot start: --claim and YAOS_AUTH=token contradict each other");
  if (told === "claim" && token !== undefined) {
    throw new HostError("Cannot start unclaimed: SYNC_TOKEN is set, and whoever has it owns the server; unset it, or start without --claim and YAOS_AUTH=claim");
  }
  const mode = told ?? (token === undefined && readKept(dataDir, MODE_FILE) === "claim" ? "claim" : "token");
  if (!args.claimCode && mode !== "claim") throw new HostError("Cannot leave the claim code away: the server is not started with --claim");
  return mode === "token" ? withToken(dataDir, token) : toClaim(settings, args);
}

/** Makes later starts go on with what this one was told, if it was told; a start that failed has changed nothing. */
export function rememberChoice(settings: HostSettings, args: HostArguments): void {
  const told = toldMode(settings, args);
  if (told !== undefined) keep(settings.dataDir, MODE_FILE, told);
}

function toldMode(settings: HostSettings, args: HostArguments): Auth["mode"] | undefined {
  return args.claim ? "claim" : settings.auth;
}

function withToken(dataDir: string, token: string | undefined): Auth {
  return { mode: "token", token: token ?? keptOr(dataDir, TOKEN_FILE, () => randomBytes(32).toString("hex")) };
}

function toClaim(settings: HostSettings, args: HostArguments): Auth {
  if (args.claimCode) {
    return { mode: "claim", claimCode: settings.variables["YAOS_CLAIM_CODE"]?.trim() ?? keptOr(settings.dataDir, CLAIM_CODE_FILE, makeClaimCode) };
  }
  if (settings.variables["YAOS_CLAIM_CODE"] !== undefined) {
    throw new HostError("Cannot start: --no-claim-code and YAOS_CLAIM_CODE contradict each other");
  }
  if (!isLoopback(settings.host)) {
    throw new HostError(
      `Cannot listen on ${settings.host} unclaimed and without a claim code: whoever opened the page first would own the server; leave --no-claim-code away, or set HOST=127.0.0.1`,
    );
  }
  return { mode: "claim", claimCode: null };
}

/** Three groups of four, 58 bits: it guards the time until the claim, and somebody may have to type it on a phone. */
function makeClaimCode(): string {
  const group = (): string => Array.from({ length: CODE_GROUP_LENGTH }, () => CODE_ALPHABET[randomInt(CODE_ALPHABET.length)]).join("");
  return Array.from({ length: CODE_GROUPS }, group).join("-");
}
