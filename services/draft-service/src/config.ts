/** Settings of the draft-service. */
import { modelServiceSettings } from '@forerunner/model-service';
import { z } from 'zod';

export const draftSettings = z.object(
  modelServiceSettings({
    port: 8001,
    modelSize: '135m-feature-draft',
    batchSize: 32,
    kvCacheMb: 256,
    numThreads: 1,
    engineThread: 'shared',
  }),
);
export type DraftConfig = z.output<typeof draftSettings>;
