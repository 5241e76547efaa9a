/** Settings that draft-service and target-service share; only some defaults differ. */
import {
  choiceSetting,
  commonSettings,
  flagSetting,
  integerSetting,
  optionalSetting,
  stringSetting,
} from '@forerunner/service-kit';
import { z } from 'zod';

interface Defaults {
  readonly port: number;
  readonly modelSize: string;
  readonly batchSize: number;
  readonly kvCacheMb: number;
  readonly numThreads: number;
  readonly engineThread: 'own' | 'shared';
}

const providerOptions = z
  .string()
  .regex(/^[^=,]+=[^,]*(,[^=,]+=[^,]*)*$/, 'must be name=value, separated by commas')
  .transform((text) => Object.fromEntries(text.split(',').map((pair) => splitOnce(pair))))
  .default({});

function splitOnce(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
}

export function modelServiceSettings(defaults: Defaults) {
  return {
    ...commonSettings,
    PORT: integerSetting({
      default: defaults.port,
      min: 0,
      max: 65_535,
      reason: 'Port to listen on; 0 picks a free one.',
    }),
    MODELS_DIR: optionalSetting({ reason: 'Folder with catalogue.json; default: models/ beside the services.' }),
    MODEL_SIZE: stringSetting({ default: defaults.modelSize, reason: 'Catalogue name of the model to serve.' }),
    MODEL_DIR: optionalSetting({ reason: "The model's folder itself; overrides MODEL_SIZE." }),
    BATCH_SIZE: integerSetting({
      default: defaults.batchSize,
      min: 1,
      max: 1024,
      unit: 'sequences',
      reason:
        "Most sequences in one pass of the model, if the runtime takes several: the model card's max_batch_items says how many it really is. 1: sequences take turns.",
    }),
    MAX_PASS_TOKENS: integerSetting({
      default: 160,
      min: 2,
      max: 65_536,
      unit: 'tokens',
      reason:
        'Most new tokens in one pass, of all its sequences together: smaller lets waiting sequences in sooner, larger reads several prompts at once (docs/scheduling.md).',
    }),
    KV_CACHE_MB: integerSetting({
      default: defaults.kvCacheMb,
      min: 1,
      max: 1 << 24,
      unit: 'MiB',
      reason:
        'Memory for the caches of all sequences, and for the prefixes that freed ones leave; when it runs out the longest unused are evicted, prefixes first.',
    }),
    SEQUENCE_TTL_S: integerSetting({
      default: 600,
      min: 1,
      max: 604_800,
      unit: 'seconds',
      reason: 'A sequence that has not been used for this long is freed (its prefix stays cached: PREFIX_CACHE).',
    }),
    PREFIX_CACHE: flagSetting({
      default: true,
      reason:
        'Keep what freed sequences held until memory is wanted, and let a text that begins alike take it over instead of computing it (docs/decisions/0023-prefix-cache.md). false: every text is computed whole, and a freed sequence leaves nothing in memory.',
    }),
    PREFILL_CHUNK_TOKENS: integerSetting({
      default: 128,
      min: 2,
      max: 65_536,
      unit: 'tokens',
      reason:
        'Most tokens of one sequence in one pass (MAX_PASS_TOKENS, if that is less): smaller lets others in sooner, larger reads prompts faster.',
    }),
    MAX_QUEUE: integerSetting({
      default: 256,
      min: 1,
      max: 65_536,
      unit: 'requests',
      reason: 'Requests under way or waiting; further ones are refused with 429 before any work starts.',
    }),
    MAX_BODY_BYTES: integerSetting({
      default: 1 << 25,
      min: 1024,
      max: 1 << 30,
      unit: 'bytes',
      reason: 'Largest request body. Hidden states take 2 bytes for each token and hidden unit.',
    }),
    NUM_THREADS: integerSetting({
      default: defaults.numThreads,
      min: 1,
      max: 1024,
      unit: 'threads',
      reason: 'Threads within one pass. Explicit, because a container with a CPU limit still sees every core.',
    }),
    ENGINE_THREAD: choiceSetting(['own', 'shared'], {
      default: defaults.engineThread,
      reason:
        'own: the engine has a thread beside that of HTTP, so large replies and many requests hold nobody up. shared: both are one, which saves 0.3 ms a call (docs/decisions/0015-the-thread-of-the-engine.md).',
    }),
    RUNTIME: choiceSetting(['auto', 'native', 'node'], {
      default: 'auto',
      reason:
        'native calls ONNX Runtime without copies, node is its portable binding; auto falls back to node; the log warns and the model card says so.',
    }),
    EXECUTION_PROVIDER: choiceSetting(['cpu', 'cuda', 'webgpu', 'auto'], {
      default: 'cpu',
      reason:
        'Where the model runs. auto: cuda, or cpu where that cannot be had. The model card says what is really in use.',
    }),
    DEVICE_ID: integerSetting({ default: 0, min: 0, max: 1023, reason: 'Which device, where there are several.' }),
    PROVIDER_OPTIONS: providerOptions.meta({
      description: 'Handed to the execution provider as they are: name=value, separated by commas.',
    }),
    ORT_LIBRARY: optionalSetting({
      reason: 'A libonnxruntime to use instead of the one that comes with onnxruntime-node (native runtime only).',
    }),
  };
}

/** What to tell an operator whose environment still has a setting that is gone. */
export function retiredSettings(env: NodeJS.ProcessEnv): string[] {
  const value = env.BATCHED_PASSES?.trim() ?? '';
  if (value === '') return [];
  return [
    `BATCHED_PASSES=${value} has no effect, the setting no longer exists: up to BATCH_SIZE sequences share a pass (BATCH_SIZE=1 makes them take turns). Remove it.`,
  ];
}

/** Those that a model has which is no service of its own: all but the ones of a listening process. */
export type EngineConfig = Omit<ModelServiceConfig, 'PORT' | 'MAX_BODY_BYTES' | keyof typeof commonSettings>;
export type ModelServiceConfig = z.output<z.ZodObject<ReturnType<typeof modelServiceSettings>>>;
