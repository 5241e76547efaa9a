import { describe, expect, it } from 'vitest';
import { Graph, rewriteModel } from '../src/graph.ts';
import { findLmHead } from '../src/head.ts';
import { dimsOf } from '../src/nodes.ts';
import { decodeModel } from '../src/onnx.ts';
import { addHiddenStatesOutput } from '../src/rewrites/hidden-states-output.ts';
import { addNumLogitsToKeep } from '../src/rewrites/num-logits-to-keep.ts';
import { graphBytes, plainExport, withoutNames } from './models.ts';

describe('findLmHead', () => {
  it.each([
    ['tiny-target', 64, 1],
    ['tiny-target-fp16', 64, 10],
    ['smollm2-135m-draft-4l-int8', 576, 1],
  ])('finds the head of %s without any name', (name, width, elemType) => {
    const head = findLmHead(new Graph(decodeModel(withoutNames(graphBytes(name)))));
    expect(head).toMatchObject({ width, elemType });
    expect(head.picksRowsBy.map((node) => node.opType)).toEqual(['Slice']);
  });

  it('passes over a cast and a soft cap of the logits', () => {
    const bytes = rewriteModel(plainExport('tiny-target'), (graph) => {
      const head = graph.producer('logits');
      graph.renameValue('logits', 'raw');
      const add = (op: string, input: string, output: string, attributes = {}) =>
        graph.append({ op, name: output, inputs: [input], outputs: [output], attributes });
      add('Tanh', 'raw', 'capped');
      add('Cast', 'capped', 'logits', { to: 1 });
      expect(head?.output[0]).toBe('raw');
    });
    expect(findLmHead(new Graph(decodeModel(bytes))).node.opType).toBe('MatMul');
  });

  it('says what it found where no product makes the logits', () => {
    const bytes = rewriteModel(plainExport('tiny-target'), (graph) => {
      const head = graph.producer('logits');
      if (head) head.opType = 'Softmax';
    });
    expect(() => addHiddenStatesOutput(bytes)).toThrow(/logits come from Softmax .*no head found/);
  });
});

describe('addHiddenStatesOutput', () => {
  it('declares batch, sequence and width', () => {
    const graph = new Graph(decodeModel(addHiddenStatesOutput(plainExport('tiny-target'))));
    expect(dimsOf(graph.output('hidden_states'))).toEqual(['batch_size', 'sequence_length', 64]);
  });

  it('refuses to add a second one', () => {
    expect(() => addHiddenStatesOutput(graphBytes('smollm2-135m-instruct-int8'))).toThrow(/already has an output/);
  });
});

describe('addNumLogitsToKeep', () => {
  it('refuses a graph that has the input, and one that picks rows in a way of its own', () => {
    expect(() => addNumLogitsToKeep(graphBytes('tiny-target'))).toThrow(/already has an input/);
    const lastRowOnly = rewriteModel(plainExport('tiny-target'), (graph) => {
      const head = graph.producer('logits');
      if (!head) throw new Error('no head');
      const row = graph.insert({ op: 'Gather', name: 'row', inputs: [head.input[0] ?? '', '/keep/last'] }, head);
      head.input[0] = row;
    });
    expect(() => addNumLogitsToKeep(lastRowOnly)).toThrow(/picks the head's rows by itself, with Gather/);
  });
});
