import { defineConfig } from "vitest/config";

/** Node tests: the core on `node:sqlite`, properties, the protocol. Inside workerd: `vitest.worker.config.ts`; whole processes: `vitest.process.config.ts`; the pages: `vitest.pages.config.ts`. */
export default defineConfig({
  test: {
    name: "node",
    include: ["test/**/*.test.ts"],
    exclude: ["test/worker/**", "test/process/**", "test/pages/**", "node_modules/**"],
    testTimeout: 60_000,
  },
});
