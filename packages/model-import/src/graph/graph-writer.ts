/**
 * A graph in the making: nodes in order, constants, and weights that go to files as they come. Knows ONNX and how weights
 * are kept at a precision; knows no architecture.
 */
import {
  DataType,
  encodeModel,
  int64Tensor,
  MICROSOFT,
  type ModelProto,
  makeNode,
  type NodeSpec,
  type ShardWriter,
  type TensorProto,
  type ValueInfoProto,
} from '@forerunner/onnx-graph';
import { type Matrix, readAll, rowChunks } from '../checkpoint/matrix.ts';
import { activationType, type Precision, weightBits } from './precision.ts';
import { type Bits, BLOCK, quantiseRows } from './quantise.ts';

const OPSET = 22;
const IR_VERSION = 10;
/** Values of a chunk of weights in memory: 16 MB of float32. */
const CHUNK_VALUES = 4_194_304;
/** MatMulNBits multiplies with activations in 8 bits. */
const INT8_ACTIVATIONS = 4;

export type OnBytes = (numSourceValues: number) => void;

export class GraphWriter {
  readonly precision: Precision;
  readonly #model: ModelProto = {
    irVersion: IR_VERSION,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: MICROSOFT, version: 1 },
    ],
    graph: { node: [], initializer: [], input: [], output: [], valueInfo: [] },
  };
  readonly #shards: ShardWriter;
  readonly #onValues: OnBytes;

  /** `onValues` hears of every chunk of weights: how many values of the checkpoint are done. */
  constructor(precision: Precision, shards: ShardWriter, onValues: OnBytes) {
    this.precision = precision;
    this.#shards = shards;
    this.#onValues = onValues;
  }

  get floatType(): number {
    return activationType(this.precision);
  }

  input(value: ValueInfoProto): string {
    this.#model.graph.input.push(value);
    return value.name;
  }

  output(value: ValueInfoProto): void {
    this.#model.graph.output.push(value);
  }

  /** A node; its first output is `name` unless `outputs` says otherwise. Gives the first output. */
  node(
    op: string,
    name: string,
    inputs: readonly string[],
    attributes: NonNullable<NodeSpec['attributes']> = {},
    outputs: readonly string[] = [name],
  ): string {
    const spec = { op, name, inputs, outputs, attributes };
    this.#model.graph.node.push(makeNode({ ...spec, ...(IS_MICROSOFT.has(op) && { domain: MICROSOFT }) }));
    return outputs[0]!;
  }

  integers(name: string, values: readonly number[], isScalar = false): string {
    const dims = isScalar ? [] : [values.length];
    this.#model.graph.initializer.push(int64Tensor(name, dims, values.map(BigInt)));
    return name;
  }

  int64(name: string, value: bigint): string {
    this.#model.graph.initializer.push(int64Tensor(name, [1], [value]));
    return name;
  }

  /** A float constant of the activations' type. */
  scalar(name: string, value: number): string {
    const rawData = bytesOf(this.#floats(Float32Array.of(value)));
    this.#model.graph.initializer.push({ name, dims: [], dataType: this.floatType, rawData });
    return name;
  }

  /** Values of the activations' type, in a file. */
  floats(name: string, dims: readonly number[], values: Float32Array): string {
    const tensor = this.#tensor(name, dims, this.floatType);
    this.#shards.add(tensor, bytesOf(this.#floats(values)));
    return name;
  }

  /** A norm's weights or a bias: in the graph itself, since half-precision norms cannot share what they make of them. */
  vector(name: string, weights: Matrix): string {
    const values = readAll(weights);
    const rawData = bytesOf(this.#floats(values));
    this.#model.graph.initializer.push({ name, dims: [values.length], dataType: this.floatType, rawData });
    this.#onValues(values.length);
    return name;
  }

  /** x · weightᵀ. */
  product(name: string, input: string, weight: Matrix): string {
    const bits = weightBits(this.precision, 'layer');
    if (bits)
      return this.#quantisedProduct(name, input, this.#quantised(`${name}.weight`, weight, bits, true), weight, bits);
    return this.#floatProduct(name, input, this.#floatMatrix(`${name}.weight`, weight));
  }

  /** Rows of the table for ids. `table` serves `head` again where the two are tied. */
  embed(name: string, ids: string, table: EmbeddingTable): string {
    if (table.scales === undefined) return this.node('Gather', name, [table.values, ids]);
    const attributes = { bits: table.bits, block_size: BLOCK, gather_axis: 0, quantize_axis: 1 };
    return this.node('GatherBlockQuantized', name, [table.values, ids, table.scales], attributes);
  }

  embeddingTable(name: string, weight: Matrix): EmbeddingTable {
    const bits = weightBits(this.precision, 'embedding');
    if (!bits) return { values: this.#floatMatrix(name, weight), weight };
    return { ...this.#quantised(name, weight, bits, false), weight };
  }

  head(name: string, input: string, table: EmbeddingTable, output: string): string {
    const { weight } = table;
    if (table.scales === undefined) return this.#floatProduct(name, input, table.values, output);
    const shape = this.integers(`${name}/shape`, [weight.rows, Math.ceil(weight.columns / BLOCK), -1]);
    const blocks = this.node('Reshape', `${name}/blocks`, [table.values, shape]);
    const quantised = { values: blocks, scales: table.scales, bits: table.bits };
    return this.#quantisedProduct(name, input, quantised, weight, table.bits, output);
  }

  /** The graph. Weights are in the files. */
  encode(): Uint8Array {
    return encodeModel(this.#model);
  }

  #floatProduct(name: string, input: string, weight: string, output = name): string {
    return this.node('FusedMatMul', name, [input, weight], { transB: 1 }, [output]);
  }

  #quantisedProduct(
    name: string,
    input: string,
    { values, scales }: QuantisedTensor,
    { rows, columns }: Matrix,
    bits: Bits,
    output = name,
  ): string {
    const attributes = { K: columns, N: rows, bits, block_size: BLOCK, accuracy_level: INT8_ACTIVATIONS };
    return this.node('MatMulNBits', name, [input, values, scales], attributes, [output]);
  }

  #floatMatrix(name: string, weight: Matrix): string {
    const { rows, columns } = weight;
    const bytesPerValue = this.floatType === DataType.float16 ? 2 : 4;
    const tensor = this.#tensor(name, [rows, columns], this.floatType);
    this.#shards.addPieces(tensor, rows * columns * bytesPerValue, this.#pieces(weight));
    return name;
  }

  *#pieces(weight: Matrix): Generator<Uint8Array> {
    for (const chunk of rowChunks(weight, CHUNK_VALUES)) {
      yield bytesOf(this.#floats(chunk));
      this.#onValues(chunk.length);
    }
  }

  #quantised(name: string, weight: Matrix, bits: Bits, inBlocks: boolean): QuantisedTensor {
    const { rows, columns } = weight;
    const blocks = Math.ceil(columns / BLOCK);
    const blockBytes = (BLOCK * bits) / 8;
    const dims = inBlocks ? [rows, blocks, blockBytes] : [rows, blocks * blockBytes];
    const scales = new Float32Array(rows * blocks);
    const onValues = this.#onValues;
    function* pieces() {
      let numScales = 0;
      for (const chunk of rowChunks(weight, CHUNK_VALUES)) {
        const quantised = quantiseRows(chunk, columns, bits);
        scales.set(quantised.scales, numScales);
        numScales += quantised.scales.length;
        yield quantised.codes;
        onValues(chunk.length);
      }
    }
    const tensor = this.#tensor(name, dims, DataType.uint8);
    this.#shards.addPieces(tensor, rows * blocks * blockBytes, pieces());
    return { values: name, scales: this.floats(`${name}_scales`, [rows, blocks], scales), bits };
  }

  #tensor(name: string, dims: readonly number[], dataType: number): TensorProto {
    const tensor: TensorProto = { name, dims: [...dims], dataType };
    this.#model.graph.initializer.push(tensor);
    return tensor;
  }

  #floats(values: Float32Array): Float32Array | Float16Array {
    return this.floatType === DataType.float16 ? Float16Array.from(values) : values;
  }
}

interface QuantisedTensor {
  readonly values: string;
  readonly scales: string;
  readonly bits: Bits;
}

/** An embedding in the graph: names of its initialisers. */
export type EmbeddingTable = { readonly weight: Matrix } & (
  | { readonly values: string; readonly scales?: undefined }
  | QuantisedTensor
);

const IS_MICROSOFT = new Set([
  'FusedMatMul',
  'GatherBlockQuantized',
  'GroupQueryAttention',
  'MatMulNBits',
  'SkipLayerNormalization',
  'SkipSimplifiedLayerNormalization',
]);

function bytesOf(values: Float32Array | Float16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
