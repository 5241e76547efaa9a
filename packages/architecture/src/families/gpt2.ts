/** gpt2: layer norms, learned positions, a plain feed-forward network. DialoGPT is one. */
import { flag, type ModelConfig, positiveInteger, positiveNumber } from '../config-fields.ts';
import type { ModelDescription } from '../description.ts';
import { ArchitectureError } from '../errors.ts';
import { activationOf } from './rms-decoder.ts';

export function describeGpt2(config: ModelConfig): ModelDescription {
  for (const key of ['scale_attn_by_inverse_layer_idx', 'add_cross_attention']) {
    if (config[key]) throw new ArchitectureError('unsupported_architecture', `${key} of gpt2 is not known`);
  }
  const hiddenSize = positiveInteger(config, 'n_embd', 768);
  const numHeads = positiveInteger(config, 'n_head', 12);
  const headDim = positiveInteger({ head_dim: hiddenSize / numHeads }, 'head_dim');
  return {
    family: 'gpt2',
    vocabSize: positiveInteger(config, 'vocab_size', 50_257),
    hiddenSize,
    intermediateSize: positiveInteger(config, 'n_inner', 4 * hiddenSize),
    numHeads,
    numKvHeads: numHeads,
    headDim,
    contextLength: positiveInteger(config, 'n_positions', 1_024),
    norm: { kind: 'layer', epsilon: positiveNumber(config, 'layer_norm_epsilon', 1e-5) },
    activation: activationOf(config, 'activation_function', 'gelu_new'),
    attentionScale: flag(config, 'scale_attn_weights', true) ? headDim ** -0.5 : 1,
    embeddingScale: 1,
    tiedEmbeddings: flag(config, 'tie_word_embeddings', true),
    layers: Array.from({ length: positiveInteger(config, 'n_layer', 12) }, () => ({})),
  };
}
