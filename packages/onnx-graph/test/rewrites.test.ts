/** What the rewrites of attention refuse and leave alone; model-tools runs what they make. */
import { describe, expect, it } from 'vitest';
import { rewriteModel } from '../src/graph.ts';
import { newRowsOnly } from '../src/rewrites/new-rows-only.ts';
import { raggedAttention } from '../src/rewrites/ragged-attention.ts';
import { graphBytes } from './models.ts';

describe('newRowsOnly', () => {
  it('does not change the bytes that it was given', () => {
    const bytes = graphBytes('tiny-target');
    newRowsOnly(bytes);
    expect(Buffer.compare(bytes, graphBytes('tiny-target'))).toBe(0);
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

  it('refuses a graph that it has rewritten already', () => {
    expect(() => raggedAttention(raggedAttention(graphBytes('tiny-target')))).toThrow(/already has write_indices/);
  });
});
