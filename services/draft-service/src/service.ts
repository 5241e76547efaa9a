/** What makes this model service the draft-service. */
import type { ModelServiceDefinition } from '@forerunner/model-service';
import { buildDraftApp } from './app.ts';
import { draftSettings } from './config.ts';
import type { DraftMethods } from './engine.ts';

/** Guesses need not be bit-equal, only fast. */
export const MIN_ROWS = 1;

export const draftService: ModelServiceDefinition<DraftMethods> = {
  name: 'draft-service',
  settings: draftSettings,
  engine: new URL('./engine.ts', import.meta.url),
  minRows: () => MIN_ROWS,
  buildApp: buildDraftApp,
};
