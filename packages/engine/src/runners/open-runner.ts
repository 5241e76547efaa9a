/** Chooses a runner. The only file that knows which kinds there are. */
import { EngineError } from '../errors.ts';
import type { ModelRunner, RunnerOptions } from '../runner.ts';
import { configMismatches } from './config-check.ts';
import { openModelFiles } from './model-files.ts';
import { openNativeRunner } from './native/native-runner.ts';
import { openNodeRunner } from './node/node-runner.ts';

export interface OpenRunnerOptions extends RunnerOptions {
  /** `auto`: native, or node where native cannot be had. */
  readonly runtime: 'node' | 'native' | 'auto';
}

/**
 * Whatever is not as `options` ask, and no error, is told to `onFallback`; so is a graph that config.json describes
 * otherwise.
 * Errors: EngineError model_not_found | model_unsupported | execution_provider_unavailable | runtime_unavailable
 * (only when `native` was asked for by name).
 */
export async function openRunner(options: OpenRunnerOptions): Promise<ModelRunner> {
  const runner = options.runtime === 'node' ? await openNodeRunner(options) : await openNativeOrNode(options);
  noteUnusedOptions(options, runner);
  for (const mismatch of configMismatches(openModelFiles(options.modelDir))) options.onFallback?.(mismatch);
  return runner;
}

async function openNativeOrNode(options: OpenRunnerOptions): Promise<ModelRunner> {
  try {
    return await openNativeRunner(options);
  } catch (error) {
    if (options.runtime === 'native' || !(error instanceof EngineError) || error.code !== 'runtime_unavailable')
      throw error;
    options.onFallback?.({ wanted: 'the native runtime', used: 'onnxruntime-node', reason: error.message });
    return openNodeRunner(options);
  }
}

/** Options that were given and that the runner has no use for. */
function noteUnusedOptions(
  { libraryPath, providerOptions = {}, onFallback }: RunnerOptions,
  runner: ModelRunner,
): void {
  const { runtime, executionProvider } = runner.description;
  if (libraryPath !== undefined && runtime === 'node') {
    const reason = 'only the native runtime can be given another library';
    onFallback?.({ wanted: `the library ${libraryPath}`, used: 'the one of onnxruntime-node', reason });
  }
  const names = Object.keys(providerOptions);
  if (names.length > 0 && executionProvider === 'cpu') {
    const reason = 'the execution provider cpu takes no options';
    onFallback?.({ wanted: `the provider options ${names.join(', ')}`, used: 'none', reason });
  }
}
