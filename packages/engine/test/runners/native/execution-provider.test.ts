/** What is said when a provider cannot be had, before any model is loaded. */
import { describe, expect, test } from 'vitest';
import { codeOf, open } from '../fixtures.ts';

describe('CUDA without its provider', () => {
  test('is refused by name of the missing file', async () => {
    const opening = open('native', 'tiny-target', { executionProvider: 'cuda' });
    await expect(opening).rejects.toMatchObject({
      code: 'execution_provider_unavailable',
      message: expect.stringMatching(/libonnxruntime_providers_shared\.so is not beside .*use the GPU image/),
    });
  });

  test('is not what auto chooses', async () => {
    const runner = await open('native', 'tiny-target', { executionProvider: 'auto' });
    expect(runner.description).toMatchObject({ executionProvider: 'cpu', numFallbackNodes: 0, kvMemory: 'Cpu' });
    await runner.close();
  });

  test('cannot be had from the node runtime', async () => {
    expect(await codeOf(open('node', 'tiny-target', { executionProvider: 'webgpu' }))).toBe(
      'execution_provider_unavailable',
    );
  });
});
