/** Exports whose query, key and value are projected apart: each slot gathers all three. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MICROSOFT, rewriteModel } from '@forerunner/onnx-graph';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelDir, open, pass, sameBits, someIds } from '../fixtures.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'forerunner-separate-'));
  cpSync(modelDir('tiny-target'), dir, { recursive: true });
  const bytes = readFileSync(join(dir, 'model.onnx'));
  writeFileSync(join(dir, 'model.onnx'), withSeparateProjections(bytes));
});
afterAll(() => rmSync(dir, { recursive: true }));

test('a graph with separate query, key and value says what the packed one says, alone and in a batch', async () => {
  const [packed, separate] = await Promise.all([
    open('native', 'tiny-target'),
    open('native with batches', 'tiny-target', { modelDir: dir }),
  ]);
  expect(separate.maxSequences).toBe(4);
  const lengths = [5, 40, 9];
  const caches = lengths.map((length) => separate.createCache(length));
  for (const [i, cache] of caches.entries()) await pass(separate, cache, 0, someIds(lengths[i]!, i));
  const items = caches.map((cache, i) => ({
    cache,
    numPastTokens: lengths[i]!,
    tokenIds: someIds(1 + 2 * i, 90 + i),
    numLogitRows: 1 + 2 * i,
  }));
  const batch = await separate.forward(items);
  for (const [i, { logits }] of batch.outputs.entries()) {
    const cache = packed.createCache(lengths[i]!);
    await pass(packed, cache, 0, someIds(lengths[i]!, i));
    const alone = await pass(packed, cache, lengths[i]!, items[i]!.tokenIds);
    expect(sameBits(logits, alone.logits)).toBe(true);
  }
  batch.release();
  await Promise.all([packed.close(), separate.close()]);
});

/** Splits each packed projection before the attention, as exports with separate projections look to it. */
function withSeparateProjections(bytes: Uint8Array): Uint8Array {
  return rewriteModel(bytes, (graph) => {
    for (const layer of graph.nodes.filter(
      (node) => node.domain === MICROSOFT && node.opType === 'GroupQueryAttention',
    )) {
      const parts = ['q', 'k', 'v'].map((part) => graph.uniqueName(`${layer.name}.${part}`));
      const sizes = graph.addInitializer({ name: 'sizes', dims: [3], dataType: 7, int64Data: [64, 32, 32] });
      const packed = layer.input[0] ?? '';
      graph.insertNode(
        { op: 'Split', name: parts[0]!, inputs: [packed, sizes], outputs: parts, attributes: { axis: 2 } },
        layer,
      );
      layer.input.splice(0, 3, ...parts);
    }
  });
}
