import type { Tensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { LmSession, presentNameOf, toFloat32 } from '../src/check/lm-session.ts';
import { newRowsOnly } from '../src/rewrites/new-rows-only.ts';
import { graphBytes, modelFolder, TINY_HEAD_DIM } from './models.ts';

const CAPACITY = 32;
const PASSES = [[1, 40, 7, 300, 12], [9], [77, 5, 810], [4, 4]];

describe.each(['tiny-target', 'tiny-target-fp16'])('newRowsOnly on %s', (name) => {
  it('gives the same logits from a cache that the caller fills with the new rows', async () => {
    const original = await LmSession.open(graphBytes(name), modelFolder(name), TINY_HEAD_DIM);
    const rewritten = await LmSession.open(newRowsOnly(graphBytes(name)), modelFolder(name), TINY_HEAD_DIM);
    try {
      let past = original.emptyPast();
      const cache = rewritten.emptyPast(CAPACITY);
      let numPastTokens = 0;
      for (const tokenIds of PASSES) {
        const expected = await original.run({ tokenIds, past, numPastTokens });
        const actual = await rewritten.run({ tokenIds, past: cache, numPastTokens });
        expect(toFloat32(actual.logits)).toEqual(toFloat32(expected.logits));
        for (const [pastName, held] of cache) {
          const newRows = actual[presentNameOf(pastName)] as Tensor;
          expect(newRows.dims).toEqual([1, held.dims[1], tokenIds.length, TINY_HEAD_DIM]);
          appendRows(held, newRows, numPastTokens);
        }
        past = new Map([...past.keys()].map((key) => [key, expected[presentNameOf(key)] as Tensor]));
        numPastTokens += tokenIds.length;
      }
    } finally {
      await original.close();
      await rewritten.close();
    }
  });
});

it('does not change the bytes that it was given', () => {
  const bytes = graphBytes('tiny-target');
  newRowsOnly(bytes);
  expect(Buffer.compare(bytes, graphBytes('tiny-target'))).toBe(0);
});

it('refuses a graph that it has rewritten already', () => {
  const once = newRowsOnly(graphBytes('tiny-target'));
  expect(() => newRowsOnly(once)).toThrow(/already rewritten/);
});

function appendRows(held: Tensor, newRows: Tensor, position: number): void {
  const [, numHeads = 0, numRows = 0, headDim = 0] = newRows.dims;
  const into = elements(held);
  const from = elements(newRows);
  for (let head = 0; head < numHeads; head++) {
    const rows = from.subarray(head * numRows * headDim, (head + 1) * numRows * headDim);
    into.set(rows, (head * CAPACITY + position) * headDim);
  }
}

/** Halves are moved as bits. */
function elements(tensor: Tensor): Float32Array | Uint16Array {
  if (tensor.type === 'float32') return tensor.data as Float32Array;
  const { buffer, byteOffset, byteLength } = tensor.data as Uint16Array;
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
