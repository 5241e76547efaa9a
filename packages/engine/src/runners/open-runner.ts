/** Chooses a runner. The only file that knows which kinds there are. */
import { EngineError } from '../errors.ts';
import type { ModelRunner, RunnerOptions } from '../runner.ts';
import { openNativeRunner } from './native/native-runner.ts';
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
  if (options.runtime === 'node') return openNodeRunner(options);
  try {
    return await openNativeRunner(options);
  } catch (error) {
    if (options.runtime === 'native' || !(error instanceof EngineError) || error.code !== 'runtime_unavailable')
      throw error;
    options.log?.('the native runtime is not available, using onnxruntime-node', { reason: error.message });
    return openNodeRunner(options);
  }
}
