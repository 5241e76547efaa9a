/**
 * GroupQueryAttention refuses several new tokens per sequence when more than one sequence has a past. This rewrite
 * spells it out in standard operators that do not: rotary embedding, TensorScatter into the cache at a position per
 * sequence, and Attention under an explicit mask. Then one pass scores drafts of many sequences of different lengths,
 * and weights are read once for all of them.
 *
 * New input: `write_indices` [batch] int64, each sequence's number of cached tokens; row t of sequence b is token
 * write_indices[b] + t, is written there, and sees itself and everything before. attention_mask goes. past_key_values.*
 * and present.* are [batch, kv_heads, capacity, head_dim] and may share memory; write_indices[b] + sequence_length must
 * not exceed capacity. Shorter sequences are padded on the right, and what their pads wrote is simply overwritten later.
 */
import { GraphError } from '../../../onnx-graph/src/errors.ts';
import { type Graph, rewriteModel } from '../../../onnx-graph/src/graph.ts';
import { dimsOf, int64Tensor, isOp, MICROSOFT, makeValueInfo } from '../../../onnx-graph/src/nodes.ts';
import { DataType } from '../../../onnx-graph/src/onnx.ts';
import { raiseOpset } from './raise-opset.ts';
import { type GroupQueryAttention, readGroupQueryAttention } from './read-attention.ts';

const WRITE_INDICES = 'write_indices';
/** The first operator set with TensorScatter and with Attention over a cache in place. */
const OPSET = 24;

/** Errors: GraphError unsupported_graph, naming the node and what it uses that Attention cannot do | already_done. */
export function scatterAttention(modelBytes: Uint8Array): Uint8Array {
  return rewriteModel(modelBytes, (graph) => {
    if (graph.input(WRITE_INDICES)) throw new GraphError('already_done', `the graph already has ${WRITE_INDICES}`);
    const layers = graph.nodes
      .filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT))
      .map((node) => readGroupQueryAttention(graph, node));
    const [first] = layers;
    if (!first) throw new GraphError('unsupported_graph', 'the graph has no GroupQueryAttention nodes to rewrite');
    raiseOpset(graph, OPSET);

    const shared = sharedValues(graph, first);
    for (const layer of layers) replaceLayer(graph, layer, shared);
    graph.prune();
    if (graph.consumers('attention_mask').length > 0) {
      throw new GraphError('unsupported_graph', 'attention_mask is read by more than GroupQueryAttention');
    }
    graph.proto.input = graph.proto.input.filter((input) => input.name !== 'attention_mask');
    declareCaches(graph);
  });
}

interface SharedValues {
  /** [batch, sequence_length] int64: positions in the text. */
  readonly positions: string;
  /** [batch, 1, sequence_length, capacity] bool: true where a row may look. */
  readonly mask: string;
  /** Shape constants by name. */
  constant(name: string, values: readonly number[]): string;
}

function sharedValues(graph: Graph, first: GroupQueryAttention): SharedValues {
  const constants = new Map<string, string>();
  const constant = (name: string, values: readonly number[]) => {
    const known = constants.get(name) ?? graph.addInitializer(int64Tensor(name, [values.length], values.map(BigInt)));
    constants.set(name, known);
    return known;
  };
  const scalar = (name: string, value: bigint) => graph.addInitializer(int64Tensor(name, [], [value]));
  const [batch = 'batch_size'] = dimsOf(graph.input('input_ids')) ?? [];
  graph.proto.input.push(makeValueInfo(WRITE_INDICES, DataType.int64, [batch]));

  const anchor = graph.nodes[0]; // everything below reads inputs only
  const add = (op: string, name: string, inputs: string[], attributes = {}) =>
    graph.insert({ op, name: `/ragged/${name}`, inputs, attributes }, anchor);
  const zero = scalar('/ragged/zero', 0n);
  const one = scalar('/ragged/one', 1n);
  const range = (name: string, value: string, axis: string) => {
    const size = add('Gather', `num_${name}`, [add('Shape', `shape_of_${name}`, [value]), axis]);
    return add('Range', name, [zero, size, one]);
  };
  const rows = range('rows', 'input_ids', one);
  const columns = range('columns', first.pastKey, scalar('/ragged/cache_axis', 2n));
  const starts = add('Unsqueeze', 'starts', [WRITE_INDICES, constant('/ragged/axes_1', [1])]);
  const positions = add('Add', 'positions', [starts, rows]);
  const positionColumn = add('Unsqueeze', 'position_column', [positions, constant('/ragged/axes_1_3', [1, 3])]);
  const mask = add('LessOrEqual', 'mask', [columns, positionColumn]);
  return { positions, mask, constant };
}

