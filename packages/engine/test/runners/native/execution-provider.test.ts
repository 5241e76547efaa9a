/** What is said when a provider cannot be had, before any model is loaded. */
import koffi from 'koffi';
import { describe, expect, test } from 'vitest';
import type { Fallback } from '../../../src/index.ts';
import { appendProvider } from '../../../src/runners/native/execution-provider.ts';
import type { OrtApi } from '../../../src/runners/native/ort-api.ts';
import { codeOf, open } from '../fixtures.ts';

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
    expect(optionsFor({})).toEqual({ device_id: '3', sdpa_kernel: '19' });
  });

  test('takes the options of PROVIDER_OPTIONS before our own', () => {
    expect(optionsFor({ sdpa_kernel: '8', use_tf32: '0' })).toMatchObject({ sdpa_kernel: '8', use_tf32: '0' });
  });
});
