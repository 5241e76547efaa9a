/** What is said when a provider cannot be had, before any model is loaded. */
import koffi from 'koffi';
import { describe, expect, test } from 'vitest';
import type { Fallback } from '../../../src/index.ts';
import { appendProvider, resolveProvider } from '../../../src/runners/native/execution-provider.ts';
import { loadModel } from '../../../src/runners/native/load-model.ts';
import type { OrtApi } from '../../../src/runners/native/ort-api.ts';
import { codeOf, modelDir, open } from '../fixtures.ts';
import { cudaFolder, withNvidiaSmi } from './nvidia-smi.ts';

describe('CUDA without its provider', () => {
  test('is refused by name of the missing file', async () => {
    const opening = open('native', 'tiny-target', { executionProvider: 'cuda' });
    await expect(opening).rejects.toMatchObject({
      code: 'execution_provider_unavailable',
      message: expect.stringMatching(/libonnxruntime_providers_shared\.so is not beside .*use the GPU image/),
    });
  });

  test('is not what auto chooses, which says why', async () => {
    const fallbacks: Fallback[] = [];
    const onFallback = (fallback: Fallback) => fallbacks.push(fallback);
    const runner = await open('native', 'tiny-target', { executionProvider: 'auto', onFallback });
    expect(fallbacks).toEqual([
      {
        wanted: 'the execution provider cuda',
        used: 'cpu',
        reason: expect.stringMatching(/libonnxruntime_providers_shared\.so is not beside/),
      },
    ]);
    expect(runner.description).toMatchObject({ executionProvider: 'cpu', numFallbackNodes: 0, kvMemory: 'Cpu' });
    await runner.close();
  });

  test('cannot be had from the node runtime', async () => {
    expect(await codeOf(open('node', 'tiny-target', { executionProvider: 'webgpu' }))).toBe(
      'execution_provider_unavailable',
    );
  });
});

describe('CUDA with its provider', () => {
  const optionsFor = (options: Record<string, string>) => {
    const given: Record<string, string> = {};
    const text = (address: bigint) => koffi.decode(address, 'char', -1) as string;
    const api = {
      CreateCUDAProviderOptions: () => 1n,
      UpdateCUDAProviderOptions: (_options: bigint, keys: BigUint64Array, values: BigUint64Array, count: number) => {
        for (let i = 0; i < count; i++) given[text(keys[i]!)] = text(values[i]!);
      },
      SessionOptionsAppendExecutionProvider_CUDA_V2: () => {},
      ReleaseCUDAProviderOptions: () => {},
    } as unknown as OrtApi;
    appendProvider(api, 2n, { name: 'cuda', deviceId: 3, options });
    return given;
  };

  test("is asked for attention that is not compiled for every length, so not for cuDNN's", () => {
    expect(optionsFor({})).toMatchObject({ device_id: '3', sdpa_kernel: '19' });
  });

  test('is asked for an arena that takes what it needs and does not double', () => {
    expect(optionsFor({})).toMatchObject({ arena_extend_strategy: 'kSameAsRequested' });
  });

  test('takes the options of PROVIDER_OPTIONS before our own', () => {
    expect(optionsFor({ sdpa_kernel: '8', use_tf32: '0' })).toMatchObject({ sdpa_kernel: '8', use_tf32: '0' });
  });
});

