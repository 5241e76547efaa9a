/** Tensors of gpt2 by transformers' names. Its products are stored with inputs first. */
import type { ModelDescription } from '@forerunner/architecture';
import type { TensorSource } from '../checkpoint/checkpoint.ts';
import { transpose } from '../checkpoint/matrix.ts';
import type { LayerWeights, Linear, ModelWeights, Norm } from './model-weights.ts';

/** Masks that old checkpoints carry, and the head, which is tied. */
export const HARMLESS_IN_GPT2 = /\.attn\.(masked_)?bias$|^lm_head\.weight$/;

/** Errors: ImportError missing_tensor | bad_checkpoint, naming the tensor. */
export function gpt2Weights(model: ModelDescription, source: TensorSource): ModelWeights {
  const { hiddenSize, intermediateSize, vocabSize, contextLength } = model;
  const prefix = source.has('wte.weight') ? '' : 'transformer.';
  const norm = (name: string): Norm => ({
    weight: source.take(`${prefix}${name}.weight`, [hiddenSize]),
    bias: source.take(`${prefix}${name}.bias`, [hiddenSize]),
  });
  const linear = (name: string, numIn: number, numOut: number): Linear => ({
    weight: transpose(source.take(`${prefix}${name}.weight`, [numIn, numOut])),
    bias: source.take(`${prefix}${name}.bias`, [numOut]),
  });
  const layer = (index: number): LayerWeights => ({
    inputNorm: norm(`h.${index}.ln_1`),
    qkv: linear(`h.${index}.attn.c_attn`, hiddenSize, 3 * hiddenSize),
    attentionOutput: linear(`h.${index}.attn.c_proj`, hiddenSize, hiddenSize),
    mlpNorm: norm(`h.${index}.ln_2`),
    up: linear(`h.${index}.mlp.c_fc`, hiddenSize, intermediateSize),
    down: linear(`h.${index}.mlp.c_proj`, intermediateSize, hiddenSize),
  });
  return {
    embedding: source.take(`${prefix}wte.weight`, [vocabSize, hiddenSize]),
    positions: source.take(`${prefix}wpe.weight`, [contextLength, hiddenSize]),
    layers: model.layers.map((_, index) => layer(index)),
    finalNorm: norm('ln_f'),
    ...(!model.tiedEmbeddings && { head: source.take('lm_head.weight', [vocabSize, hiddenSize]) }),
  };
}
