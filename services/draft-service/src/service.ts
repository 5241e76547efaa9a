/** What makes this model service the draft-service. */
import type { ModelServiceDefinition } from '@forerunner/model-service';
import { buildDraftApp } from './app.ts';
import { draftSettings } from './config.ts';
import type { DraftMethods } from './engine.ts';

export const draftService: ModelServiceDefinition<DraftMethods> = {
  name: 'draft-service',
  settings: draftSettings,
  engine: new URL('./engine.ts', import.meta.url),
  minRows: () => 1, // guesses need not be bit-equal, only fast
  buildApp: buildDraftApp,
};
