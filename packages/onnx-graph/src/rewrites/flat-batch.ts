/**
 * Several sequences in one pass without a changed bit. All new tokens of all sequences lie in one row dimension, so every
 * linear operator runs once over all of them and reads its weights once; attention alone is done per slot: one
 * GroupQueryAttention node for each sequence of the pass, with that sequence's own past, present and lengths. Knows
 * operators; knows no sequences, schedules or memory.
 *
 * A layer that keeps a cache of its window only gets one that keeps everything: a slot can be rolled back and forked.
 * A slot's rows are gathered by index, so a sequence with one new token may show its row to attention twice (the CPU's
 * one-row kernel rounds otherwise) while the linear operators see it once; `attention_rows` drops the second result.
 */
import { GraphError } from '../errors.ts';
import { type Graph, rewriteModel } from '../graph.ts';
import { findLmHead } from '../head.ts';
import { dimsOf, isOp, MICROSOFT, makeNode, makeValueInfo } from '../nodes.ts';
import { DataType, type NodeProto, type ValueInfoProto } from '../onnx.ts';
import { dimsOfTensor, isExternal } from '../tensors.ts';
import { withWholeCache } from '../windowed-caches.ts';

/** Names of what a flat graph takes and gives beside the original's own inputs and outputs. */
export const FLAT_BATCH = {
  /** int64 [n]: the rows that the head computes; absent where the graph has no head of its own. */
  logitRows: 'logit_rows',
  /** int64 [rows]: where in the slots' concatenated rows each row's attention stands; absent with one slot. */
  attentionRows: 'attention_rows',
  slot: (index: number) => ({
    /** int64 [t]: the slot's rows, in order; absent with one slot, which takes all of them. */
    rows: `slot${index}.rows`,
    /** int32 [1]: past + t - 1. */
    seqlensK: `slot${index}.seqlens_k`,
    /** int32 scalar: past + t. */
    totalLength: `slot${index}.total_sequence_length`,
    /** The cache input or output that the original graph calls `name`. */
    cache: (name: string) => `slot${index}.${name}`,
  }),
} as const;

const INPUT = { key: 1, value: 2, pastKey: 3, pastValue: 4, seqlensK: 5, totalLength: 6, positionIds: 9, bias: 10 };
/** Inputs of a GroupQueryAttention node up to k_norm_weight; a later version may read more. */
const MAX_INPUTS = 16;

/**
 * The graph for exactly `numSlots` sequences: input_ids and every other row-wise input become [1, rows, …], logits
 * [1, n, vocab], hidden states [1, rows, width].
 * Errors: GraphError unsupported_graph, naming the node and what about it cannot be batched | already_done.
 */
export function flatBatch(modelBytes: Uint8Array, numSlots: number): Uint8Array {
  return rewriteModel(modelBytes, (graph) => {
    const layers = graph.nodes.filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT));
    if (layers.length === 0) {
      throw new GraphError('unsupported_graph', 'the graph has no GroupQueryAttention: its attention is spelled out');
    }
    if (graph.input(FLAT_BATCH.logitRows)) throw new GraphError('already_done', 'the graph is a flat batch already');
    for (const layer of layers) refuseWhatSlotsLack(layer);
    nameReshapedWeights(graph);
    chooseHeadRows(graph);
    const isLayer = new Set(layers);
    graph.proto.node = graph.nodes.flatMap((node) => (isLayer.has(node) ? slotsOf(node, numSlots) : [node]));
    declare(graph, layers, numSlots);
    // The mask's arithmetic, and whatever was declared about shapes: lengths are inputs now.
    graph.proto.valueInfo = [];
    graph.prune();
    dropUnreadInputs(graph);
  });
}

/**
 * A reshaped initialiser (tied embeddings serve as the head like that) becomes one of its own over the same bytes, so that
 * sessions can share it: what a session makes of it by constant folding is a copy for each.
 */
