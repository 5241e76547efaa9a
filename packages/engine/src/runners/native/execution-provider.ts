/**
 * Where a graph runs, and what is said when it cannot. Everything is checked before a model is loaded. Knows the files
 * and names of the providers, nothing of models.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EngineError, providerUnavailable } from '../../errors.ts';
import type { RunnerOptions } from '../../runner.ts';
import { describeGpu, type NvidiaGpu, readNvidiaGpu, whyUnfit } from './nvidia-gpu.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import { addressOf } from './tensor.ts';

export interface ExecutionProvider {
  readonly name: 'cpu' | 'webgpu' | 'cuda';
  readonly deviceId: number;
  /** Passed on as they are; the provider refuses what it does not know. */
  readonly options: Readonly<Record<string, string>>;
  /** What the driver says of an NVIDIA GPU, where it says anything. */
  readonly gpu?: NvidiaGpu;
}

/** What Session_GetEpGraphAssignmentInfo calls the CPU. */
export const CPU_PROVIDER = 'CPUExecutionProvider';

/**
 * What `executionProvider` means here. `auto` is CUDA where it can be had, else the CPU, and `onFallback` hears what is
 * missing. Errors: EngineError execution_provider_unavailable, saying what is missing.
 */
export function resolveProvider(api: OrtApi, libraryPath: string, options: RunnerOptions): ExecutionProvider {
  const { executionProvider, deviceId, providerOptions = {} } = options;
  if (executionProvider === 'cpu') return cpuProvider(deviceId);
  if (executionProvider === 'webgpu') return { name: 'webgpu', deviceId, options: providerOptions };
  try {
    return cudaProvider(api, libraryPath, options);
  } catch (error) {
    return cpuInsteadOf(error, options);
  }
}

/**
 * The CPU, where `auto` tried a provider that cannot be had; `onFallback` hears why.
 * Errors: the given one, where the provider was asked for by name, or where something else is wrong.
 */
export function cpuInsteadOf(error: unknown, { executionProvider, deviceId, onFallback }: RunnerOptions) {
  const isMissing = error instanceof EngineError && error.code === 'execution_provider_unavailable';
  if (executionProvider !== 'auto' || !isMissing) throw error;
  onFallback?.({ wanted: 'the execution provider cuda', used: 'cpu', reason: error.message });
  return cpuProvider(deviceId);
}

const cpuProvider = (deviceId: number): ExecutionProvider => ({ name: 'cpu', deviceId, options: {} });

/** Errors: EngineError execution_provider_unavailable. */
function cudaProvider(
  api: OrtApi,
  libraryPath: string,
  { deviceId, providerOptions = {}, log }: RunnerOptions,
): ExecutionProvider {
  requireCudaFiles(libraryPath);
  const found = readNvidiaGpu(deviceId);
  const gpu = 'whyNot' in found ? undefined : found;
  if ('whyNot' in found) {
    log?.('warn', "the GPU's memory, compute capability and driver are not known, so not checked", { ...found });
  } else {
    log?.('info', describeGpu(found), { gpu });
  }
  const cuda: ExecutionProvider = { name: 'cuda', deviceId, options: providerOptions, ...(gpu && { gpu }) };
  const unfit = gpu && whyUnfit(gpu);
  const trial = api.CreateSessionOptions();
  try {
    appendProvider(api, trial, cuda);
  } catch (error) {
    const { cause } = error as Error;
    const said = cause instanceof Error ? ` (${readable(cause.message)})` : '';
    throw unfit ? providerUnavailable('cuda', `${unfit}${said}`, error) : error;
  } finally {
    api.ReleaseSessionOptions(trial);
  }
  if (unfit) log?.('warn', unfit, { gpu }); // a driver's compatibility package, or another CUDA, may make it fit
  return cuda;
}

