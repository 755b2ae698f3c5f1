import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./",
  resolve: {
    // Cornerstone's dependencies ask for node's own modules of these names.
    alias: { events: "events/events.js", url: "url/url.js" },
  },
  build: {
    outDir: "../src/pleura/service/static",
    emptyOutDir: true,
    license: { fileName: "licences.txt" }, // what the built files owe to whom
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4000,
  },
  test: { testTimeout: 120_000, hookTimeout: 120_000 }, // a slow machine is no failure
  server: { proxy: { "/v1": "http://127.0.0.1:8350" } },
});
