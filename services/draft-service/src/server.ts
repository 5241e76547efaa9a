/** Starts the draft-service. */
import { runModelService } from '@forerunner/model-service';
import { buildDraftApp } from './app.ts';
import { draftSettings } from './config.ts';

await runModelService({
  name: 'draft-service',
  settings: draftSettings,
  worker: new URL('./worker.ts', import.meta.url),
  minRows: () => 1, // guesses need not be bit-equal, only fast
  buildApp: buildDraftApp,
});
