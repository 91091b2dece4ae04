import { defineConfig } from "vitest/config";

/** Whole processes: the launcher, workerd and real sockets, one test file at a time. Bundles the Worker once before. */
export default defineConfig({
  test: {
    name: "process",
    include: ["test/process/**/*.test.ts"],
    globalSetup: ["test/kit/bundle-once.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
  },
});
