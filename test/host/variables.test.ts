/** The launcher's lists follow the Worker's and the README's. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isLoopback } from "../../scripts/host/address.ts";
import { WORKER_VARIABLES } from "../../scripts/host/variables.ts";

const root = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(root, file), "utf8");

test("the launcher hands on every variable the Worker reads, and no other", () => {
  const asked = [...read("worker/env.ts").matchAll(/readonly (\w+)\?: string;/g)].map(([, name]) => name!);
  expect([...WORKER_VARIABLES].sort()).toEqual(asked.sort());
});

test("README has a row for every variable of the launcher and the Worker", () => {
  const rows = new Set([...read("README.md").matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name));
  for (const name of [...WORKER_VARIABLES, "PORT", "HOST", "YAOS_DATA_DIR", "YAOS_BUNDLE_DIR", "YAOS_AUTH"]) expect(rows, name).toContain(name);
});

test("only loopback counts as this machine alone", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"]) expect(isLoopback(host), host).toBe(true);
  for (const host of ["0.0.0.0", "*", "::", "192.168.1.2", "127.0.0.1.example", "fe80::1"]) expect(isLoopback(host), host).toBe(false);
});
