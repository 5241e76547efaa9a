/** The composed stack, in containers where there is Docker. One file at a time: each composes a stack of its own, and the machine is small. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: join(import.meta.dirname, '..'),
  test: {
    include: ['e2e/stack/**/*.test.ts'],
    globalSetup: ['e2e/support/global-setup.ts'],
    env: {
      ORT_DISABLE_TELEMETRY: '1',
      TESTCONTAINERS_RYUK_DISABLED: 'true',
      TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1',
    },
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 300_000,
  },
});
