/** A graph whose GroupQueryAttention normalises query and key: no CPU kernel does, so no pass may leave the norms out. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { float32Tensor, isOp, MICROSOFT, rewriteModel } from '@forerunner/onnx-graph';
import { afterAll, expect, test } from 'vitest';
import { modelDir, open, pass, runtimes, someIds } from './fixtures.ts';

const HEAD_DIM = 16;
const Q_NORM_WEIGHT = 14;
const dir = mkdtempSync(join(tmpdir(), 'forerunner-normalised-'));
cpSync(modelDir('tiny-target'), dir, { recursive: true });
writeFileSync(join(dir, 'model.onnx'), withNorms(readFileSync(join(dir, 'model.onnx'))));
afterAll(() => rmSync(dir, { recursive: true }));

test.each(runtimes)('is refused by its first pass, which names the input (%s)', async (runtime) => {
  const runner = await open(runtime, 'tiny-target', { modelDir: dir });
  const cache = runner.createCache(8);
  await expect(pass(runner, cache, 0, someIds(4))).rejects.toMatchObject({
    code: 'model_failed',
    message: expect.stringMatching(/q_norm_weight .*not supported/),
  });
  cache.release();
  await runner.close();
});

function withNorms(modelBytes: Uint8Array): Uint8Array {
  return rewriteModel(modelBytes, (graph) => {
    const weight = graph.addInitializer(float32Tensor('norm', [HEAD_DIM], new Float32Array(HEAD_DIM).fill(2)));
    for (const layer of graph.nodes.filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT))) {
      while (layer.input.length < Q_NORM_WEIGHT) layer.input.push('');
      layer.input.push(weight, weight);
    }
  });
}
