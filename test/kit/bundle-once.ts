import { join } from "node:path";
import { buildWorker } from "../../scripts/host/build.ts";
import { readWorkerIdentity } from "../../scripts/host/worker-identity.ts";

const projectDir = join(import.meta.dirname, "../..");

/** Vitest's hook before the process tests: bundles the Worker, unless `YAOS_TEST_BUNDLE` names a bundle to test instead. */
export async function setup(): Promise<void> {
  if (process.env["YAOS_TEST_BUNDLE"] !== undefined) return;
  await buildWorker({ entry: join(projectDir, readWorkerIdentity(projectDir).main), outDir: join(projectDir, "dist") });
}