function replaceLayer(graph: Graph, layer: GroupQueryAttention, shared: SharedValues): void {
  const { node, numHeads, numKvHeads } = layer;
  const add = (op: string, name: string, inputs: string[], attributes = {}) =>
    graph.insert({ op, name: `${node.name || 'attention'}/${name}`, inputs, attributes }, node);
  /** [batch, seq, heads · head_dim] → [batch, heads, seq, head_dim] */
  const toHeads = (name: string, value: string, heads: number) => {
    const shape = shared.constant(`/ragged/heads_${heads}`, [0, 0, heads, -1]);
    return add('Transpose', `${name}/transposed`, [add('Reshape', `${name}/heads`, [value, shape])], {
      perm: [0, 2, 1, 3],
    });
  };
  const rotate = (name: string, value: string) => {
    if (!layer.rotary) return value;
    const { cosCache, sinCache, interleaved, rotaryDim } = layer.rotary;
    return add('RotaryEmbedding', `${name}/rotated`, [value, cosCache, sinCache, shared.positions], {
      interleaved,
      ...(rotaryDim !== undefined && { rotary_embedding_dim: rotaryDim }),
    });
  };

  let [query, key, value]: string[] = [];
  if (layer.key === undefined || layer.value === undefined) {
    const packed = toHeads('qkv', layer.query, numHeads + 2 * numKvHeads);
    [query, key, value] = ['q', 'k', 'v'].map((part) => graph.uniqueName(`${node.name}/${part}`));
    const sizes = [numHeads, numKvHeads, numKvHeads];
    graph.insertNode(
      {
        op: 'Split',
        name: graph.uniqueName(`${node.name}/Split`),
        inputs: [packed, shared.constant(`/ragged/split_${sizes.join('_')}`, sizes)],
        outputs: [query!, key!, value!],
        attributes: { axis: 1 },
      },
      node,
    );
  } else {
    query = toHeads('q', layer.query, numHeads);
    key = toHeads('k', layer.key, numKvHeads);
    value = toHeads('v', layer.value, numKvHeads);
  }

  const scatter = (name: string, past: string, update: string, present: string) =>
    graph.insertNode(
      {
        op: 'TensorScatter',
        name: graph.uniqueName(`${node.name}/${name}`),
        inputs: [past, update, WRITE_INDICES],
        outputs: [present],
        attributes: { axis: 2, mode: 'linear' },
      },
      node,
    );
  const rotatedQuery = rotate('q', query!);
  scatter('k/scattered', layer.pastKey, rotate('k', key!), layer.presentKey);
  scatter('v/scattered', layer.pastValue, value!, layer.presentValue);
  const attended = add('Attention', 'attended', [rotatedQuery, layer.presentKey, layer.presentValue, shared.mask], {
    ...(layer.scale && { scale: { float: layer.scale } }),
  });
  const bySequence = add('Transpose', 'by_sequence', [attended], { perm: [0, 2, 1, 3] });
  graph.insertNode(
    {
      op: 'Reshape',
      name: graph.uniqueName(`${node.name}/joined`),
      inputs: [bySequence, shared.constant('/ragged/joined', [0, 0, -1])],
      outputs: [layer.output],
    },
    node,
  );
  graph.remove(node);
}

function declareCaches(graph: Graph): void {
  for (const value of [...graph.proto.input, ...graph.proto.output]) {
    if (!/^(past_key_values|present)\./.test(value.name)) continue;
    const [batch = 'batch_size', kvHeads = '?', , headDim = '?'] = dimsOf(value) ?? [];
    const elemType = value.type.tensorType?.elemType ?? DataType.float32;
    value.type = makeValueInfo(value.name, elemType, [batch, kvHeads, 'capacity', headDim]).type;
  }
}
