import { describe, expect, it } from 'vitest';
import { Graph } from '../src/graph.ts';
import { decodeModel } from '../src/onnx.ts';
import { operatorsOf } from '../src/operators.ts';
import { graphBytes } from './models.ts';

describe('operatorsOf', () => {
  it.each(['tiny-target', 'tiny-target-fp16', 'smollm2-135m-instruct-int8'])(
    'names the operators that the decoded graph of %s has',
    (name) => {
      const { nodes } = new Graph(decodeModel(graphBytes(name)));
      const expected = nodes.map(({ domain, opType }) => (domain ? `${domain}.${opType}` : opType));
      expect(operatorsOf(graphBytes(name))).toEqual(new Set(expected));
    },
  );

  it('refuses what is no protobuf, and a graph that was cut off', () => {
    expect(() => operatorsOf(Buffer.from('no protobuf'))).toThrow(/not an ONNX model/);
    expect(() => operatorsOf(graphBytes('tiny-target').subarray(0, 5000))).toThrow(/not an ONNX model/);
  });
});
