/** The model as the HTTP thread sees it: a host that takes calls, on this thread or another, and what is known of it. */

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  type CallHost,
  type EngineError,
  type EngineLog,
  type Fallback,
  LocalHost,
  modelDigest,
  WorkerHost,
  warnOf,
} from '@forerunner/engine/host';
import { type ModelCard, PROTOCOL_VERSION } from '@forerunner/protocol';
import { ConfigError, type Logger } from '@forerunner/service-kit';
import { tokenizerFingerprint } from '@forerunner/tokenizer/fingerprint';
import type { EngineMethods, EngineSettings, ModelFacts, OpenEngine } from './engine-service.ts';
import type { EngineConfig } from './settings.ts';
import type { EngineWorkerData } from './worker.ts';

/** Methods of a service's engine module, beside those that every one has. */
// biome-ignore lint/suspicious/noExplicitAny: payloads are typed by the methods themselves
export type Methods = Record<string, (payload: any, signal: AbortSignal) => unknown>;

export type ModelHost<M extends Methods> = CallHost<M & EngineMethods, ModelFacts>;
/** What routes need of it; a test may give another. */
export type Model<M extends Methods> = Pick<ModelHost<M>, 'call' | 'info'>;

export interface StartModelOptions {
  /** The service's engine module. */
  readonly engine: URL;
  readonly config: EngineConfig;
  readonly modelDir: string;
  /** See RunnerOptions. */
  readonly minRows: number;
  readonly logger: Logger;
  readonly onDeath: (reason: Error) => void;
}

/** Errors: ConfigError, when the model cannot be loaded with these settings. */
export async function startModel<M extends Methods>(options: StartModelOptions): Promise<ModelHost<M>> {
  const { config, logger } = options;
  // ONNX Runtime reads this once, when its library is loaded. It has to be set on the main thread: only there does
  // process.env reach the environment of the process itself.
  process.env.ORT_DISABLE_TELEMETRY = '1';
  const settings: EngineSettings = {
    modelDir: options.modelDir,
    numThreads: config.NUM_THREADS,
    minRows: options.minRows,
    maxBatchItems: config.BATCH_SIZE,
    maxPassTokens: config.MAX_PASS_TOKENS,
    executionProvider: config.EXECUTION_PROVIDER,
    deviceId: config.DEVICE_ID,
    providerOptions: config.PROVIDER_OPTIONS,
    ...(config.ORT_LIBRARY !== undefined && { libraryPath: config.ORT_LIBRARY }),
    runtime: config.RUNTIME,
    kvBudgetBytes: kvBudgetBytes(config),
    idleTtlMs: config.SEQUENCE_TTL_S * 1000,
    sharesPrefixes: config.PREFIX_CACHE,
    prefillChunkTokens: config.PREFILL_CHUNK_TOKENS,
    maxRequests: config.MAX_QUEUE,
  };
  const log: EngineLog = (level, message, fields) => logger[level](fields, message);
  try {
    const shared = config.ENGINE_THREAD === 'shared' ? await openOnThisThread<M>(options.engine, settings, log) : null;
    if (shared) return shared;
    const workerData: EngineWorkerData = { module: options.engine.href, settings };
    const script = new URL('./worker.ts', import.meta.url);
    return await WorkerHost.start<M & EngineMethods, ModelFacts>({ script, workerData, log, onDeath: options.onDeath });
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause)) throw cause;
    throw new ConfigError(`cannot serve ${options.modelDir}: ${(cause as EngineError).message}`, { cause });
  }
}

const NO_SHARED_THREAD: Fallback = {
  wanted: 'ENGINE_THREAD=shared',
  used: 'a thread of the engine alone',
  reason: 'onnxruntime-node blocks its thread for as long as a pass takes',
};

/** null: this runtime would hold up everything else on the thread for as long as a pass takes. */
async function openOnThisThread<M extends Methods>(
  engine: URL,
  settings: EngineSettings,
  log: EngineLog,
): Promise<ModelHost<M> | null> {
  if (settings.runtime !== 'node') {
    const { openEngine } = (await import(engine.href)) as { openEngine: OpenEngine };
    const host = new LocalHost<M & EngineMethods, ModelFacts>(await openEngine(settings, log));
    if (host.info.description.runtime === 'native') return host;
    await host.close();
  }
  warnOf(log, NO_SHARED_THREAD);
  return null;
}

function kvBudgetBytes(config: EngineConfig): number {
  return config.KV_CACHE_MB * 2 ** 20;
}

/** GET /v1/model. Reads the model's small files once. */
export function modelCard(
  service: ModelCard['service'],
  modelDir: string,
  config: EngineConfig,
  facts: ModelFacts,
): ModelCard {
  const { draft_hidden_states: wanted } = JSON.parse(readFileSync(join(modelDir, 'config.json'), 'utf8')) as {
    draft_hidden_states?: { target_output?: string; target_digest?: string };
  };
  const { runtime, runtimeVersion, executionProvider, numFallbackNodes, numThreads } = facts.description;
  const { hiddenStates, hiddenStatesWidth } = facts;
  const refusesThread = config.ENGINE_THREAD === 'shared' && runtime === 'node';
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
    max_batch_items: facts.maxBatchItems,
    runtime,
    runtime_version: runtimeVersion,
    execution_provider: executionProvider,
    num_cpu_fallback_nodes: numFallbackNodes,
    num_threads: numThreads,
    fallbacks: refusesThread ? [...facts.fallbacks, NO_SHARED_THREAD] : [...facts.fallbacks],
    numeric_regime: facts.numericRegime,
    kv_cache_budget_bytes: kvBudgetBytes(config),
    pass_costs: facts.passCosts,
    hidden_states_offered:
      service === 'target-service' && hiddenStates
        ? { name: hiddenStates.output, width: hiddenStates.width, dtype: 'float16' }
        : null,
    hidden_states_wanted:
      hiddenStatesWidth > 0
        ? {
            name: wanted?.target_output ?? 'hidden_states',
            width: hiddenStatesWidth,
            dtype: 'float16',
            target_digest: wanted?.target_digest ?? null,
          }
        : null,
    draft_vocab_size: facts.headSize < facts.vocabSize ? facts.headSize : null,
  };
}
