/**
 * Description and weights → the graph that the engine runs at full speed: GroupQueryAttention over caches in place, norms
 * fused with the residual sum, a head that runs over the rows that are wanted, and hidden states for feature drafts.
 * What a layer consists of follows from the weights that it has. Knows no family by name.
 */
import type { LayerDescription, ModelDescription } from '@forerunner/architecture';
import { DataType, makeValueInfo } from '@forerunner/onnx-graph';
import type { LayerWeights, Linear, ModelWeights, Norm } from '../weights/model-weights.ts';
import type { GraphWriter } from './graph-writer.ts';
import { RopeCaches } from './rope-caches.ts';

const INT64_MAX = 2n ** 63n - 1n;

/** Writes nodes, inputs, outputs and weights, layer by layer. */
export function writeDecoder(writer: GraphWriter, model: ModelDescription, weights: ModelWeights): void {
  new DecoderWriter(writer, model).write(weights);
}

/** A sum that has been normed: the norm's output, and the sum itself, which the next one adds to. */
interface Normed {
  readonly output: string;
  readonly sum: string;
}

class DecoderWriter {
  readonly #writer: GraphWriter;
  readonly #model: ModelDescription;
  readonly #ropes: RopeCaches;

  constructor(writer: GraphWriter, model: ModelDescription) {
    this.#writer = writer;
    this.#model = model;
    this.#ropes = new RopeCaches(writer, model.contextLength);
  }

  write(weights: ModelWeights): void {
    const writer = this.#writer;
    const { hiddenSize } = this.#model;
    const rows = ['batch_size', 'sequence_length'] as const;
    writer.input(makeValueInfo('input_ids', DataType.int64, rows));
    const lengths = this.#lengths();
    const table = writer.embeddingTable('embed_tokens.weight', weights.embedding);
    let sum = writer.embed('/model/embed_tokens', 'input_ids', table);
    if (this.#model.embeddingScale !== 1) {
      const scale = writer.scalar('/model/embed_tokens/scale', this.#model.embeddingScale);
      sum = writer.node('Mul', '/model/embed_tokens/scaled', [sum, scale]);
    }
    if (weights.positions) {
      writer.input(makeValueInfo('position_ids', DataType.int64, rows));
      const positions = writer.embeddingTable('embed_positions.weight', weights.positions);
      const embedded = writer.embed('/model/embed_positions', 'position_ids', positions);
      sum = writer.node('Add', '/model/embeddings', [sum, embedded]);
    }
    let added: string | undefined;
    for (const [index, layer] of this.#model.layers.entries()) {
      const layerWriter = new LayerWriter(writer, this.#model, layer, weights.layers[index]!, index, this.#ropes);
      ({ sum, added } = layerWriter.write(sum, added, lengths));
    }
    addNorm(writer, this.#model, '/model/final_norm', weights.finalNorm, sum, added, 'hidden_states');
    writer.output(makeValueInfo('hidden_states', writer.floatType, [...rows, hiddenSize]));
    const headTable = weights.head ? writer.embeddingTable('lm_head.weight', weights.head) : table;
    this.#head(headTable);
  }

  /** attention_mask → [batch] last positions and a scalar, as GroupQueryAttention wants them. */
  #lengths(): Lengths {
    const writer = this.#writer;
    const mask = writer.input(makeValueInfo('attention_mask', DataType.int64, ['batch_size', 'total_sequence_length']));
    const toInt32 = { to: DataType.int32 };
    const one = writer.integers('/mask/one', [1]);
    const last = writer.integers('/mask/last_axis', [1]);
    const axis = writer.integers('/mask/axis', [1], true);
    const sum = writer.node('ReduceSum', '/mask/sum', [mask, last], { keepdims: 0 });
    const seqlensK = writer.node(
      'Cast',
      '/mask/seqlens_k',
      [writer.node('Sub', '/mask/less_one', [sum, one])],
      toInt32,
    );
    const length = writer.node('Gather', '/mask/length', [writer.node('Shape', '/mask/shape', [mask]), axis], {
      axis: 0,
    });
    return { seqlensK, total: writer.node('Cast', '/mask/total_sequence_length', [length], toInt32) };
  }

  /** The head over the last num_logits_to_keep rows; −0 = 0 begins at the first one, so 0 is all of them. */
  #head(table: ReturnType<GraphWriter['embeddingTable']>): void {
    const writer = this.#writer;
    const { logitSoftcap, vocabSize } = this.#model;
    const keep = writer.input(makeValueInfo('num_logits_to_keep', DataType.int64, []));
    const zero = writer.integers('/keep/zero', [0]);
    const end = writer.int64('/keep/end', INT64_MAX);
    const axis = writer.integers('/keep/axis', [1]);
    const start = writer.node('Unsqueeze', '/keep/start', [writer.node('Neg', '/keep/negative', [keep]), zero]);
    const rows = writer.node('Slice', '/keep/hidden', ['hidden_states', start, end, axis]);
    if (logitSoftcap === undefined) {
      writer.head('/lm_head', rows, table, 'logits');
    } else {
      const cap = writer.scalar('/lm_head/softcap', logitSoftcap);
      const scaled = writer.node('Div', '/lm_head/scaled', [writer.head('/lm_head', rows, table, '/lm_head'), cap]);
      const bounded = writer.node('Tanh', '/lm_head/bounded', [scaled]);
      writer.node('Mul', '/lm_head/capped', [bounded, cap], {}, ['logits']);
    }
    writer.output(makeValueInfo('logits', writer.floatType, ['batch_size', 'num_logits', vocabSize]));
  }
}

interface Lengths {
  readonly seqlensK: string;
  readonly total: string;
}

class LayerWriter {
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

/** norm(sum + added) in one operator, and the new sum. */
function addNorm(
  writer: GraphWriter,
  model: ModelDescription,
  name: string,
  norm: Norm,
  sum: string,
  added: string | undefined,
  output = name,
): Normed {
  if (added === undefined) return { output: plainNorm(writer, model, name, norm, sum, output), sum };
  const op = model.norm.kind === 'rms' ? 'SkipSimplifiedLayerNormalization' : 'SkipLayerNormalization';
  const newSum = `${name}/sum`;
  const inputs = [sum, added, ...normWeights(writer, name, norm)];
  writer.node(op, name, inputs, { epsilon: { float: model.norm.epsilon } }, [output, '', '', newSum]);
  return { output, sum: newSum };
}

function plainNorm(
  writer: GraphWriter,
  model: ModelDescription,
  name: string,
  norm: Norm,
  input: string,
  output = name,
): string {
  const op = model.norm.kind === 'rms' ? 'SimplifiedLayerNormalization' : 'LayerNormalization';
  const attributes = { axis: -1, epsilon: { float: model.norm.epsilon }, stash_type: 1 };
  return writer.node(op, name, [input, ...normWeights(writer, name, norm)], attributes, [output]);
}

function normWeights(writer: GraphWriter, name: string, { weight, bias }: Norm): string[] {
  return [writer.vector(`${name}.weight`, weight), ...(bias ? [writer.vector(`${name}.bias`, bias)] : [])];
}