function nameReshapedWeights(graph: Graph): void {
  for (const node of graph.nodes.filter((candidate) => isOp(candidate, 'Reshape'))) {
    const [weights, shape] = node.input.map((name) => graph.initializer(name));
    const dims = shape?.rawData && shapeOf(shape.rawData, weights ? dimsOfTensor(weights) : []);
    if (!weights || !isExternal(weights) || !dims) continue;
    graph.proto.initializer.push({ ...weights, name: node.output[0] ?? '', dims });
    graph.remove(node);
  }
}

/** The dimensions that Reshape makes of `dims`; undefined where they don't fit. */
function shapeOf(rawShape: Uint8Array, dims: readonly number[]): number[] | undefined {
  const wanted = Array.from(new BigInt64Array(Uint8Array.from(rawShape).buffer), Number);
  const size = dims.reduce((product, dim) => product * dim, 1);
  const kept = wanted.map((dim, axis) => (dim === 0 ? (dims[axis] ?? 1) : dim));
  const known = kept.filter((dim) => dim !== -1).reduce((product, dim) => product * dim, 1);
  const full = kept.map((dim) => (dim === -1 ? size / known : dim));
  return full.reduce((product, dim) => product * dim, 1) === size ? full : undefined;
}

function refuseWhatSlotsLack(node: NodeProto): void {
  const refuse = (what: string) => new GraphError('unsupported_graph', `${node.name} ${what}`);
  if (node.input[INPUT.positionIds]) throw refuse('reads position_ids, which a slot does not have');
  if (node.input[INPUT.bias]) throw refuse('reads attention_bias, which a slot does not have');
  if (node.output[3]) throw refuse('gives out its attention weights, which slots cannot put together');
  if (node.input.length > MAX_INPUTS) throw refuse(`has ${node.input.length} inputs, of which ${MAX_INPUTS} are known`);
  if (!node.input[INPUT.pastKey] || !node.output[1]) throw refuse('has no past or no present: it keeps no cache');
}

/** The head runs over the rows that are named, in place of the last N or of all. */
function chooseHeadRows(graph: Graph): void {
  const head = findLmHead(graph);
  const { logitRows } = FLAT_BATCH;
  const gather = (rows: string, output: string) =>
    makeNode({
      op: 'Gather',
      name: '/flat/logit_rows',
      inputs: [rows, logitRows],
      outputs: [output],
      attributes: { axis: 1 },
    });
  const [picks, ...more] = head.picksRowsBy;
  if (more.length > 0 || (picks && !isOp(picks, 'Slice'))) {
    const names = head.picksRowsBy.map((node) => `${node.opType} (${node.name})`).join(', ');
    throw new GraphError('unsupported_graph', `the graph picks the head's rows by ${names}`);
  }
  if (picks) {
    graph.replace(picks, gather(picks.input[0] ?? '', picks.output[0] ?? ''));
  } else {
    const rows = head.node.input[0] ?? '';
    const kept = graph.uniqueName('/flat/hidden');
    graph.proto.node.splice(graph.nodes.indexOf(head.node), 0, gather(rows, kept));
    head.node.input[0] = kept;
  }
  graph.proto.input.push(makeValueInfo(logitRows, DataType.int64, ['num_logits']));
}

/** One node for each slot in place of one for the batch; with one slot the rows are the slot's as they are. */
function slotsOf(node: NodeProto, numSlots: number): NodeProto[] {
  if (numSlots === 1) return [ofSlot(node, 0)];
  const [output = ''] = node.output;
  const nodes: NodeProto[] = [];
  const attended: string[] = [];
  for (let index = 0; index < numSlots; index++) {
    const attention = ofSlot(node, index);
    attention.name = `${node.name}/slot${index}`;
    for (const input of [0, INPUT.key, INPUT.value]) {
      const rows = node.input[input];
      if (!rows) continue;
      const gathered = `${attention.name}/rows_${input}`;
      const inputs = [rows, FLAT_BATCH.slot(index).rows];
      nodes.push(makeNode({ op: 'Gather', name: gathered, inputs, outputs: [gathered], attributes: { axis: 1 } }));
      attention.input[input] = gathered;
    }
    attention.output[0] = `${attention.name}/output`;
    attended.push(attention.output[0]);
    nodes.push(attention);
  }
  const together = `${node.name}/slots`;
  nodes.push(
    makeNode({ op: 'Concat', name: together, inputs: attended, outputs: [together], attributes: { axis: 1 } }),
  );
  const inputs = [together, FLAT_BATCH.attentionRows];
  const name = `${node.name}/attention_rows`;
  nodes.push(makeNode({ op: 'Gather', name, inputs, outputs: [output], attributes: { axis: 1 } }));
  return nodes;
}

