/** `npm run build`: bundles the Worker into `dist/`. */
import { join } from "node:path";
import { buildWorker } from "./host/build.ts";
import { readWorkerIdentity } from "./host/worker-identity.ts";

const projectDir = join(import.meta.dirname, "..");
await buildWorker({ entry: join(projectDir, readWorkerIdentity(projectDir).main), outDir: join(projectDir, "dist") });
