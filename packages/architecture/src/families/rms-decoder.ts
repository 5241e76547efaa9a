/**
 * What llama and its many heirs have in common: RMS norms, rotary embedding, a gated feed-forward network. A family says
 * where it differs.
 */
import { flag, type ModelConfig, positiveInteger, positiveNumber, wrong } from '../config-fields.ts';
import type { Activation, Family, LayerDescription, ModelDescription } from '../description.ts';
import { describeRope, ropeParametersOf } from '../rope.ts';

/** What transformers assumes where config.json is silent. */
export interface RmsDecoderDefaults {
  readonly theta: number;
  readonly contextLength: number;
  readonly epsilon?: number;
  readonly numHeads?: number;
  readonly numKvHeads?: number;
  readonly headDim?: number;
  readonly tiedEmbeddings?: boolean;
}

/** `layers` is filled with the family's rope, without windows. Errors: ArchitectureError. */
export function describeRmsDecoder(
  config: ModelConfig,
  family: Family,
  defaults: RmsDecoderDefaults,
): ModelDescription & { readonly numLayers: number } {
  const numLayers = positiveInteger(config, 'num_hidden_layers');
  const hiddenSize = positiveInteger(config, 'hidden_size');
  const numHeads = positiveInteger(config, 'num_attention_heads', defaults.numHeads);
  const numKvHeads = positiveInteger(config, 'num_key_value_heads', defaults.numKvHeads ?? numHeads);
  if (numHeads % numKvHeads !== 0) {
    throw wrong('num_key_value_heads', numKvHeads, `a divisor of the ${numHeads} attention heads`);
  }
  const headDim = positiveInteger(config, 'head_dim', defaults.headDim ?? hiddenSize / numHeads);
  const contextLength = positiveInteger(config, 'max_position_embeddings', defaults.contextLength);
  const rope = describeRope(ropeParametersOf(config, defaults.theta), headDim, contextLength);
  return {
    family,
    vocabSize: positiveInteger(config, 'vocab_size'),
    hiddenSize,
    intermediateSize: positiveInteger(config, 'intermediate_size'),
    numHeads,
    numKvHeads,
    headDim,
    contextLength,
    norm: { kind: 'rms', epsilon: positiveNumber(config, 'rms_norm_eps', defaults.epsilon ?? 1e-6) },
    activation: activationOf(config, 'hidden_act', 'silu'),
    attentionScale: headDim ** -0.5,
    embeddingScale: 1,
    tiedEmbeddings: flag(config, 'tie_word_embeddings', defaults.tiedEmbeddings ?? false),
    layers: Array.from({ length: numLayers }, () => ({ rope })),
    numLayers,
  };
}

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
};

/** Errors: ArchitectureError bad_config for an activation that is not known. */
export function activationOf(config: ModelConfig, key: string, fallback: string): Activation {
  const name = config[key] ?? fallback;
  const known = typeof name === 'string' && Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (known) return known;
  throw wrong(key, name, `one of ${Object.keys(ACTIVATIONS).join(', ')}`);
}

/** Layers that attend to a window only. */
export function withWindows(
  layers: readonly LayerDescription[],
  window: number | undefined,
  hasWindow: (layer: number) => boolean,
): LayerDescription[] {
  return layers.map((layer, index) => (window !== undefined && hasWindow(index) ? { ...layer, window } : layer));
}

/** layer_types of config.json, or what the family makes of older fields. */
export function isSliding(layerTypes: readonly string[] | undefined, otherwise: (layer: number) => boolean) {
  return (layer: number): boolean => (layerTypes ? layerTypes[layer] === 'sliding_attention' : otherwise(layer));
}
