/** Tensors of llama and its heirs by transformers' names: llama, smollm3, mistral, qwen2, qwen3, phi3, the gemmas. */
import type { ModelDescription } from '@forerunner/architecture';
import type { TensorSource } from '../checkpoint/checkpoint.ts';
import { type Matrix, plus, sliceRows, stack } from '../checkpoint/matrix.ts';
import type { LayerWeights, Linear, ModelWeights, Norm } from './model-weights.ts';

/** Where the decoder's tensors begin, in a text model and in one that also sees. */
const PREFIXES = ['model.', 'language_model.model.', 'model.language_model.'];

/** What some checkpoints carry and nobody reads: frequencies that config.json gives, the head where it is tied. */
export const HARMLESS =
  /rotary_emb\.inv_freq$|^lm_head\.weight$|^(vision_tower|multi_modal_projector|model\.vision_tower|model\.multi_modal_projector)\./;

/** Errors: ImportError missing_tensor | bad_checkpoint, naming the tensor. */
export function llamaLikeWeights(model: ModelDescription, source: TensorSource): ModelWeights {
  const prefix = PREFIXES.find((candidate) => source.has(`${candidate}embed_tokens.weight`)) ?? 'model.';
  const decoder = new LlamaLike(model, source, prefix);
  const { vocabSize, hiddenSize } = model;
  return {
    embedding: source.take(`${prefix}embed_tokens.weight`, [vocabSize, hiddenSize]),
    layers: model.layers.map((_, index) => decoder.layer(index)),
    finalNorm: decoder.norm('norm', hiddenSize),
    ...(!model.tiedEmbeddings && { head: source.take(headNameOf(source), [vocabSize, hiddenSize]) }),
  };
}

function headNameOf(source: TensorSource): string {
  return source.has('language_model.lm_head.weight') ? 'language_model.lm_head.weight' : 'lm_head.weight';
}

class LlamaLike {
  readonly #model: ModelDescription;
  readonly #source: TensorSource;
  readonly #prefix: string;

  constructor(model: ModelDescription, source: TensorSource, prefix: string) {
    this.#model = model;
    this.#source = source;
    this.#prefix = prefix;
  }

  layer(index: number): LayerWeights {
    const { hiddenSize, intermediateSize, numHeads, headDim } = this.#model;
    const at = (name: string) => `layers.${index}.${name}`;
    const isGemma = this.#isGemma();
    return {
      inputNorm: this.norm(at('input_layernorm'), hiddenSize),
      qkv: this.#qkv(at('self_attn')),
      ...this.#headNorms(at('self_attn')),
      attentionOutput: this.#linear(at('self_attn.o_proj'), hiddenSize, numHeads * headDim),
      ...(isGemma && { postAttentionNorm: this.norm(at('post_attention_layernorm'), hiddenSize) }),
      mlpNorm: this.norm(at(isGemma ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'), hiddenSize),
      ...this.#gateAndUp(at('mlp')),
      down: this.#linear(at('mlp.down_proj'), hiddenSize, intermediateSize),
      ...(isGemma && { postMlpNorm: this.norm(at('post_feedforward_layernorm'), hiddenSize) }),
    };
  }

  /** The gemmas store what is added to one. */
  norm(name: string, width: number): Norm {
    const weight = this.#source.take(`${this.#prefix}${name}.weight`, [width]);
    return { weight: this.#isGemma() ? plus(weight, 1) : weight };
  }

  #isGemma(): boolean {
    return this.#model.family === 'gemma2' || this.#model.family === 'gemma3_text';
  }

  #linear(name: string, numOut: number, numIn: number): Linear {
    const weight = this.#source.take(`${this.#prefix}${name}.weight`, [numOut, numIn]);
    const biasName = `${this.#prefix}${name}.bias`;
    return this.#source.has(biasName) ? { weight, bias: column(this.#source.take(biasName, [numOut])) } : { weight };
  }

  #qkv(name: string): Linear {
    const { hiddenSize, numHeads, numKvHeads, headDim } = this.#model;
    const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
    if (this.#model.family === 'phi3') return this.#linear(`${name}.qkv_proj`, queries + 2 * keys, hiddenSize);
    const query = this.#linear(`${name}.q_proj`, queries, hiddenSize);
    const key = this.#linear(`${name}.k_proj`, keys, hiddenSize);
    const value = this.#linear(`${name}.v_proj`, keys, hiddenSize);
    const weight = stack([query.weight, key.weight, value.weight]);
    if (!query.bias && !key.bias && !value.bias) return { weight };
    const bias = stack([query.bias ?? zeros(queries), key.bias ?? zeros(keys), value.bias ?? zeros(keys)]);
    return { weight, bias };
  }

  #headNorms(name: string): Pick<LayerWeights, 'queryNorm' | 'keyNorm'> {
    const { family, headDim } = this.#model;
    if (family !== 'qwen3' && family !== 'gemma3_text') return {};
    return { queryNorm: this.norm(`${name}.q_norm`, headDim), keyNorm: this.norm(`${name}.k_norm`, headDim) };
  }

  #gateAndUp(name: string): Pick<LayerWeights, 'gate' | 'up'> & { gate: Linear } {
    const { family, hiddenSize, intermediateSize } = this.#model;
    if (family !== 'phi3') {
      const both = ['gate_proj', 'up_proj'].map((part) =>
        this.#linear(`${name}.${part}`, intermediateSize, hiddenSize),
      );
      return { gate: both[0]!, up: both[1]! };
    }
    const { weight } = this.#linear(`${name}.gate_up_proj`, 2 * intermediateSize, hiddenSize);
    return {
      gate: { weight: sliceRows(weight, 0, intermediateSize) },
      up: { weight: sliceRows(weight, intermediateSize, 2 * intermediateSize) },
    };
  }
}

/** A vector [n] as n rows of one value, to be stacked. */
function column(vector: Matrix): Matrix {
  const values = () => vector.read(0, 1);
  return { rows: vector.columns, columns: 1, read: (first, count) => values().slice(first, first + count) };
}

function zeros(rows: number): Matrix {
  return { rows, columns: 1, read: (_, count) => new Float32Array(count) };
}
