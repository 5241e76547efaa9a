/** The surface: official clients, a real browser, fuzzing, load. Every file starts a trio of its own on the tiny pair. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: join(import.meta.dirname, '..'),
  test: {
    include: ['e2e/surface/**/*.test.ts'],
    env: { ORT_DISABLE_TELEMETRY: '1' },
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 120_000,
  },
});
