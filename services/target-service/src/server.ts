/** Starts the target-service. */
import { runModelService } from '@forerunner/model-service';
import { buildTargetApp } from './app.ts';
import { targetSettings } from './config.ts';

await runModelService({
  name: 'target-service',
  settings: targetSettings,
  worker: new URL('./worker.ts', import.meta.url),
  minRows: (config) => (config.CANONICAL_SHAPES ? 2 : 1),
  buildApp: buildTargetApp,
});
