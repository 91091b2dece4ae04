import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** Tests inside workerd, against the Worker of `wrangler.toml`. The variables are those of a test install. */
export default defineConfig({
  plugins: [
    cloudflareTest({
      wrangler: { configPath: "./wrangler.toml" },
      miniflare: { r2Buckets: ["TEST_BUCKET"], bindings: { SYNC_TOKEN: "test-token", YAOS_ENABLE_ADMIN_ROUTES: "1" } },
    }),
  ],
  test: { name: "worker", include: ["test/worker/**/*.test.ts"], testTimeout: 30_000 },
});
