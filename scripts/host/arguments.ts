import { parseArgs } from "node:util";
import { HostError } from "./host-error.ts";

/** What stands behind `npm start --`. */
export interface HostArguments {
  /** `--claim`: no token of our own, whoever claims the server brings one. */
  readonly claim: boolean;
  /** `--no-claim-code`: claiming needs no code; only on loopback. */
  readonly claimCode: boolean;
  readonly help: boolean;
}

export const USAGE = `npm start -- [options]

  --claim            start without a token and print a link to claim the server in a browser
  --no-claim-code    with --claim: whoever opens the page first may claim; on this machine only
  --help             this text

The environment says the rest: PORT, HOST, YAOS_DATA_DIR and the variables in README.md, "Configuration".`;

/** @throws {HostError} naming an argument that is not known. */
export function readArguments(args: readonly string[]): HostArguments {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { claim: { type: "boolean" }, "no-claim-code": { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
    return { claim: values.claim === true, claimCode: values["no-claim-code"] !== true, help: values.help === true };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code?.startsWith("ERR_PARSE_ARGS") !== true) throw cause;
    throw new HostError(`Cannot read the arguments: ${message.split(/\. |\n/)[0]}\n\n${USAGE}`, { cause });
  }
}
