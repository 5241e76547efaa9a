/**
 * Finds the language-model head by structure: walks back from the logits over what merely reshapes, casts, scales or
 * picks rows, to the product with the vocabulary matrix, and from its input over whatever picks rows there. Names of
 * nodes and values are never looked at; only the output's name, `logits`, is the exports' common convention.
 */
import { GraphError } from './errors.ts';
import type { Graph } from './graph.ts';
import { dimsOf, isOp, MICROSOFT, numberAttribute } from './nodes.ts';
import { DataType, type NodeProto, toNumber } from './onnx.ts';

export interface LmHead {
  /** The product with the vocabulary matrix. */
  readonly node: NodeProto;
  /** The last norm's output, every row of it: [batch, sequence_length, width]. */
  readonly hiddenStates: string;
  readonly width: number;
  readonly elemType: number;
  /** What stands between the hidden states and the product, nearest to the product first. */
  readonly picksRowsBy: readonly NodeProto[];
}

/** From logits back to the product: elementwise work such as a soft cap of logits is passed over. */
const AFTER_HEAD = ['Cast', 'Identity', 'Reshape', 'Add', 'Mul', 'Div', 'Tanh', 'Slice', 'Gather', 'Squeeze'];
/** From the product back to the norm: only what picks rows or changes type or rank. */
const BEFORE_HEAD = ['Cast', 'Identity', 'Slice', 'Gather', 'GatherND', 'Reshape', 'Squeeze', 'Unsqueeze'];

/** Errors: GraphError unsupported_graph, saying what stands where the head was looked for. */
export function findLmHead(graph: Graph): LmHead {
  if (!graph.output('logits')) {
    const names = graph.proto.output.slice(0, 4).map((output) => output.name);
    throw new GraphError('unsupported_graph', `the graph has no output "logits" (it has ${names.join(', ')})`);
  }
  const { producer: node } = walkBack(graph, 'logits', AFTER_HEAD);
  if (!node || !isProduct(node)) {
    const found = node ? `${node.opType} (${node.name})` : 'a graph input';
    throw new GraphError('unsupported_graph', `logits come from ${found}, not from a matrix product: no head found`);
  }
  const { value: hiddenStates, producer: norm, passed } = walkBack(graph, node.input[0] ?? '', BEFORE_HEAD);
  if (!norm) throw new GraphError('unsupported_graph', 'the head reads a graph input: not a language model');
  return {
    node,
    hiddenStates,
    width: widthOf(graph, hiddenStates, node, norm),
    elemType: elemTypeOf(graph, hiddenStates, norm),
    picksRowsBy: passed.filter((between) => !['Cast', 'Identity'].includes(between.opType)),
  };
}

function isProduct(node: NodeProto): boolean {
  const ofMicrosoft = ['MatMulNBits', 'FusedMatMul'].some((op) => isOp(node, op, MICROSOFT));
  return ofMicrosoft || isOp(node, 'MatMul') || isOp(node, 'Gemm');
}

/** Follows the data input while the producer is one of `transparent`. */
function walkBack(graph: Graph, from: string, transparent: readonly string[]) {
  const passed: NodeProto[] = [];
  for (let value = from; ; ) {
    const producer = graph.producer(value);
    if (!producer || !transparent.includes(producer.opType) || producer.domain) return { value, producer, passed };
    passed.push(producer);
    // Two-sided operators: the data is the side that is computed, the other one a constant.
    value = producer.input.find((name) => graph.producer(name) && !isOp(graph.producer(name), 'Constant')) ?? '';
  }
}

function widthOf(graph: Graph, hiddenStates: string, head: NodeProto, norm: NodeProto): number {
  const declared = dimsOf(graph.declared(hiddenStates))?.at(-1);
  if (typeof declared === 'number' && declared > 0) return declared;
  const scale = scaleOf(graph, norm);
  const width = numberAttribute(head, 'K') ?? (scale && toNumber(scale.dims[0] ?? 0));
  if (width) return width;
  throw new GraphError('unsupported_graph', `the width of the hidden states (${hiddenStates}) cannot be told`);
}

function elemTypeOf(graph: Graph, hiddenStates: string, norm: NodeProto): number {
  const declared = graph.declared(hiddenStates)?.type.tensorType?.elemType;
  return declared || (scaleOf(graph, norm)?.dataType ?? DataType.float32);
}

/** A norm, fused or spelled out, ends in a product with a one-dimensional weight. */
function scaleOf(graph: Graph, norm: NodeProto) {
  return norm.input.map((name) => graph.initializer(name)).find((tensor) => tensor?.dims.length === 1);
}
