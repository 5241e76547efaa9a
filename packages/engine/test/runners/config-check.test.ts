/** Graphs that were exported otherwise than config.json says are served, and everybody is told. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rewriteModel } from '@forerunner/onnx-graph';
import { afterAll, expect, test } from 'vitest';
import { type Fallback, openRunner } from '../../src/index.ts';

const models = fileURLToPath(new URL('../../../../models', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'config-check-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A copy of a model with other fields in config.json. */
function withConfig(model: string, fields: Record<string, unknown>): string {
  const dir = mkdtempSync(join(root, 'model-'));
  for (const file of readdirSync(join(models, model))) copyFileSync(join(models, model, file), join(dir, file));
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, ...fields }));
  return dir;
}

async function fallbacksOf(modelDir: string, runtime: 'native' | 'node' = 'native'): Promise<Fallback[]> {
  const fallbacks: Fallback[] = [];
  const options = { numThreads: 1, minRows: 2, maxBatchItems: 1, executionProvider: 'cpu', deviceId: 0 } as const;
  const onFallback = (fallback: Fallback) => fallbacks.push(fallback);
  await (await openRunner({ ...options, modelDir, runtime, onFallback })).close();
  return fallbacks;
}

test.each([
  'tiny-target',
  'tiny-target-fp16',
  'smollm2-135m-instruct-int8',
  'smollm2-135m-draft-4l-int8',
  'smollm2-135m-draft-feature-int8',
])('%s is what its config.json says', async (model) => {
  expect(await fallbacksOf(join(models, model))).toEqual([]);
});

const rope = (parameters: object) => ({ rope_parameters: { rope_theta: 10_000, rope_type: 'default', ...parameters } });
const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };

test.each([
  ['a window', { model_type: 'mistral', sliding_window: 128 }, 'sliding window: 128', 'sliding window: none (2 layers'],
  ['another base', rope({ rope_theta: 500_000 }), 'rope frequencies', 'others (2 layers'],
  ['scaling of slow rotations alone', rope({ rope_type: 'llama3', ...llama3 }), 'rope frequencies', 'others'],
  ['yarn', rope({ rope_type: 'yarn', factor: 4 }), 'factor of rotation: 1.14', 'factor of rotation: 1'],
  ['fewer heads', { num_attention_heads: 2 }, 'attention heads: 2', 'attention heads: 4'],
  ['soft caps', { model_type: 'gemma2' }, 'soft cap of attention: 50', 'soft cap of attention: 0'],
  ['more layers', { num_hidden_layers: 3 }, 'layers: 3', 'layers: 2'],
  [
    'layers without rope',
    { model_type: 'smollm3', no_rope_layers: [1, 0] },
    'rotary embedding: none',
    '(1 layers, the first is 1)',
  ],
])('%s that the graph does not have is said', async (_, fields, wanted, used) => {
  for (const runtime of ['native', 'node'] as const) {
    const fallbacks = await fallbacksOf(withConfig('tiny-target', fields), runtime);
    const found = fallbacks.find((fallback) => fallback.wanted.startsWith(wanted));
    expect(found?.used, JSON.stringify(fallbacks)).toContain(used);
  }
});

test('a window that the graph has and config.json does not know is said too', async () => {
  const dir = withConfig('tiny-target', {});
  const path = join(dir, 'model.onnx');
  const windowed = rewriteModel(readFileSync(path), (graph) => {
    for (const node of graph.nodes) {
      for (const attribute of node.attribute) if (attribute.name === 'local_window_size') attribute.i = 64;
    }
  });
  writeFileSync(path, windowed);
  expect(await fallbacksOf(dir)).toMatchObject([{ wanted: 'sliding window: none, as config.json says' }]);
});

test('a family that is not known is not judged', async () => {
  expect(await fallbacksOf(withConfig('tiny-target', { model_type: 'mamba', num_attention_heads: 2 }))).toEqual([]);
});
