import { MICROSOFT, raggedAttention, rewriteModel } from '@forerunner/onnx-graph';
import { describe, expect, it } from 'vitest';
import { checkRaggedAttention, isTolerable } from '../src/check/ragged-check.ts';
import { checked, graphBytes } from './models.ts';

describe('raggedAttention', () => {
  it.each([
    ['tiny-target', 1e-5],
    ['tiny-target-fp16', 0.02],
  ])('says what %s says, one sequence at a time and three in a batch', async (name, tolerance) => {
    const report = await checkRaggedAttention(checked(name, raggedAttention(graphBytes(name))));
    expect(report.againstOriginal).toMatchObject({ numRows: 30, numArgmaxDifferences: 0 });
    expect(report.againstOriginal.maxDifference).toBeLessThan(tolerance);
    expect(report.batchAgainstAlone).toMatchObject({ numRows: 33, maxDifference: 0 });
    expect(isTolerable(report)).toBe(true);
  });

  it('moves the 8-bit default target no more than splitting its rows does, and batches it to the last bit', async () => {
    const name = 'smollm2-135m-instruct-int8';
    const report = await checkRaggedAttention(checked(name, raggedAttention(graphBytes(name))));
    expect(isTolerable(report)).toBe(true);
    expect(report.againstOriginal.maxDifference).toBeLessThan(2 * report.originalByRows.maxDifference);
    expect(report.batchAgainstAlone).toMatchObject({ numRows: 33, maxDifference: 0 });
  });

  it('rewrites separate query, key and value as well as packed ones', async () => {
    const separate = withSeparateProjections(graphBytes('tiny-target'));
    const report = await checkRaggedAttention(checked('tiny-target', raggedAttention(separate)));
    expect(report.againstOriginal.numArgmaxDifferences).toBe(0);
    expect(report.againstOriginal.maxDifference).toBeLessThan(1e-5);
  });

  it('is found out when it forgets the rotation', async () => {
    const wrong = rewriteModel(raggedAttention(graphBytes('tiny-target')), (graph) => {
      const rotation = graph.nodes.find((node) => node.opType === 'RotaryEmbedding');
      if (!rotation) throw new Error('no rotation to forget');
      graph.renameValue(rotation.output[0] ?? '', rotation.input[0] ?? '');
      graph.remove(rotation);
    });
    expect(isTolerable(await checkRaggedAttention(checked('tiny-target', wrong)))).toBe(false);
  });
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
