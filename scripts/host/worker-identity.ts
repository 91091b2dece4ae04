import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HostError } from "./host-error.ts";

/** What `wrangler.toml` says about the Worker, so that a laptop and Cloudflare run the same thing under the same names. */
export interface WorkerIdentity {
  /** Worker name; with a class name it makes the key the object ids and folders are derived from. */
  readonly name: string;
  /** Entry module, relative to the project. */
  readonly main: string;
  readonly compatibilityDate: string;
  readonly objects: readonly { readonly binding: string; readonly className: string }[];
}

/**
 * Reads our own `wrangler.toml`. Not a TOML parser: it knows the few plain lines that file holds.
 * @throws {HostError} when one of them is missing.
 */
export function readWorkerIdentity(projectDir: string): WorkerIdentity {
  const text = readFileSync(join(projectDir, "wrangler.toml"), "utf8");
  const topLevel = text.slice(0, text.indexOf("\n[")); // keys of later tables repeat "name"
  const value = (key: string): string => {
    const found = new RegExp(`^${key} = "([^"]+)"$`, "m").exec(topLevel)?.[1];
    if (found === undefined) throw new HostError(`Cannot read wrangler.toml: no plain line for ${key}`);
    return found;
  };
  const objects = [...text.matchAll(/^\[\[durable_objects\.bindings\]\]\nname = "(\w+)"\nclass_name = "(\w+)"$/gm)].map(
    ([, binding, className]) => ({ binding: binding ?? "", className: className ?? "" }),
  );
  if (objects.length === 0) throw new HostError("Cannot read wrangler.toml: no Durable Object bindings");
  return { name: value("name"), main: value("main"), compatibilityDate: value("compatibility_date"), objects };
}
