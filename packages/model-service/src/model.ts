/** The model as the HTTP thread sees it: a worker that answers calls, and what is known of it. */

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type EngineError, modelDigest, WorkerHost } from '@forerunner/engine/host';
import { type ModelCard, PROTOCOL_VERSION } from '@forerunner/protocol';
import { ConfigError, type Logger } from '@forerunner/service-kit';
import { tokenizerFingerprint } from '@forerunner/tokenizer/fingerprint';
import type { EngineMethods, EngineWorkerData, ModelFacts } from './engine-service.ts';
import type { ModelServiceConfig } from './settings.ts';

/** Methods of a service's worker, beside those that every one has. */
// biome-ignore lint/suspicious/noExplicitAny: payloads are typed by the methods themselves
export type Methods = Record<string, (payload: any, signal: AbortSignal) => unknown>;

export type ModelHost<M extends Methods> = WorkerHost<M & EngineMethods, ModelFacts>;
/** What routes need of it; a test may give another. */
export type Model<M extends Methods> = Pick<ModelHost<M>, 'call' | 'info'>;

export interface StartModelOptions {
  /** The worker's main module. */
  readonly script: URL;
  readonly config: ModelServiceConfig;
  readonly modelDir: string;
  /** See RunnerOptions. */
  readonly minRows: number;
  readonly logger: Logger;
  readonly onDeath: (reason: Error) => void;
}

/** Errors: ConfigError, when the model cannot be loaded with these settings. */
export async function startModel<M extends Methods>(options: StartModelOptions): Promise<ModelHost<M>> {
  const { config, logger } = options;
  // ONNX Runtime reads this once, when its library is loaded, which the worker does. It has to be set on the main
  // thread: only there does process.env reach the environment of the process itself.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const workerData: EngineWorkerData = {
    modelDir: options.modelDir,
    numThreads: config.NUM_THREADS,
    minRows: options.minRows,
    maxBatchItems: maxBatchItems(config),
    executionProvider: config.EXECUTION_PROVIDER,
    deviceId: config.DEVICE_ID,
    providerOptions: config.PROVIDER_OPTIONS,
    ...(config.ORT_LIBRARY !== undefined && { libraryPath: config.ORT_LIBRARY }),
    runtime: config.RUNTIME,
    kvBudgetBytes: kvBudgetBytes(config),
    leaseMs: config.SEQUENCE_TTL_S * 1000,
    prefillChunkTokens: config.PREFILL_CHUNK_TOKENS,
    maxRequests: config.MAX_QUEUE,
  };
  try {
    return await WorkerHost.start<M & EngineMethods, ModelFacts>({
      script: options.script,
      workerData,
      log: (message, fields) => logger.info(fields, message),
      onDeath: options.onDeath,
    });
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause)) throw cause;
    throw new ConfigError(`cannot serve ${options.modelDir}: ${(cause as EngineError).message}`, { cause });
  }
}

export function kvBudgetBytes(config: ModelServiceConfig): number {
  return config.KV_CACHE_MB * 2 ** 20;
}

function maxBatchItems(config: ModelServiceConfig): number {
  return config.BATCHED_PASSES ? config.BATCH_SIZE : 1;
}

/** GET /v1/model. Reads the model's small files once. */
export function modelCard(
  service: ModelCard['service'],
  modelDir: string,
  config: ModelServiceConfig,
  facts: ModelFacts,
): ModelCard {
  const { draft_features: wanted } = JSON.parse(readFileSync(join(modelDir, 'config.json'), 'utf8')) as {
    draft_features?: { target_output?: string; target_digest?: string };
  };
  const { runtime, runtimeVersion, executionProvider, numFallbackNodes, numThreads } = facts.description;
  const { hiddenStates, featureWidth } = facts;
  return {
    protocol_version: PROTOCOL_VERSION,
    service,
    model_id: basename(modelDir),
    model_digest: modelDigest(modelDir),
    vocab_size: facts.vocabSize,
    tokenizer_fingerprint: tokenizerFingerprint(modelDir),
    bos_token_id: facts.bosTokenId,
    eos_token_ids: [...facts.eosTokenIds],
    context_length: facts.contextLength,
    max_batch_items: maxBatchItems(config),
    runtime,
    runtime_version: runtimeVersion,
    execution_provider: executionProvider,
    num_cpu_fallback_nodes: numFallbackNodes,
    num_threads: numThreads,
    numeric_regime: facts.numericRegime,
    kv_cache_budget_bytes: kvBudgetBytes(config),
    features_offered:
      service === 'target-service' && hiddenStates
        ? { name: hiddenStates.output, width: hiddenStates.width, dtype: 'float16' }
        : null,
    features_wanted:
      featureWidth > 0
        ? {
            name: wanted?.target_output ?? 'hidden_states',
            width: featureWidth,
            dtype: 'float16',
            target_digest: wanted?.target_digest ?? null,
          }
        : null,
    draft_vocab_size: facts.headSize < facts.vocabSize ? facts.headSize : null,
  };
}
