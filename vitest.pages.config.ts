import { defineConfig } from "vitest/config";

/** The pages in a real browser, served by the real launcher. Bundles the Worker and looks for Chromium once before. */
export default defineConfig({
  test: {
    name: "pages",
    include: ["test/pages/**/*.test.ts"],
    globalSetup: ["test/kit/bundle-once.ts", "test/kit/chromium-once.ts"],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
