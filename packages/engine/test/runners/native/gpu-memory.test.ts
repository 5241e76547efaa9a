/** Budgets are held against the card before weights are loaded. */
import { expect, test } from 'vitest';
import { planGpuMemory } from '../../../src/runners/native/gpu-memory.ts';
import { loadModel } from '../../../src/runners/native/load-model.ts';
import type { NvidiaGpu } from '../../../src/runners/native/nvidia-gpu.ts';
import { modelDir } from '../fixtures.ts';

const MIB = 2 ** 20;
const gpu = (freeMiB: number): NvidiaGpu => ({
  deviceId: 1,
  name: 'NVIDIA H100',
  computeCapability: '9.0',
  driverVersion: '580.159.03',
  totalMiB: 81_559,
  freeMiB,
});
const need = (weightsMiB: number, kvMiB: number, numGraphs = 1) => ({
  weightBytes: weightsMiB * MIB,
  kvBudgetBytes: kvMiB * MIB,
  numGraphs,
});

test('weights, caches and work space must fit, to the last MiB', () => {
  expect(planGpuMemory(gpu(66_048), need(39_424, 24_576)).numGraphs).toBe(1);
  expect(() => planGpuMemory(gpu(66_047), need(39_424, 24_576))).toThrow(
    'GPU 1 (NVIDIA H100) has 66,047 of 81,559 MiB free, and 66,048 are needed: 39,424 MiB of weights, 24,576 of caches (KV_CACHE_MB), 2,048 of work space; KV_CACHE_MB=24575 would fit',
  );
});

test('weights that leave nothing are said to', () => {
  expect(() => planGpuMemory(gpu(24_000), need(39_424, 1024))).toThrow(/the weights alone leave no room for caches/);
});

test('a second graph takes the weights again, and is left out where they do not fit', () => {
  expect(planGpuMemory(gpu(60_000), need(14_000, 24_576, 2)).numGraphs).toBe(2);
  expect(planGpuMemory(gpu(50_000), need(14_000, 24_576, 2))).toEqual({
    numGraphs: 1,
    summary:
      '14,000 MiB of weights, 24,576 of caches (KV_CACHE_MB), 2,048 of work space; GPU 1 (NVIDIA H100) has 50,000 of 81,559 MiB free',
  });
});

test('a model is not loaded where its budget does not fit', async () => {
  const options = { modelDir: modelDir('tiny-target'), numThreads: 1, minRows: 2, maxBatchItems: 1, deviceId: 0 };
  const loading = loadModel({ ...options, executionProvider: 'auto', kvBudgetBytes: 4096 * MIB }, () => ({
    name: 'cuda',
    deviceId: 0,
    options: {},
    gpu: gpu(6000),
  }));
  await expect(loading).rejects.toMatchObject({
    code: 'out_of_memory',
    message: expect.stringMatching(/^GPU 1 .* 6,000 of 81,559 MiB free, and 6,14\d are needed: \d MiB of weights/),
  });
});
