/** What config.json leaves out is what transformers assumes, and both of its spellings of rope are read. */
import { describe, expect, it } from 'vitest';
import { describeModel, FAMILIES } from '../src/index.ts';

const base = { vocab_size: 100, hidden_size: 64, intermediate_size: 128, num_hidden_layers: 4, num_attention_heads: 4 };
const describeAs = (model_type: string, fields: object = {}) => describeModel({ ...base, model_type, ...fields });
const windowsOf = (model_type: string, fields: object = {}) =>
  describeAs(model_type, fields).layers.map(({ window }) => window ?? 0);

describe('fields that are left out', () => {
  it.each([
    ['llama', { numKvHeads: 4, headDim: 16, tiedEmbeddings: false, attentionScale: 0.25 }],
    ['mistral', { numKvHeads: 8, headDim: 8 }],
    ['qwen3', { headDim: 128 }],
    ['gemma2', { attentionSoftcap: 50, logitSoftcap: 30, attentionScale: 1 / 16, embeddingScale: 8, headDim: 256 }],
    ['gemma3_text', { tiedEmbeddings: true, activation: 'gelu_tanh' }],
  ])('%s', (family, expected) => {
    const heads = family === 'mistral' ? { num_attention_heads: 8 } : {};
    expect(describeAs(family, heads)).toMatchObject(expected);
  });

  it('windows', () => {
    expect(windowsOf('llama')).toEqual([0, 0, 0, 0]);
    expect(windowsOf('mistral', { num_attention_heads: 8 })).toEqual([4096, 4096, 4096, 4096]);
    expect(windowsOf('mistral', { num_attention_heads: 8, sliding_window: null })).toEqual([0, 0, 0, 0]);
    expect(windowsOf('qwen2', { sliding_window: 8 })).toEqual([0, 0, 0, 0]); // only with use_sliding_window
    expect(windowsOf('qwen2', { sliding_window: 8, use_sliding_window: true, max_window_layers: 3 })).toEqual([
      0, 0, 0, 8,
    ]);
    expect(windowsOf('gemma2', { sliding_window: 8 })).toEqual([8, 0, 8, 0]);
    expect(windowsOf('gemma3_text', { sliding_window: 8, sliding_window_pattern: 2 })).toEqual([8, 0, 8, 0]);
  });

  it('layers without rope: every fourth of smollm3', () => {
    const layers = describeAs('smollm3', { num_key_value_heads: 4 }).layers;
    expect(layers.map(({ rope }) => rope !== undefined)).toEqual([true, true, true, false]);
  });
});

describe('rope', () => {
  const ropeOf = (fields: object) => describeAs('llama', fields).layers[0]!.rope!;
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };

  it('is the same in both spellings', () => {
    const old = ropeOf({ rope_theta: 5e5, rope_scaling: { type: 'llama3', ...llama3 } });
    const now = ropeOf({ rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...llama3 } });
    expect(old).toEqual(now);
    expect(old).not.toEqual(ropeOf({ rope_theta: 5e5 }));
  });

  it('turns the global layers of gemma3 more slowly, in both spellings', () => {
    const parameters = (rope_theta: number) => ({ rope_type: 'default', rope_theta });
    const both = { full_attention: parameters(1e6), sliding_attention: parameters(1e4) };
    const now = describeAs('gemma3_text', { rope_parameters: both, sliding_window_pattern: 2 }).layers;
    const old = describeAs('gemma3_text', {
      rope_theta: 1e6,
      rope_local_base_freq: 1e4,
      sliding_window_pattern: 2,
    }).layers;
    expect(now).toEqual(old);
    expect(now[0]!.rope!.inverseFrequencies[1]).toBeGreaterThan(now[1]!.rope!.inverseFrequencies[1]!);
  });

  it('turns a part of the dimensions where that is asked for', () => {
    const { rope } = describeAs('phi3', { partial_rotary_factor: 0.5 }).layers[0]!;
    expect(rope!.inverseFrequencies).toHaveLength(4);
  });
});

describe('what is not known is named', () => {
  it.each([
    ['mamba', {}, /model_type "mamba" is not known; known are llama/],
    ['llama', { rope_scaling: { rope_type: 'longrope' } }, /rope_type "longrope" is not known/],
    ['llama', { hidden_size: 0 }, /hidden_size in config.json is 0, not a whole number above 0/],
    ['llama', { num_key_value_heads: 3 }, /num_key_value_heads in config.json is 3, not a divisor of the 4/],
    ['gemma3_text', { use_bidirectional_attention: true }, /an encoder, not a decoder/],
    ['smollm3', { num_key_value_heads: 4, no_rope_layers: [1] }, /no_rope_layers .* is \[1\], not a list of 4/],
  ])('%s with %j', (family, fields, message) => {
    expect(() => describeAs(family, fields)).toThrow(message);
  });

  it('every family is described', () => {
    expect(() => FAMILIES.filter((family) => family !== 'mistral').map((family) => describeAs(family))).not.toThrow();
  });
});