describe('a GPU that its driver knows', () => {
  const base = { modelDir: '', numThreads: 1, minRows: 2, maxBatchItems: 1, deviceId: 0 } as const;
  /** ONNX Runtime with a provider that is refused for `failure`, or taken. */
  const apiThat = (failure?: string) =>
    ({
      CreateSessionOptions: () => 1n,
      ReleaseSessionOptions: () => {},
      CreateCUDAProviderOptions: () => 2n,
      UpdateCUDAProviderOptions: () => {
        if (failure) throw new Error(failure);
      },
      SessionOptionsAppendExecutionProvider_CUDA_V2: () => {},
      ReleaseCUDAProviderOptions: () => {},
    }) as unknown as OrtApi;
  const resolve = (failure?: string, executionProvider: 'cuda' | 'auto' = 'cuda') => {
    const lines: [string, string][] = [];
    const fallbacks: Fallback[] = [];
    const provider = resolveProvider(apiThat(failure), cudaFolder(), {
      ...base,
      executionProvider,
      log: (level, message) => lines.push([level, message]),
      onFallback: (fallback) => fallbacks.push(fallback),
    });
    return { lines, fallbacks, provider };
  };

  test('is described in one line, with capability, driver and memory', () => {
    withNvidiaSmi('echo "NVIDIA H100 80GB HBM3, 9.0, 580.159.03, 81559, 80994"', () => {
      const { lines, provider } = resolve();
      expect(lines).toEqual([
        ['info', 'GPU 0: NVIDIA H100 80GB HBM3, compute capability 9.0, driver 580.159.03, 80994 of 81559 MiB free'],
      ]);
      expect(provider).toMatchObject({ name: 'cuda', gpu: { freeMiB: 80_994 } });
    });
  });

  test('is named with what it lacks where CUDA refuses it', () => {
    withNvidiaSmi('echo "Tesla V100-SXM2-16GB, 7.0, 580.65.06, 16384, 16000"', () => {
      expect(() => resolve('CUDA failure 209: no kernel image ; GPU=0')).toThrow(
        'the execution provider cuda is not available: GPU 0 (Tesla V100-SXM2-16GB) has compute capability 7.0, CUDA 13 needs 7.5 or more (CUDA failure 209: no kernel image)',
      );
    });
    withNvidiaSmi('echo "NVIDIA A100, 8.0, 535.104.05, 40960, 40000"', () => {
      const { provider, fallbacks } = resolve('CUDA failure 35: CUDA driver version is insufficient ; GPU=0', 'auto');
      expect(provider.name).toBe('cpu');
      expect(fallbacks[0]?.reason).toContain('driver of GPU 0 (NVIDIA A100) is 535.104.05, CUDA 13 needs the 580');
    });
  });

  test('is warned of where CUDA takes it all the same', () => {
    withNvidiaSmi('echo "NVIDIA A100, 8.0, 535.104.05, 40960, 40000"', () => {
      const { lines, provider } = resolve();
      expect(provider.name).toBe('cuda');
      expect(lines.at(-1)).toEqual(['warn', expect.stringContaining('535.104.05')]);
    });
  });

  test('is not checked without nvidia-smi, and that is said', () => {
    withNvidiaSmi(null, () => {
      const { lines, provider } = resolve();
      expect(provider).not.toHaveProperty('gpu');
      expect(lines).toEqual([['warn', expect.stringContaining('not known, so not checked')]]);
    });
  });
});

describe('a provider that finds no device when the model is loaded', () => {
  const options = { modelDir: modelDir('tiny-target'), numThreads: 1, minRows: 2, maxBatchItems: 4, deviceId: 0 };
  /** WebGPU's device is looked for as late as CUDA's may be; 999 is nowhere. */
  const lateProvider = () => ({ name: 'webgpu', deviceId: 999, options: { deviceId: '999' } }) as const;

  test('is left for the CPU by auto, with the reason, once', async () => {
    const fallbacks: Fallback[] = [];
    const onFallback = (fallback: Fallback) => fallbacks.push(fallback);
    const model = await loadModel({ ...options, executionProvider: 'auto', onFallback }, lateProvider);
    expect(model.description).toMatchObject({ executionProvider: 'cpu', kvMemory: 'Cpu' });
    expect(model.graphs.map(({ numSlots }) => numSlots)).toEqual([1, 2, 4]);
    expect(fallbacks).toEqual([
      { wanted: 'the execution provider cuda', used: 'cpu', reason: expect.stringMatching(/is not available: /) },
    ]);
    model.close();
  });

  test('is an error where it was asked for by name', async () => {
    expect(await codeOf(loadModel({ ...options, executionProvider: 'cuda' }, lateProvider))).toBe(
      'execution_provider_unavailable',
    );
  });
});
