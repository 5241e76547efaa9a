/** gemma2 and gemma3's text model: scaled embeddings, windows in some layers, soft caps or two kinds of rope. */
import {
  type ModelConfig,
  optionalNumber,
  perLayer,
  positiveInteger,
  positiveNumber,
  wrong,
} from '../config-fields.ts';
import type { ModelDescription } from '../description.ts';
import { ArchitectureError } from '../errors.ts';
import { describeRope, ropeParametersOf } from '../rope.ts';
import { activationOf, describeRmsDecoder, isSliding, withWindows } from './rms-decoder.ts';

const DEFAULTS = { theta: 10_000, numHeads: 8, numKvHeads: 4, headDim: 256, tiedEmbeddings: true };

export function describeGemma2(config: ModelConfig): ModelDescription {
  const model = describeGemma(config, describeRmsDecoder(config, 'gemma2', { ...DEFAULTS, contextLength: 8_192 }));
  const layerTypes = perLayer<string>(config, 'layer_types', model.layers.length);
  const window = config.sliding_window === undefined ? 4_096 : optionalNumber(config, 'sliding_window');
  const sliding = isSliding(layerTypes, (layer) => layer % 2 === 0);
  return { ...model, ...softcaps(config, 50, 30), layers: withWindows(model.layers, window, sliding) };
}

/** Every sixth layer sees everything and turns more slowly; the others have a window. */
export function describeGemma3(config: ModelConfig): ModelDescription {
  if (config.use_bidirectional_attention) {
    throw new ArchitectureError('unsupported_architecture', 'use_bidirectional_attention: an encoder, not a decoder');
  }
  const { full, sliding } = gemma3Ropes(config);
  const decoder = describeRmsDecoder({ ...config, ...full }, 'gemma3_text', { ...DEFAULTS, contextLength: 131_072 });
  const model = describeGemma(config, decoder);
  const layerTypes = perLayer<string>(config, 'layer_types', model.layers.length);
  const period = positiveInteger(config, 'sliding_window_pattern', 6);
  const window = config.sliding_window === undefined ? 4_096 : optionalNumber(config, 'sliding_window');
  const isWindow = isSliding(layerTypes, (layer) => (layer + 1) % period !== 0);
  const localRope = describeRope(sliding, model.headDim, model.contextLength);
  return {
    ...model,
    ...softcaps(config, undefined, undefined),
    layers: withWindows(model.layers, window, isWindow).map((layer, index) =>
      isWindow(index) ? { ...layer, rope: localRope } : layer,
    ),
  };
}

function describeGemma(config: ModelConfig, model: ModelDescription): ModelDescription {
  if (config.attention_bias) throw wrong('attention_bias', true, 'false, as in every published model of the family');
  return {
    ...model,
    activation: activationOf(config, 'hidden_activation', 'gelu_pytorch_tanh'),
    attentionScale: positiveNumber(config, 'query_pre_attn_scalar', 256) ** -0.5,
    embeddingScale: Math.sqrt(model.hiddenSize),
  };
}

function softcaps(config: ModelConfig, attentionDefault: number | undefined, logitDefault: number | undefined) {
  const read = (key: string, fallback: number | undefined) =>
    config[key] === undefined ? fallback : optionalNumber(config, key);
  const attentionSoftcap = read('attn_logit_softcapping', attentionDefault);
  const logitSoftcap = read('final_logit_softcapping', logitDefault);
  return {
    ...(attentionSoftcap !== undefined && { attentionSoftcap }),
    ...(logitSoftcap !== undefined && { logitSoftcap }),
  };
}

/** transformers 5 has one set of parameters for each kind of layer; before, rope_scaling was the global layers'. */
function gemma3Ropes(config: ModelConfig): { full: ModelConfig; sliding: ModelConfig } {
  const [fullTheta, localTheta] = [1_000_000, 10_000];
  const both = config.rope_parameters as { full_attention?: ModelConfig; sliding_attention?: ModelConfig } | null;
  if (both?.full_attention || both?.sliding_attention) {
    const full = ropeParametersOf({ rope_parameters: both.full_attention }, fullTheta);
    const sliding = ropeParametersOf({ rope_parameters: both.sliding_attention }, localTheta);
    return { full: { rope_parameters: full }, sliding };
  }
  const sliding = ropeParametersOf({ rope_theta: config.rope_local_base_freq }, localTheta);
  return { full: { rope_parameters: ropeParametersOf(config, fullTheta) }, sliding };
}
