import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeModel, rewriteModel } from '@forerunner/onnx-graph';
import { afterAll, describe, expect, it } from 'vitest';
import { checkSameFunction } from '../src/check/checks.ts';
import { dequantise } from '../src/dequantise.ts';
import { openModelFolder } from '../src/model-folder.ts';
import { modelFolder } from './models.ts';

const root = mkdtempSync(join(tmpdir(), 'dequantised-'));
const SOURCE = openModelFolder(modelFolder('smollm2-135m-draft-4l-int8'));

afterAll(() => rmSync(root, { recursive: true }));

describe('dequantise', () => {
  it('computes what the quantised graph computes when its activations stay in float32', async () => {
    const out = join(root, 'float32');
    dequantise(SOURCE, out, 1e9);
    const result = openModelFolder(out);
    const operators = new Set(decodeModel(result.graphBytes).graph.node.map((node) => node.opType));
    expect(operators).not.toContain('MatMulNBits');
    expect(operators).not.toContain('GatherBlockQuantized');

    const floatActivations = rewriteModel(SOURCE.graphBytes, (graph) => {
      for (const node of graph.nodes) {
        node.attribute = node.attribute.filter(({ name }) => name !== 'accuracy_level');
      }
    });
    const comparison = await checkSameFunction({
      original: floatActivations,
      rewritten: result.graphBytes,
      folder: SOURCE.graphDir,
      rewrittenFolder: out,
      headDim: 64,
    });
    expect(comparison.numArgmaxDifferences).toBe(0);
    expect(comparison.maxDifference).toBeLessThan(1e-3);
  });

  it.each([
    [3, /has zero points of its own/],
    [4, /has an order of its columns \(g_idx\)/],
    [5, /has a bias/],
  ])('refuses input %i of a product, which it would lose', (slot, message) => {
    const graphBytes = rewriteModel(SOURCE.graphBytes, (graph) => {
      const product = graph.nodes.find((node) => node.opType === 'MatMulNBits')!;
      while (product.input.length < slot) product.input.push('');
      product.input[slot] = 'extra';
    });
    expect(() => dequantise({ ...SOURCE, graphBytes }, join(root, `input-${slot}`), 1e9)).toThrow(message);
  });

  it('refuses a model that has nothing to dequantise', () => {
    const source = openModelFolder(modelFolder('tiny-target'));
    expect(() => dequantise(source, join(root, 'nothing'), 1e9)).toThrow(/no quantised weights/);
  });
});
