import { expect, it } from 'vitest';
import { cacheBytesPerToken, describeModel, matrixSizes, weightBytes } from '../src/index.ts';

const base = { vocab_size: 100, hidden_size: 64, intermediate_size: 128, num_hidden_layers: 4, num_attention_heads: 4 };
const llama = (fields: object = {}) => describeModel({ ...base, model_type: 'llama', ...fields });

it('counts the matrices of a layer, and the head where it is not the embedding', () => {
  const layer = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 128;
  const tied = matrixSizes(llama({ num_key_value_heads: 2, tie_word_embeddings: true }));
  expect(tied).toEqual({ embedding: 100 * 64, layers: 4 * layer });
  expect(matrixSizes(llama({ num_key_value_heads: 2 })).embedding).toBe(2 * 100 * 64);
});

it('counts the learned positions of gpt2, which has no gate', () => {
  const fields = { vocab_size: 100, n_embd: 64, n_layer: 1, n_head: 4, n_positions: 32 };
  const { embedding, layers } = matrixSizes(describeModel({ model_type: 'gpt2', ...fields }));
  expect(embedding).toBe((100 + 32) * 64);
  expect(layers).toBe(4 * 64 * 64 + 2 * 64 * 256);
});

it('keeps blocks of 32 with a scale, and embedding and head at 8 bits in int4', () => {
  const model = llama();
  const { embedding, layers } = matrixSizes(model);
  expect(weightBytes(model, 'int4')).toBe((embedding * 36) / 32 + (layers * 20) / 32);
  expect(weightBytes(model, 'int8')).toBe(((embedding + layers) * 36) / 32);
  expect(weightBytes(model, 'float16')).toBe(2 * (embedding + layers));
});

it('a token takes keys and values of all layers', () => {
  expect(cacheBytesPerToken(llama({ num_key_value_heads: 2 }), true)).toBe(2 * 4 * 2 * 16 * 2);
  expect(cacheBytesPerToken(llama({ num_key_value_heads: 2 }), false)).toBe(2 * 4 * 2 * 16 * 4);
});
