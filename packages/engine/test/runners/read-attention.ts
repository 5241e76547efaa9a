/** Reads a com.microsoft.GroupQueryAttention node into names and numbers, and refuses what standard Attention lacks. */
import { GraphError } from '../../../onnx-graph/src/errors.ts';
import type { Graph } from '../../../onnx-graph/src/graph.ts';
import { inputFrom, numberAttribute } from '../../../onnx-graph/src/nodes.ts';
import type { NodeProto } from '../../../onnx-graph/src/onnx.ts';
import { dimsOfTensor } from '../../../onnx-graph/src/tensors.ts';

export interface GroupQueryAttention {
  readonly node: NodeProto;
  readonly numHeads: number;
  readonly numKvHeads: number;
  /** Undefined: 1/√head_dim. */
  readonly scale: number | undefined;
  /** With `key` and `value` undefined it holds all three, packed. */
  readonly query: string;
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly pastKey: string;
  readonly pastValue: string;
  readonly output: string;
  readonly presentKey: string;
  readonly presentValue: string;
  /** Undefined: query and key come rotated. */
  readonly rotary: Rotary | undefined;
}

interface Rotary {
  readonly cosCache: string; // [positions, rotary_dim / 2]
  readonly sinCache: string;
  readonly interleaved: number;
  /** Undefined where the graph does not tell the cache's width: the whole head. */
  readonly rotaryDim: number | undefined;
}

/** Attributes that are read below, or say nothing that matters when they have this value. */
const HARMLESS: Readonly<Record<string, number>> = {
  local_window_size: -1,
  softcap: 0,
  smooth_softmax: 0,
  qk_output: 0,
};
const READ = new Set(['num_heads', 'kv_num_heads', 'scale', 'do_rotary', 'rotary_interleaved']);
/** Inputs from 9 on; the nine before are read below, or follow from the attention mask. */
const EXTRA_INPUTS = [
  'position_ids',
  'attention_bias',
  'head_sink',
  'k_scale',
  'v_scale',
  'q_norm_weight',
  'k_norm_weight',
];
const FIRST_EXTRA_INPUT = 9;

/** Errors: GraphError unsupported_graph, naming the node and the feature. */
export function readGroupQueryAttention(graph: Graph, node: NodeProto): GroupQueryAttention {
  const refuse = (what: string) => new GraphError('unsupported_graph', `${node.name} ${what}`);
  const extra = inputFrom(node, FIRST_EXTRA_INPUT);
  if (extra !== undefined) {
    throw refuse(
      `reads ${EXTRA_INPUTS[extra - FIRST_EXTRA_INPUT] ?? `input ${extra}`}, which a ragged graph cannot do`,
    );
  }
  for (const { name } of node.attribute) {
    const value = numberAttribute(node, name);
    if (!READ.has(name) && value !== HARMLESS[name]) {
      throw refuse(`has ${name} = ${value}, which a ragged graph cannot do; serve this model without ragged batches`);
    }
  }
  const required = (value: string | undefined, what: string) => {
    if (!value) throw refuse(`has no ${what}`);
    return value;
  };
  const [query, key, value, pastKey, pastValue, , , cosCache, sinCache] = node.input;
  const [output, presentKey, presentValue] = node.output;
  if (node.output[3]) throw refuse('gives out its attention weights, which a ragged graph cannot do');
  if (!key !== !value)
    throw refuse(`has a ${key ? 'key' : 'value'} alone: both are given, or both are packed with the query`);
  const doRotary = numberAttribute(node, 'do_rotary') === 1;
  return {
    node,
    numHeads: Number(required(String(numberAttribute(node, 'num_heads') ?? ''), 'num_heads')),
    numKvHeads: Number(required(String(numberAttribute(node, 'kv_num_heads') ?? ''), 'kv_num_heads')),
    scale: numberAttribute(node, 'scale') || undefined,
    query: required(query, 'query'),
    key: key || undefined,
    value: value || undefined,
    pastKey: required(pastKey, 'past key'),
    pastValue: required(pastValue, 'past value'),
    output: required(output, 'output'),
    presentKey: required(presentKey, 'present key'),
    presentValue: required(presentValue, 'present value'),
    rotary: doRotary
      ? {
          cosCache: required(cosCache, 'cos_cache'),
          sinCache: required(sinCache, 'sin_cache'),
          interleaved: numberAttribute(node, 'rotary_interleaved') ?? 0,
          rotaryDim: rotaryDimOf(graph, cosCache ?? ''),
        }
      : undefined,
  };
}

function rotaryDimOf(graph: Graph, cosCache: string): number | undefined {
  const tensor = graph.initializer(cosCache);
  return tensor && 2 * (dimsOfTensor(tensor)[1] ?? 0);
}