function ofSlot(node: NodeProto, index: number): NodeProto {
  const slot = FLAT_BATCH.slot(index);
  const input = [...node.input];
  for (const cache of [INPUT.pastKey, INPUT.pastValue]) input[cache] = slot.cache(input[cache] ?? '');
  input[INPUT.seqlensK] = slot.seqlensK;
  input[INPUT.totalLength] = slot.totalLength;
  const [result = '', ...presents] = node.output;
  const output = [result, ...presents.map((name) => (name ? slot.cache(name) : ''))];
  return { ...withWholeCache(node), input, output };
}

/**
 * Every slot has dimension names of its own for rows and capacity: with a shared one ONNX Runtime reuses a buffer of the
 * wrong size.
 */
function declare(graph: Graph, layers: readonly NodeProto[], numSlots: number): void {
  const pasts = new Set(layers.flatMap((node) => [node.input[INPUT.pastKey], node.input[INPUT.pastValue]]));
  const presents = new Set(layers.flatMap((node) => node.output.slice(1)));
  const { proto } = graph;
  const [pastInputs, inputs] = partition(proto.input, (value) => pasts.has(value.name));
  const [presentOutputs, outputs] = partition(proto.output, (value) => presents.has(value.name));
  proto.input = [...inputs.map((value) => withRows(value))];
  proto.output = [...outputs.map((value) => withRows(value, value.name === 'logits' ? 'num_logits' : 'rows'))];
  if (numSlots > 1) proto.input.push(makeValueInfo(FLAT_BATCH.attentionRows, DataType.int64, ['rows']));
  for (let index = 0; index < numSlots; index++) {
    const slot = FLAT_BATCH.slot(index);
    if (numSlots > 1) proto.input.push(makeValueInfo(slot.rows, DataType.int64, [`slot${index}_rows`]));
    proto.input.push(makeValueInfo(slot.seqlensK, DataType.int32, [1]));
    proto.input.push(makeValueInfo(slot.totalLength, DataType.int32, []));
    const cacheOf = (value: ValueInfoProto) => {
      const [, heads = '?', , headDim = '?'] = dimsOf(value) ?? [];
      const elemType = value.type.tensorType?.elemType ?? DataType.float32;
      return makeValueInfo(slot.cache(value.name), elemType, [1, heads, `slot${index}_capacity`, headDim]);
    };
    proto.input.push(...pastInputs.map(cacheOf));
    proto.output.push(...presentOutputs.map(cacheOf));
  }
}

/** [batch, sequence, …] becomes [1, rows, …]; what has no rows stays. */
function withRows(value: ValueInfoProto, rows = 'rows'): ValueInfoProto {
  const dims = dimsOf(value);
  const elemType = value.type.tensorType?.elemType;
  if (value.name === FLAT_BATCH.logitRows || !dims || dims.length < 2 || elemType === undefined) return value;
  return makeValueInfo(value.name, elemType, [1, rows, ...dims.slice(2)]);
}

function dropUnreadInputs(graph: Graph): void {
  const mask = 'attention_mask';
  if (graph.consumers(mask).length > 0) {
    const reader = graph.consumers(mask)[0]?.name;
    throw new GraphError('unsupported_graph', `${reader} reads ${mask} for something other than attention`);
  }
  graph.proto.input = graph.proto.input.filter(
    (value) => graph.initializer(value.name) || graph.consumers(value.name).length > 0,
  );
}

function partition<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter((one) => !isFirst(one))];
}
