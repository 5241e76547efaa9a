/** What the rewrites of attention refuse and leave alone; model-tools runs what they make. */
import { describe, expect, it } from 'vitest';
import { Graph, rewriteModel } from '../src/graph.ts';
import { float32Tensor } from '../src/nodes.ts';
import { decodeModel } from '../src/onnx.ts';
import { newRowsOnly } from '../src/rewrites/new-rows-only.ts';
import { raggedAttention } from '../src/rewrites/ragged-attention.ts';
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

describe('raggedAttention', () => {
  it.each([
    ['softcap', 30],
    ['local_window_size', 128],
    ['smooth_softmax', 1],
  ])('refuses %s in words that name the node', (attribute, value) => {
    const bytes = rewriteModel(graphBytes('tiny-target'), (graph) => {
      const layer = graph.nodes.findLast((node) => node.opType === 'GroupQueryAttention');
      if (!layer) throw new Error('no attention');
      layer.attribute = layer.attribute.filter(({ name }) => name !== attribute);
      layer.attribute.push({ name: attribute, type: 2, i: value });
    });
    expect(() => raggedAttention(bytes)).toThrow(
      `/model/layers.1/attn/GroupQueryAttention has ${attribute} = ${value}, which a ragged graph cannot do`,
    );
  });

  it.each([
    [9, 'position_ids'],
    [11, 'head_sink'],
    [14, 'q_norm_weight'],
    [15, 'k_norm_weight'],
    [16, 'input 16'],
  ])('refuses input %i of an attention by its name, %s', (slot, name) => {
    expect(() => raggedAttention(withInput(slot))).toThrow(
      `/model/layers.1/attn/GroupQueryAttention reads ${name}, which a ragged graph cannot do`,
    );
  });

  it('refuses a key that comes without a value', () => {
    const bytes = rewriteModel(graphBytes('tiny-target'), (graph) => {
      const layer = graph.nodes.find((node) => node.opType === 'GroupQueryAttention');
      if (layer) layer.input[1] = layer.input[0] ?? '';
    });
    expect(() => raggedAttention(bytes)).toThrow(/has a key alone/);
  });

  it('refuses a graph that it has rewritten already', () => {
    expect(() => raggedAttention(raggedAttention(graphBytes('tiny-target')))).toThrow(/already has write_indices/);
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
