import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(`src/${path}`, import.meta.url));

export default defineConfig({
  // examples/ import the package by its name; here that means the sources, as in tsconfig.json
  resolve: {
    alias: [
      { find: /^nablaflow$/, replacement: source("index.ts") },
      { find: /^nablaflow\/(runtime\/node|runtime\/web|web)$/, replacement: source("$1.ts") },
      { find: /^nablaflow\/(.*)$/, replacement: source("$1/index.ts") },
    ],
  },
  test: {
    include: ["tests/**/*.test.ts"],
    globalSetup: "tests/build-once.ts",
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
  },
});
