import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { ALLOWED_GROWTH_MB, soak } from '../src/soak.ts';

setFlagsFromString('--expose-gc');
globalThis.gc ??= runInNewContext('gc') as NodeJS.GCFunction;

test.each([1, 4])(
  'a runner with batches of %i survives every kind of use, and its memory stays flat',
  async (maxBatchItems) => {
    const report = await soak({ steps: 3000, model: 'tiny-target', runtime: 'native', maxBatchItems, seed: 7 });
    for (const event of ['open', 'pass', 'rollback', 'fork', 'cancel', 'release', 'evict']) {
      expect(report.counts[event], event).toBeGreaterThan(0);
    }
    expect((report.counts.batch ?? 0) > 100).toBe(maxBatchItems > 1);
    expect(report.growthMb).toBeLessThan(ALLOWED_GROWTH_MB);
  },
);