/** Puts the failures that are nobody's bug into words that say what to do, and leaves all others as they are. */
function readable(reason: string): string {
  const library = /with error: ([^:\s]+): cannot open shared object file/.exec(reason)?.[1];
  if (library) {
    return `${library} cannot be found (CUDA libraries by LD_LIBRARY_PATH; libcuda.so.1 comes with the NVIDIA driver)`;
  }
  const failure = /CUDA failure \d+: [^;]+?(?= ;)/.exec(reason)?.[0];
  if (failure) return failure;
  if (!/adapter/i.test(reason)) return reason;
  return 'no WebGPU adapter (a GPU driver; on Linux libvulkan.so.1 and a Vulkan driver that VK_ICD_FILENAMES may name)';
}

/** Providers find out late that there is no device: when the session is made. */
export function isDeviceFailure(reason: string): boolean {
  return /adapter|vulkan|webgpu device|no cuda-capable|cuda failure|cudart|driver/i.test(reason);
}

/** Adds the provider to session options. Errors: EngineError execution_provider_unavailable. */
export function appendProvider(api: OrtApi, sessionOptions: Pointer, provider: ExecutionProvider): void {
  if (provider.name === 'cpu') return;
  try {
    if (provider.name === 'cuda') appendCuda(api, sessionOptions, provider);
    else appendWebGpu(api, sessionOptions, provider);
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw providerUnavailable(provider.name, readable((cause as Error).message), cause);
  }
}

function appendWebGpu(api: OrtApi, sessionOptions: Pointer, { options }: ExecutionProvider): void {
  withTexts(options, (keys, values, count) => {
    api.SessionOptionsAppendExecutionProvider(sessionOptions, 'WebGPU', keys, values, count);
  });
}

/**
 * Flash, memory-efficient and plain attention (bits 1, 2 and 16 of ONNX Runtime's AttentionBackend), so not cuDNN's, which
 * ONNX Runtime prefers from compute capability 9.0 on: it compiles a graph for every pair of rows and length that it has
 * not seen, some 20 ms, and a text has a new one in every pass.
 */
const SDPA_KERNEL = String(1 | 2 | 16);

/** ONNX Runtime's own choice doubles the arena each time, so the last block of a cache may take as much as all before. */
const ARENA_GROWTH = 'kSameAsRequested';

function appendCuda(api: OrtApi, sessionOptions: Pointer, { deviceId, options }: ExecutionProvider): void {
  const cudaOptions = api.CreateCUDAProviderOptions();
  try {
    const own = { device_id: String(deviceId), sdpa_kernel: SDPA_KERNEL, arena_extend_strategy: ARENA_GROWTH };
    withTexts({ ...own, ...options }, (keys, values, count) => {
      api.UpdateCUDAProviderOptions(cudaOptions, keys, values, count);
    });
    api.SessionOptionsAppendExecutionProvider_CUDA_V2(sessionOptions, cudaOptions);
  } finally {
    api.ReleaseCUDAProviderOptions(cudaOptions);
  }
}

/**
 * Without the provider's files ONNX Runtime says only "failed to load shared library", so they are looked for. They are
 * not opened here: the provider must be loaded by ONNX Runtime itself, before that it crashes.
 */
function requireCudaFiles(libraryPath: string): void {
  const [prefix, suffix] = process.platform === 'win32' ? ['', 'dll'] : ['lib', 'so'];
  for (const part of ['shared', 'cuda']) {
    const name = `${prefix}onnxruntime_providers_${part}.${suffix}`;
    if (existsSync(join(dirname(libraryPath), name))) continue;
    const hint = 'use the GPU image, or put the files of the PyPI package onnxruntime-gpu there';
    throw providerUnavailable('cuda', `${name} is not beside ${libraryPath}: ${hint}`);
  }
}

function withTexts(
  options: Readonly<Record<string, string>>,
  use: (keys: BigUint64Array, values: BigUint64Array, count: number) => void,
): void {
  const texts = Object.entries(options).map((pair) => pair.map((text) => Buffer.from(`${text}\0`)));
  const addresses = (side: 0 | 1) => BigUint64Array.from(texts, (pair) => addressOf(pair[side]!));
  use(addresses(0), addresses(1), texts.length);
}
