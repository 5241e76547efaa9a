/**
 * Where a graph runs, and what is said when it cannot. Everything is checked before a model is loaded. Knows the files
 * and names of the providers, nothing of models.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';
import { EngineError } from '../../errors.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import { addressOf } from './tensor.ts';

export interface ExecutionProvider {
  readonly name: 'cpu' | 'webgpu' | 'cuda';
  readonly deviceId: number;
  /** Passed on as they are; the provider refuses what it does not know. */
  readonly options: Readonly<Record<string, string>>;
}

/** Names that memory on the device goes by in ONNX Runtime; host memory has none here. */
export const deviceMemoryNames = { cpu: undefined, webgpu: 'WebGPU_Buf', cuda: 'Cuda' } as const;

/** What Session_GetEpGraphAssignmentInfo calls the CPU. */
export const CPU_PROVIDER = 'CPUExecutionProvider';

/** Adds the provider to session options. Errors: EngineError execution_provider_unavailable. */
export function appendProvider(api: OrtApi, sessionOptions: Pointer, provider: ExecutionProvider): void {
  if (provider.name === 'cpu') return;
  try {
    if (provider.name === 'cuda') appendCuda(api, sessionOptions, provider);
    else appendWebGpu(api, sessionOptions, provider);
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw unavailable(provider.name, (cause as Error).message, cause);
  }
}

function appendWebGpu(api: OrtApi, sessionOptions: Pointer, { options }: ExecutionProvider): void {
  withTexts(options, (keys, values, count) => {
    api.SessionOptionsAppendExecutionProvider(sessionOptions, 'WebGPU', keys, values, count);
  });
}

function appendCuda(api: OrtApi, sessionOptions: Pointer, { deviceId, options }: ExecutionProvider): void {
  const cudaOptions = api.CreateCUDAProviderOptions();
  try {
    withTexts({ device_id: String(deviceId), ...options }, (keys, values, count) => {
      api.UpdateCUDAProviderOptions(cudaOptions, keys, values, count);
    });
    api.SessionOptionsAppendExecutionProvider_CUDA_V2(sessionOptions, cudaOptions);
  } finally {
    api.ReleaseCUDAProviderOptions(cudaOptions);
  }
}

/**
 * ONNX Runtime says only "failed to load shared library", so the files are looked for first: the provider beside
 * libonnxruntime, then what the provider links to, then the driver. Returns what is missing; undefined when all is there.
 */
export function missingForCuda(libraryPath: string): string | undefined {
  const folder = dirname(libraryPath);
  const [shared, cuda] =
    process.platform === 'win32'
      ? ['onnxruntime_providers_shared.dll', 'onnxruntime_providers_cuda.dll']
      : ['libonnxruntime_providers_shared.so', 'libonnxruntime_providers_cuda.so'];
  for (const name of [shared, cuda]) {
    if (!existsSync(join(folder, name))) {
      return `${name} is not beside ${libraryPath}: use the GPU image, or put the files of the PyPI package onnxruntime-gpu there`;
    }
  }
  if (process.platform !== 'linux') return undefined;
  for (const library of [join(folder, shared), join(folder, cuda), 'libcuda.so.1']) {
    const reason = whyNotLoadable(library);
    if (reason)
      return `${reason} (CUDA libraries are found by LD_LIBRARY_PATH, libcuda.so.1 comes with the NVIDIA driver)`;
  }
  return undefined;
}

/** Handles are kept: unloading a CUDA library and loading it again is not supported. */
const probed = new Map<string, LibraryHandle>();

function whyNotLoadable(library: string): string | undefined {
  try {
    if (!probed.has(library)) probed.set(library, koffi.load(library, { lazy: true, global: true }));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

export function unavailable(provider: string, reason: string, cause?: unknown): EngineError {
  const message = `the execution provider ${provider} is not available: ${reason}`;
  return new EngineError('execution_provider_unavailable', message, { provider }, { cause });
}

function withTexts(
  options: Readonly<Record<string, string>>,
  use: (keys: BigUint64Array, values: BigUint64Array, count: number) => void,
): void {
  const texts = Object.entries(options).map((pair) => pair.map((text) => Buffer.from(`${text}\0`)));
  const addresses = (side: 0 | 1) => BigUint64Array.from(texts, (pair) => addressOf(pair[side]!));
  use(addresses(0), addresses(1), texts.length);
}
