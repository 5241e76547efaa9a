/**
 * Makes the present.* outputs hold only the rows of K and V that a pass added. onnxruntime-node copies every output on
 * every step, so whole caches as outputs make a step cost more the longer the text is; with this rewrite the caller
 * copies the new rows into its own cache. Attention itself is not touched: same kernel, same tokens.
 */
import { GraphError } from '../errors.ts';
import { type Graph, rewriteModel } from '../graph.ts';
import { dimsOf, int64Tensor, isOp, MICROSOFT, makeValueInfo } from '../nodes.ts';
import { DataType, type NodeProto } from '../onnx.ts';

/** Inputs and outputs of com.microsoft.GroupQueryAttention by position. */
const QUERY = 0;
const TOTAL_SEQUENCE_LENGTH = 6;
const PRESENT_KEY = 1;
const PRESENT_VALUE = 2;

/**
 * present.* becomes [batch, kv_heads, sequence_length, head_dim]: the rows at total − sequence_length … total − 1,
 * where total is the attention mask's length. All rows of a batch must therefore have the same length; a past may be
 * longer than the valid prefix (capacity), as before.
 *
 * Errors: GraphError unsupported_graph (no GroupQueryAttention writes an output) | already_done.
 */
export function newRowsOnly(modelBytes: Uint8Array): Uint8Array {
  return rewriteModel(modelBytes, (graph) => {
    const layers = graph.nodes.filter((node) => isOp(node, 'GroupQueryAttention', MICROSOFT));
    if (layers.length === 0) {
      throw new GraphError('unsupported_graph', 'the graph has no GroupQueryAttention nodes, whose caches are cut');
    }
    if (layers.every((layer) => !graph.output(layer.output[PRESENT_KEY] ?? ''))) {
      throw new GraphError('already_done', 'no GroupQueryAttention writes a graph output: already rewritten?');
    }
    const bounds = new BoundsOfNewRows(graph);
    for (const layer of layers) {
      for (const slot of [PRESENT_KEY, PRESENT_VALUE]) cutToNewRows(graph, layer, slot, bounds);
    }
  });
}

function cutToNewRows(graph: Graph, layer: NodeProto, slot: number, bounds: BoundsOfNewRows): void {
  const outputName = layer.output[slot];
  const declared = outputName && graph.output(outputName);
  if (!declared || !outputName) {
    throw new GraphError('unsupported_graph', `${layer.name} has no present output, so nothing can be cut`);
  }
  const whole = graph.uniqueName(`${outputName}.whole`);
  layer.output[slot] = whole;
  const { start, end, axis } = bounds.of(layer);
  graph.append({
    op: 'Slice',
    name: graph.uniqueName(`/new_rows/${outputName}`),
    inputs: [whole, start, end, axis],
    outputs: [outputName],
  });
  const [batch = 'batch_size', kvHeads = '?', , headDim = '?'] = dimsOf(declared) ?? [];
  const elemType = declared.type.tensorType?.elemType ?? DataType.float32;
  declared.type = makeValueInfo(outputName, elemType, [batch, kvHeads, 'sequence_length', headDim]).type;
}

/** The Slice's start and end as values of the graph; layers that share a total length share them. */
class BoundsOfNewRows {
  readonly #graph: Graph;
  readonly #byTotal = new Map<string, { start: string; end: string; axis: string }>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  of(layer: NodeProto): { start: string; end: string; axis: string } {
    const total = layer.input[TOTAL_SEQUENCE_LENGTH];
    const query = layer.input[QUERY];
    if (!total || !query) throw new GraphError('unsupported_graph', `${layer.name} has no total_sequence_length`);
    const known = this.#byTotal.get(total);
    if (known) return known;

    const graph = this.#graph;
    const one = graph.addInitializer(int64Tensor('/new_rows/one', [1], [1n]));
    const axis = graph.addInitializer(int64Tensor('/new_rows/axis', [1], [2n]));
    const add = (op: string, inputs: string[], attributes = {}) =>
      graph.insert({ op, name: `/new_rows/${op.toLowerCase()}`, inputs, attributes }, layer);
    const numNew = add('Gather', [add('Shape', [query]), one]); // query is [batch, sequence_length, …]
    const total64 = add('Cast', [total], { to: DataType.int64 });
    const end = add('Reshape', [total64, one]);
    const bounds = { start: add('Sub', [end, numNew]), end, axis };
    this.#byTotal.set(total, bounds);
    return bounds;
  }
}
