import { join, resolve } from "node:path";
import { HostError } from "./host-error.ts";
import { setVariables } from "./variables.ts";

/** What the launcher was asked to do, read once from its environment. */
export interface HostSettings {
  /** Absolute path of the data directory (`YAOS_DATA_DIR`, default `.data` in the project). */
  readonly dataDir: string;
  /** Interface to listen on (`HOST`, default 127.0.0.1: nothing outside the machine reaches a server nobody opened). */
  readonly host: string;
  /** TCP port (`PORT`, default 8787); 0 lets the system choose a free one. */
  readonly port: number;
  /** Directory of a Worker bundled before (`YAOS_BUNDLE_DIR`); without it the launcher bundles one. */
  readonly bundleDir: string | undefined;
  /** Who owns the server, when `YAOS_AUTH` says it: a token, or whoever claims it. */
  readonly auth: "token" | "claim" | undefined;
  /** The Worker's own variables that are set. */
  readonly variables: Record<string, string>;
}

const DEFAULT_PORT = 8787;

/** @throws {HostError} when `PORT` is not an integer from 0 to 65535, or `YAOS_AUTH` neither `token` nor `claim`. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>, projectDir: string): HostSettings {
  const setOr = (name: string, fallback: string): string => {
    const value = environment[name]?.trim();
    return value === undefined || value === "" ? fallback : value;
  };
  const bundleDir = setOr("YAOS_BUNDLE_DIR", "");
  return {
    dataDir: resolve(setOr("YAOS_DATA_DIR", join(projectDir, ".data"))),
    host: setOr("HOST", "127.0.0.1"),
    port: readPort(setOr("PORT", String(DEFAULT_PORT))),
    bundleDir: bundleDir === "" ? undefined : resolve(bundleDir),
    auth: readAuth(setOr("YAOS_AUTH", "")),
    variables: setVariables(environment),
  };
}

function readAuth(text: string): "token" | "claim" | undefined {
  if (text === "") return undefined;
  if (text !== "token" && text !== "claim") throw new HostError(`Cannot start with YAOS_AUTH=${text}: neither "token" nor "claim"`);
  return text;
}

function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new HostError(`Cannot listen on PORT=${text}: not a number from 0 to 65535`);
  return port;
}
