import { defineConfig } from "vitest/config";

/** Node tests: the core on `node:sqlite`, properties, the protocol, whole processes. Tests inside workerd: `vitest.worker.config.ts`. */
export default defineConfig({
  test: { include: ["test/**/*.test.ts"], exclude: ["test/worker/**", "test/process/**", "node_modules/**"], testTimeout: 60_000 },
});
