/** What makes this model service the target-service. */
import type { ModelServiceDefinition } from '@forerunner/model-service';
import { buildTargetApp } from './app.ts';
import { targetSettings } from './config.ts';
import type { TargetMethods } from './worker.ts';

export const targetService: ModelServiceDefinition<TargetMethods> = {
  name: 'target-service',
  settings: targetSettings,
  worker: new URL('./worker.ts', import.meta.url),
  minRows: 2, // a target must be one function: see docs/decisions/0003-never-one-row.md
  buildApp: buildTargetApp,
};
