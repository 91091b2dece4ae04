/** Writes the configuration `workerd serve` reads: the bundle, the objects on local disk, variables, one socket. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUNDLE_FILE } from "./build.ts";
import type { WorkerIdentity } from "./worker-identity.ts";

/** Name of the listening socket in the configuration; the control messages of workerd name it. */
export const SOCKET_NAME = "http";

export interface WorkerdConfigOptions {
  readonly identity: WorkerIdentity;
  /** Directory holding the bundled Worker, absolute. */
  readonly bundleDir: string;
  /** Directory that gets one folder per object class, absolute. */
  readonly objectsDir: string;
  /** Names of environment variables the Worker sees as bindings. */
  readonly variableNames: readonly string[];
  /** Address to listen on, `host:port`. */
  readonly address: string;
  /** Flags for V8, such as `--expose-gc`. */
  readonly v8Flags?: readonly string[];
}

/**
 * The directory object folders lie in: the data directory, or `v3/do` in it when `wrangler dev --persist-to` made that,
 * since both name the folders `<worker>-<class>` and derive the ids alike (tried; platform notes).
 */
export function objectsDirOf(dataDir: string): string {
  const ofWranglerDev = join(dataDir, "v3", "do");
  return existsSync(ofWranglerDev) ? ofWranglerDev : dataDir;
}

export function writeWorkerdConfig(file: string, options: WorkerdConfigOptions): void {
  writeFileSync(file, workerdConfig(options));
}

/** The configuration as Cap'n Proto text. Its embed paths are absolute, so workerd needs `--import-path=/`. */
export function workerdConfig(options: WorkerdConfigOptions): string {
  const { identity } = options;
  const bindings = [
    ...identity.objects.map((o) => `(name = ${text(o.binding)}, durableObjectNamespace = ${text(o.className)})`),
    ...options.variableNames.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
  ];
  const namespaces = identity.objects.map(
    (o) => `(className = ${text(o.className)}, uniqueKey = ${text(`${identity.name}-${o.className}`)}, enableSql = true)`,
  );
  // The Worker calls nobody: "internet" is the name workerd gives its default outbound service, and here it allows nothing.
  // WebSocket compression costs 15 times the CPU and 140 KB per socket in a broadcast (platform notes, measured).
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .yaos),
    (name = "objects", disk = (path = ${text(options.objectsDir)}, writable = true)),
    (name = "internet", network = (allow = [])),
  ],
  sockets = [(name = ${text(SOCKET_NAME)}, address = ${text(options.address)}, http = (), service = "main")],
  v8Flags = [${(options.v8Flags ?? []).map(text).join(", ")}],
);

const yaos :Workerd.Worker = (
  modules = [(name = "index.js", esModule = embed ${text(join(options.bundleDir, BUNDLE_FILE))})],
  compatibilityDate = ${text(identity.compatibilityDate)},
  compatibilityFlags = ["no_web_socket_compression"],
  bindings = [
    ${bindings.join(",\n    ")},
  ],
  durableObjectNamespaces = [
    ${namespaces.join(",\n    ")},
  ],
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

/** A Cap'n Proto text literal. */
function text(value: string): string {
  return `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
