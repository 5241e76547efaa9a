/** Settings of the target-service. */
import { modelServiceSettings } from '@forerunner/model-service';
import { z } from 'zod';

export const targetSettings = z.object(
  modelServiceSettings({ port: 8002, modelSize: '135m', batchSize: 8, kvCacheMb: 1024, numThreads: 2 }),
);
export type TargetConfig = z.output<typeof targetSettings>;
