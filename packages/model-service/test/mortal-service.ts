/** A model service whose engine can be made to die over HTTP. Started as a process by the tests. */
import { z } from 'zod';
import { createModelApp, modelServiceSettings, runModelService, throwFromEngine } from '../src/index.ts';
import type { MortalMethods } from './mortal-engine.ts';

await runModelService<MortalMethods>({
  name: 'target-service',
  settings: z.object(
    modelServiceSettings({
      port: 0,
      modelSize: 'tiny',
      batchSize: 1,
      kvCacheMb: 16,
      numThreads: 1,
      engineThread: 'own',
    }),
  ),
  engine: new URL('./mortal-engine.ts', import.meta.url),
  minRows: () => 2,
  buildApp: (config, deps) =>
    createModelApp(config, deps, ({ v1 }) => {
      for (const method of ['wait', 'crash'] as const) {
        v1.get(`/v1/${method}/:ms`, { schema: { params: z.object({ ms: z.coerce.number() }) } }, async (request) => {
          await deps.model.call(method, request.params.ms as never).catch(throwFromEngine);
          return {};
        });
      }
    }),
});
