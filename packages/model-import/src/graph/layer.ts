/** One layer of a decoder: attention over its cache, then the feed-forward network. */
import type { LayerDescription, ModelDescription } from '@forerunner/architecture';
import { makeValueInfo } from '@forerunner/onnx-graph';
import type { LayerWeights, Linear, Norm } from '../weights/model-weights.ts';
import type { GraphWriter } from './graph-writer.ts';
import { addNorm, type Normed, plainNorm } from './norms.ts';
import type { RopeCaches } from './rope-caches.ts';

/** What attention is told of the sequences: names of values. */
export interface Lengths {
  readonly seqlensK: string;
  readonly total: string;
}

export class LayerWriter {
  readonly #writer: GraphWriter;
  readonly #model: ModelDescription;
  readonly #layer: LayerDescription;
  readonly #weights: LayerWeights;
  readonly #index: number;
  readonly #ropes: RopeCaches;

  constructor(
    writer: GraphWriter,
    model: ModelDescription,
    layer: LayerDescription,
    weights: LayerWeights,
    index: number,
    ropes: RopeCaches,
  ) {
    this.#writer = writer;
    this.#model = model;
    this.#layer = layer;
    this.#weights = weights;
    this.#index = index;
    this.#ropes = ropes;
  }

  /** What is still to be added to the sum comes in as `added` and goes out again: the next norm does it. */
  write(sum: string, added: string | undefined, lengths: Lengths): { sum: string; added: string } {
    const weights = this.#weights;
    const input = this.#norm('input_norm', weights.inputNorm, sum, added);
    let attended = this.#linear('o_proj', this.#attention(input.output, lengths), weights.attentionOutput);
    if (weights.postAttentionNorm)
      attended = this.#plainNorm('post_attention_norm', weights.postAttentionNorm, attended);
    const middle = this.#norm('mlp_norm', weights.mlpNorm, input.sum, attended);
    let fed = this.#mlp(middle.output);
    if (weights.postMlpNorm) fed = this.#plainNorm('post_mlp_norm', weights.postMlpNorm, fed);
    return { sum: middle.sum, added: fed };
  }

  #name(part: string): string {
    return `/model/layers.${this.#index}/${part}`;
  }

  #attention(input: string, { seqlensK, total }: Lengths): string {
    const writer = this.#writer;
    const { numHeads, numKvHeads, headDim, attentionScale, attentionSoftcap } = this.#model;
    const qkv = this.#linear('qkv_proj', input, this.#weights.qkv);
    const [query, key, value] = this.#weights.queryNorm ? this.#normedHeads(qkv) : [qkv, '', ''];
    const cacheDims = ['batch_size', numKvHeads] as const;
    const caches = (['key', 'value'] as const).map((part) => {
      const [past, present] = [`past_key_values.${this.#index}.${part}`, `present.${this.#index}.${part}`];
      writer.input(makeValueInfo(past, writer.floatType, [...cacheDims, 'past_sequence_length', headDim]));
      writer.output(makeValueInfo(present, writer.floatType, [...cacheDims, 'total_sequence_length', headDim]));
      return { past, present };
    });
    const { rope, window } = this.#layer;
    const rotation = rope ? this.#ropes.of(rope) : { cos: '', sin: '' };
    const inputs = [query, key, value, ...caches.map(({ past }) => past), seqlensK, total, rotation.cos, rotation.sin];
    const attributes = {
      num_heads: numHeads,
      kv_num_heads: numKvHeads,
      scale: { float: attentionScale },
      softcap: { float: attentionSoftcap ?? 0 },
      local_window_size: window ?? -1,
      do_rotary: rope ? 1 : 0,
      rotary_interleaved: 0,
    };
    const name = this.#name('attention');
    return writer.node('GroupQueryAttention', name, inputs, attributes, [
      name,
      ...caches.map((cache) => cache.present),
    ]);
  }

  /** Queries and keys, each head of them normed. */
  #normedHeads(qkv: string): [string, string, string] {
    const { queryNorm, keyNorm } = this.#weights;
    const { numHeads, numKvHeads, headDim } = this.#model;
    const [queries, keys] = [numHeads * headDim, numKvHeads * headDim];
    const parts = ['query', 'key', 'value'].map((part) => this.#name(`attention/${part}`)) as [string, string, string];
    const sizes = this.#writer.integers(this.#name('attention/sizes'), [queries, keys, keys]);
    this.#writer.node('Split', this.#name('attention/split'), [qkv, sizes], { axis: -1 }, parts);
    const [query, key, value] = parts;
    return [this.#normedHead(query, queryNorm!, numHeads), this.#normedHead(key, keyNorm!, numKvHeads), value];
  }

  #normedHead(value: string, norm: Norm, numHeads: number): string {
    const writer = this.#writer;
    const { headDim } = this.#model;
    const heads = writer.integers(`${value}/heads_shape`, [0, 0, numHeads, headDim]);
    const flat = writer.integers(`${value}/flat_shape`, [0, 0, numHeads * headDim]);
    const split = writer.node('Reshape', `${value}/heads`, [value, heads]);
    const normed = plainNorm(writer, this.#model, `${value}/norm`, norm, split);
    return writer.node('Reshape', `${value}/flat`, [normed, flat]);
  }

  #mlp(input: string): string {
    const { gate, up, down } = this.#weights;
    const upper = this.#linear('up_proj', input, up);
    if (!gate) return this.#linear('down_proj', this.#activation(upper), down);
    const gated = this.#activation(this.#linear('gate_proj', input, gate));
    return this.#linear('down_proj', this.#writer.node('Mul', this.#name('mlp'), [gated, upper]), down);
  }

  #activation(input: string): string {
    const name = this.#name('activation');
    const writer = this.#writer;
    switch (this.#model.activation) {
      case 'silu':
        return writer.node('Mul', name, [input, writer.node('Sigmoid', `${name}/sigmoid`, [input])]);
      case 'gelu':
        return writer.node('Gelu', name, [input], { approximate: 'none' });
      case 'gelu_tanh':
        return writer.node('Gelu', name, [input], { approximate: 'tanh' });
    }
  }

  #linear(part: string, input: string, { weight, bias }: Linear): string {
    const name = this.#name(part);
    const product = this.#writer.product(name, input, weight);
    return bias
      ? this.#writer.node('Add', `${name}/biased`, [product, this.#writer.vector(`${name}.bias`, bias)])
      : product;
  }

  #norm(part: string, norm: Norm, sum: string, added: string | undefined): Normed {
    return addNorm(this.#writer, this.#model, this.#name(part), norm, sum, added);
  }

  #plainNorm(part: string, norm: Norm, input: string): string {
    return plainNorm(this.#writer, this.#model, this.#name(part), norm, input);
  }
}
