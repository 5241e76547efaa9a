/** What makes this model service the target-service. */
import type { ModelServiceDefinition } from '@forerunner/model-service';
import { buildTargetApp } from './app.ts';
import { type TargetConfig, targetSettings } from './config.ts';
import type { TargetMethods } from './engine.ts';

export const targetService: ModelServiceDefinition<TargetMethods> = {
  name: 'target-service',
  settings: targetSettings,
  engine: new URL('./engine.ts', import.meta.url),
  minRows: (config) => ((config as TargetConfig).CANONICAL_SHAPES ? 2 : 1),
  buildApp: buildTargetApp,
};
