/**
 * Writes a model with 4- or 8-bit weight blocks out in float32: the same weights to the last bit of their blocks, four
 * to eight times the bytes, and no 8-bit activations. For benchmarks (how speculation pays where weights are read from
 * memory) and as a yardstick for quantisation. One tensor is in memory at a time.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeModel,
  encodeModel,
  float32Tensor,
  Graph,
  GraphError,
  inputFrom,
  isExternal,
  isOp,
  MICROSOFT,
  makeNode,
  type NodeProto,
  numberAttribute,
  ShardWriter,
  type TensorProto,
  tensorBytes,
  tensorFloats,
} from '@forerunner/onnx-graph';
import { copyCompanions, createFolder, type ModelFolder } from './model-folder.ts';

/**
 * MatMulNBits → MatMul, GatherBlockQuantized → Gather. Weights go to files of at most maxFileBytes.
 * Errors: GraphError unsupported_graph (no quantised weights, or in a form that is not known) | bad_folder.
 */
export function dequantise(source: ModelFolder, outDir: string, maxFileBytes: number): void {
  const model = decodeModel(source.graphBytes);
  const graph = new Graph(model);
  const quantised = graph.nodes.filter((node) => isMatMul(node) || isGather(node));
  if (quantised.length === 0) throw new GraphError('unsupported_graph', 'the graph has no quantised weights');
  createFolder(outDir);
  const written = new Set<TensorProto>();
  const shards = new ShardWriter(outDir, maxFileBytes);
  try {
    for (const node of quantised) {
      const blocks = readBlocks(graph, node, source.graphDir);
      const name = graph.uniqueName(`${node.name || node.opType}.float32`);
      const weight = isMatMul(node)
        ? float32Tensor(name, [blocks.width, blocks.numRows], transpose(blocks))
        : float32Tensor(name, [blocks.numRows, blocks.width], blocks.values);
      shards.add(weight, weight.rawData!);
      written.add(weight);
      model.graph.initializer.push(weight);
      replace(graph, node, name);
    }
    graph.prune();
    for (const tensor of model.graph.initializer) {
      if (isExternal(tensor) && !written.has(tensor)) shards.add(tensor, tensorBytes(tensor, source.graphDir));
    }
  } finally {
    shards.close();
  }
  writeFileSync(join(outDir, 'model.onnx'), encodeModel(model));
  copyCompanions(source, outDir);
}

function isMatMul(node: NodeProto): boolean {
  return isOp(node, 'MatMulNBits', MICROSOFT);
}

function isGather(node: NodeProto): boolean {
  return isOp(node, 'GatherBlockQuantized', MICROSOFT);
}

interface Blocks {
  readonly numRows: number;
  readonly width: number;
  readonly values: Float32Array; // [numRows, width]
}

/** Of MatMulNBits, from input 4 on. */
const EXTRA_INPUTS = ['an order of its columns (g_idx)', 'a bias'];

/** value = (stored − zero point) · scale of its block; zero points are the middle unless the node names them. */
function readBlocks(graph: Graph, node: NodeProto, folder: string): Blocks {
  const refuse = (what: string) => new GraphError('unsupported_graph', `${node.name} ${what}`);
  const bits = numberAttribute(node, 'bits') ?? 4;
  const blockSize = numberAttribute(node, 'block_size') ?? 0;
  if (bits !== 4 && bits !== 8) throw refuse(`has ${bits}-bit weights: only 4 and 8 are known`);
  const [data, scaleInput] = isMatMul(node) ? [node.input[1], node.input[2]] : [node.input[0], node.input[2]];
  if (node.input[3]) throw refuse('has zero points of its own: only symmetric blocks are known');
  const extra = inputFrom(node, 4);
  if (extra !== undefined) throw refuse(`has ${EXTRA_INPUTS[extra - 4] ?? `an input ${extra}`}: only scales are known`);
  if (isGather(node) && (numberAttribute(node, 'gather_axis') ?? 0) !== 0) throw refuse('gathers along another axis');
  const stored = constantOf(graph, data ?? '');
  const scaleTensor = constantOf(graph, scaleInput ?? '');
  if (!stored || !scaleTensor) throw refuse('computes its weights: only constant ones are known');

  const bytes = tensorBytes(stored, folder);
  const scales = tensorFloats(scaleTensor, folder);
  const numRows = numberAttribute(node, 'N') ?? Number(stored.dims[0]);
  const width = numberAttribute(node, 'K') ?? (bytes.length * 8) / bits / numRows;
  if (width % blockSize !== 0 || scales.length !== (numRows * width) / blockSize) {
    throw refuse(`has rows of ${width} in blocks of ${blockSize} with ${scales.length} scales: not a known form`);
  }
  const middle = 2 ** (bits - 1);
  const values = new Float32Array(numRows * width);
  for (let i = 0; i < values.length; i++) {
    const code = bits === 8 ? bytes[i]! : (bytes[i >> 1]! >> (4 * (i & 1))) & 15;
    values[i] = (code - middle) * scales[Math.floor(i / blockSize)]!;
  }
  return { numRows, width, values };
}

/** The initialiser behind a value, also through a Reshape that only regroups it. */
function constantOf(graph: Graph, value: string): TensorProto | undefined {
  const producer = graph.producer(value);
  return graph.initializer(isOp(producer, 'Reshape') ? (producer.input[0] ?? '') : value);
}

function transpose({ numRows, width, values }: Blocks): Float32Array {
  const transposed = new Float32Array(values.length);
  for (let row = 0; row < numRows; row++) {
    for (let column = 0; column < width; column++) transposed[column * numRows + row] = values[row * width + column]!;
  }
  return transposed;
}

function replace(graph: Graph, node: NodeProto, weight: string): void {
  const float = isMatMul(node)
    ? makeNode({ op: 'MatMul', name: node.name, inputs: [node.input[0]!, weight], outputs: node.output })
    : makeNode({ op: 'Gather', name: node.name, inputs: [weight, node.input[1]!], outputs: node.output });
  graph.replace(node, float);
}
