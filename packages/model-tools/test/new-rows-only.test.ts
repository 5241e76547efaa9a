import { newRowsOnly, rewriteModel } from '@forerunner/onnx-graph';
import { describe, expect, it } from 'vitest';
import { checkNewRowsOnly } from '../src/check/checks.ts';
import { checked, graphBytes } from './models.ts';

describe('newRowsOnly', () => {
  it.each(['tiny-target', 'tiny-target-fp16'])(
    'gives the same logits of %s from a cache that the caller fills with the new rows',
    async (name) => {
      const comparison = await checkNewRowsOnly(checked(name, newRowsOnly(graphBytes(name))));
      expect(comparison).toEqual({ numRows: 30, maxDifference: 0, numArgmaxDifferences: 0, largestLostMargin: 0 });
    },
  );

  it('is found out when it gives the wrong rows', async () => {
    const wrong = rewriteModel(newRowsOnly(graphBytes('tiny-target')), (graph) => {
      const slice = graph.producer('present.1.key');
      const start = graph.producer(slice?.input[1] ?? '');
      if (start) start.opType = 'Mul'; // total * new instead of total − new: no row at all after the prompt
    });
    await expect(checkNewRowsOnly(checked('tiny-target', wrong))).resolves.toMatchObject({
      numArgmaxDifferences: expect.toSatisfy((count: number) => count > 0),
    });
  });
});
