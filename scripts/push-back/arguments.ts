import { parseArgs } from "node:util";
import { PushBackError } from "./push-back-error.ts";
import { originOf, type VaultAddress } from "./vault-connection.ts";

/** What stands behind `npm run push-back --`. */
export type PushBackArguments =
  | { readonly kind: "help" }
  | { readonly kind: "save"; readonly from: VaultAddress; readonly out: string; readonly force: boolean }
  | { readonly kind: "send"; readonly file: string; readonly to: VaultAddress }
  | { readonly kind: "both"; readonly from: VaultAddress; readonly to: VaultAddress };

export const USAGE = `npm run push-back -- save --from <url> --vault <id> --out <file> [--token <token>] [--force]
npm run push-back -- send --file <file> --to <url> --vault <id> [--to-token <token>]
npm run push-back -- --from <url> --to <url> --vault <id> [--token <token>] [--to-token <token>]

Brings an older YAOS server what was written since this one took its vault over, so that going back loses nothing.
As the older server comes back at the same address, it takes two steps: "save" while this server runs,
"send" once the older one runs again. The third form is for two servers at two addresses.

  --from <url>         this server, https://...
  --to <url>           the older server
  --vault <id>         the vault
  --token <token>      the token of --from, and of --to unless that has its own; also YAOS_TOKEN in the environment
  --to-token <token>   the token of --to; also YAOS_TO_TOKEN
  --out <file>         where "save" writes the vault; an existing file is left alone
  --force              replaces an existing file
  --file <file>        what "send" sends
  --help               this text`;

const OPTIONS = {
  from: { type: "string" },
  to: { type: "string" },
  vault: { type: "string" },
  token: { type: "string" },
  "to-token": { type: "string" },
  out: { type: "string" },
  file: { type: "string" },
  force: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type Name = Exclude<keyof typeof OPTIONS, "force" | "help">;

const ALLOWED = {
  save: ["from", "vault", "token", "out", "force"],
  send: ["to", "vault", "token", "to-token", "file"],
  both: ["from", "to", "vault", "token", "to-token"],
} as const;

/** @throws {PushBackError} `usage`, naming what is wrong */
export function readArguments(args: readonly string[], environment: Readonly<Record<string, string | undefined>>): PushBackArguments {
  const { values, positionals } = parse(args);
  if (values.help === true) return { kind: "help" };
  const kind = kindOf(positionals);
  const allowed: readonly string[] = ALLOWED[kind];
  const stray = Object.keys(values).find((name) => !allowed.includes(name));
  if (stray !== undefined) throw usage(`--${stray} has no meaning here`);

  const needed = (name: Name): string => {
    const value = values[name]?.trim() ?? "";
    if (value === "") throw usage(`--${name} is missing`);
    return value;
  };
  const address = (name: "from" | "to"): VaultAddress => {
    const own = name === "to" ? (values["to-token"] ?? environment["YAOS_TO_TOKEN"]) : undefined;
    const token = (own ?? values.token ?? environment["YAOS_TOKEN"] ?? "").trim();
    if (token === "") throw usage(`no token for --${name}: say --${name === "to" ? "to-token" : "token"}, or set ${name === "to" ? "YAOS_TO_TOKEN" : "YAOS_TOKEN"}`);
    return { url: originOf(needed(name)), vault: needed("vault"), token };
  };

  if (kind === "save") return { kind, from: address("from"), out: needed("out"), force: values.force === true };
  if (kind === "send") return { kind, file: needed("file"), to: address("to") };
  const both = { kind, from: address("from"), to: address("to") } as const;
  if (both.from.url === both.to.url) throw usage("--from and --to are the same address: one server stands there at a time, so save first and send later");
  return both;
}

function kindOf(positionals: readonly string[]): keyof typeof ALLOWED {
  const [first, ...others] = positionals;
  if (first === undefined) return "both";
  if (others.length > 0 || (first !== "save" && first !== "send")) throw usage(`neither save nor send: ${positionals.join(" ")}`);
  return first;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code?.startsWith("ERR_PARSE_ARGS") !== true) throw cause;
    throw usage(message.split(/\. |\n/)[0] ?? "", cause);
  }
}

function usage(reason: string, cause?: unknown): PushBackError {
  return new PushBackError("usage", `Cannot read the arguments: ${reason}\n\n${USAGE}`, { cause });
}
