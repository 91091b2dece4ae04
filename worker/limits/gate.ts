/**
 * How many may knock. Connects are counted per credential and wrong credentials per address, in this isolate or by the platform's rate limiter.
 * Order matters and is the caller's: the credential is checked first, then a valid one asks `gateConnect`, a wrong one `noteAuthFailure`.
 * So what others get wrong never refuses a valid credential, and what one device does never refuses another device's.
 */

import { clientAddress, type ConnectionFacts } from "../../src/access/client-address.ts";
import { type RateVerdict, RateWindow } from "../../src/access/rate-window.ts";
import { LIMITS } from "../../src/limits.ts";
import { errorAnswer } from "../answers.ts";

/** The Worker's bindings and variables that limits look at. */
export interface LimitsEnv {
  /** The platform's rate limiter for wrong credentials; without it each isolate counts for itself. */
  readonly YAOS_RATE_LIMIT?: { limit(options: { readonly key: string }): Promise<{ readonly success: boolean }> };
  /** Name of the header in which the owner's own proxy writes the client's address. */
  readonly YAOS_TRUSTED_IP_HEADER?: string;
}

/** What the gate reads of a request. */
type Knock = { readonly headers: Headers; readonly cf?: unknown };

/** What there was too much of, as the answer says it. */
export type TooManyWhat = "too many connects" | "too many wrong credentials";

/** Over a limit: the words, and when to come again. */
export interface TooMany {
  readonly error: TooManyWhat;
  readonly retryAfterSeconds: number;
}

const WINDOW_MS = 60_000;

/** The counts of one isolate. */
export class Gate {
  readonly #now: () => number;
  readonly #connects = new RateWindow(LIMITS.connectsPerMinute, WINDOW_MS, LIMITS.maxRateKeys);
  readonly #failures = new RateWindow(LIMITS.authFailuresPerMinute, WINDOW_MS, LIMITS.maxRateKeys);

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts a connect of a credential that was found valid. */
  connect(credentialKey: string): TooMany | null {
    return over(this.#connects.take(credentialKey, this.#now()), "too many connects");
  }

  /** Counts a wrong credential. An address nobody vouches for is not counted: it would be everybody's. */
  async failure(env: LimitsEnv, request: Knock): Promise<TooMany | null> {
    const address = clientAddress(request.headers, request.cf as ConnectionFacts | undefined, env.YAOS_TRUSTED_IP_HEADER?.trim() || undefined);
    if (address === null) return null;
    const key = `auth:${address}`;
    try {
      if (env.YAOS_RATE_LIMIT !== undefined) {
        const { success } = await env.YAOS_RATE_LIMIT.limit({ key });
        return success ? null : over({ ok: false, retryAfterMs: WINDOW_MS }, "too many wrong credentials");
      }
    } catch {
      // A limiter that cannot be asked must not open the door wider than none: counted here.
    }
    return over(this.#failures.take(key, this.#now()), "too many wrong credentials");
  }
}

function over(verdict: RateVerdict, error: TooManyWhat): TooMany | null {
  return verdict.ok ? null : { error, retryAfterSeconds: Math.ceil(verdict.retryAfterMs / 1_000) };
}

const gate = new Gate(() => Date.now());

/**
 * Counts a connect. Null: go on. Call it once the credential proved valid and before any room is asked.
 * @param credentialKey the admission's `by` (`owner` or a device id) and the vault, so that tickets and tokens of one credential count together, and a
 *   provider that hammers one vault does not keep the owner out of the others. Never a token.
 */
export function gateConnect(credentialKey: string): TooMany | null {
  return gate.connect(credentialKey);
}

/** Counts a wrong credential of the request's address. Null: answer it as ever (401, or the door's refusal). */
export function noteAuthFailure(env: LimitsEnv, request: Knock): Promise<TooMany | null> {
  return gate.failure(env, request);
}

/** The HTTP answer: 429 with `Retry-After`. */
export function tooManyAnswer(refusal: TooMany): Response {
  return errorAnswer(429, refusal.error, { "Retry-After": String(refusal.retryAfterSeconds) });
}
