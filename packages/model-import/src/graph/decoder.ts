/**
 * Description and weights → the graph that the engine runs at full speed: GroupQueryAttention over caches in place, norms
 * fused with the residual sum, a head that runs over the rows that are wanted, and hidden states for feature drafts.
 * What a layer consists of follows from the weights that it has. Knows no family by name.
 */
import type { ModelDescription } from '@forerunner/architecture';
import { DataType, makeValueInfo } from '@forerunner/onnx-graph';
import type { ModelWeights } from '../weights/model-weights.ts';
import type { GraphWriter } from './graph-writer.ts';
import { LayerWriter, type Lengths } from './layer.ts';
import { addNorm } from './norms.ts';
import { RopeCaches } from './rope-caches.ts';

const INT64_MAX = 2n ** 63n - 1n;

/** Writes nodes, inputs, outputs and weights, layer by layer. */
export function writeDecoder(writer: GraphWriter, model: ModelDescription, weights: ModelWeights): void {
  new DecoderWriter(writer, model).write(weights);
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
