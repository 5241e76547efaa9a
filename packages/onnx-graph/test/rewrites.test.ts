/** What the rewrites of attention refuse and leave alone; model-tools runs what they make. */
import { describe, expect, it } from 'vitest';
import { Graph, rewriteModel } from '../src/graph.ts';
import { float32Tensor, makeValueInfo, numberAttribute } from '../src/nodes.ts';
import { decodeModel } from '../src/onnx.ts';
import { flatBatch } from '../src/rewrites/flat-batch.ts';
import { newRowsOnly } from '../src/rewrites/new-rows-only.ts';
import { graphBytes } from './models.ts';

describe('newRowsOnly', () => {
  it('does not change the bytes that it was given', () => {
    const bytes = graphBytes('tiny-target');
    newRowsOnly(bytes);
    expect(Buffer.compare(bytes, graphBytes('tiny-target'))).toBe(0);
  });

  it.each([14, 15])('leaves input %i of an attention where it is', (slot) => {
    const { nodes } = new Graph(decodeModel(newRowsOnly(withInput(slot))));
    expect(nodes.findLast((node) => node.opType === 'GroupQueryAttention')?.input[slot]).toBe('extra');
  });

  it('refuses a graph that it has rewritten already', () => {
    const once = newRowsOnly(graphBytes('tiny-target'));
    expect(() => newRowsOnly(once)).toThrow(/already rewritten/);
  });
});

describe('flatBatch', () => {
  const layersOf = (bytes: Uint8Array) =>
    new Graph(decodeModel(bytes)).nodes.filter((node) => node.opType === 'GroupQueryAttention');

  it('gives every layer one attention a slot, with caches and lengths of its own', () => {
    const bytes = flatBatch(graphBytes('tiny-target'), 4);
    const layers = layersOf(bytes);
    expect(layers.length).toBe(2 * 4);
    for (const index of [3, 4, 5, 6]) expect(new Set(layers.map((node) => node.input[index])).size).toBeGreaterThan(3);
    const inputs = new Graph(decodeModel(bytes)).proto.input.map(({ name }) => name);
    expect(inputs).not.toContain('attention_mask');
    expect(inputs.filter((name) => /past_key_values/.test(name)).length).toBe(4 * 2 * 2);
  });

  it('needs no rows of its own for one slot', () => {
    const graph = new Graph(decodeModel(flatBatch(graphBytes('tiny-target'), 1)));
    expect(graph.nodes.filter((node) => node.opType === 'Concat')).toEqual([]);
    expect(graph.input('attention_rows')).toBeUndefined();
  });

  it.each([
    ['softcap', 30],
    ['local_window_size', 128],
    ['smooth_softmax', 1],
  ])('carries %s to every slot', (attribute, value) => {
    const bytes = rewriteModel(graphBytes('tiny-target'), (graph) => {
      for (const layer of graph.nodes.filter((node) => node.opType === 'GroupQueryAttention')) {
        layer.attribute = layer.attribute.filter(({ name }) => name !== attribute);
        layer.attribute.push({ name: attribute, type: 2, i: value });
      }
    });
    expect(layersOf(flatBatch(bytes, 2)).map((node) => numberAttribute(node, attribute))).toEqual(
      new Array(4).fill(value),
    );
  });

  it.each([
    [11, 'head_sink'],
    [14, 'q_norm_weight'],
    [15, 'k_norm_weight'],
  ])('carries input %i of an attention, %s, to every slot', (slot) => {
    const layers = layersOf(flatBatch(withInput(slot), 2));
    expect(layers.map((node) => node.input[slot]).filter((name) => name === 'extra').length).toBe(2);
  });

  it.each([
    [9, 'position_ids'],
    [10, 'attention_bias'],
    [16, '17 inputs'],
  ])('refuses input %i of an attention by its name, %s', (slot, name) => {
    expect(() => flatBatch(withInput(slot), 2)).toThrow(
      new RegExp(`/model/layers.1/attn/GroupQueryAttention (reads|has) ${name}`),
    );
  });

  it('refuses a mask that is read for something else', () => {
    const bytes = rewriteModel(graphBytes('tiny-target'), (graph) => {
      graph.append({ op: 'Identity', name: 'other', inputs: ['attention_mask'], outputs: ['mask_again'] });
      graph.proto.output.push(makeValueInfo('mask_again', 7, ['batch', 'total']));
    });
    expect(() => flatBatch(bytes, 2)).toThrow(/other reads attention_mask for something other than attention/);
  });

  it('refuses a graph without GroupQueryAttention, and one that it has rewritten already', () => {
    const plain = rewriteModel(graphBytes('tiny-target'), (graph) => {
      for (const node of graph.nodes) if (node.opType === 'GroupQueryAttention') node.opType = 'Attention';
    });
    expect(() => flatBatch(plain, 2)).toThrow(/attention is spelled out/);
    expect(() => flatBatch(flatBatch(graphBytes('tiny-target'), 2), 2)).toThrow(/flat batch already/);
  });
});

/** tiny-target with one more input of its last attention, in that position. */
function withInput(slot: number): Uint8Array {
  return rewriteModel(graphBytes('tiny-target'), (graph) => {
    const layer = graph.nodes.findLast((node) => node.opType === 'GroupQueryAttention');
    if (!layer) throw new Error('no attention');
    while (layer.input.length < slot) layer.input.push('');
    layer.input[slot] = graph.addInitializer(float32Tensor('extra', [16], new Float32Array(16).fill(1)));
  });
}
