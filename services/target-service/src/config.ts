/** Settings of the target-service. */
import { modelServiceSettings } from '@forerunner/model-service';
import { flagSetting } from '@forerunner/service-kit';
import { z } from 'zod';

export const targetSettings = z.object({
  ...modelServiceSettings({
    port: 8002,
    modelSize: '135m',
    batchSize: 8,
    kvCacheMb: 1024,
    numThreads: 2,
    engineThread: 'own',
  }),
  CANONICAL_SHAPES: flagSetting({
    default: true,
    reason:
      'Never run a pass of one row, so that an answer is the same to the last bit with and without a draft (docs/decisions/0003-never-one-row.md). false: up to 20 % faster without a draft, and greedy texts may differ.',
  }),
});
export type TargetConfig = z.output<typeof targetSettings>;
