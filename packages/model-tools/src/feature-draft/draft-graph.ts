/**
 * Two graphs made from a target's: the probe, which also shows what goes into the last layer, and the feature draft,
 * which is that layer, norm and head behind a projection of [embedding of the next token; the target's hidden state].
 */
import {
  DataType,
  dimsOf,
  dimsOfTensor,
  findLmHead,
  float32Tensor,
  type Graph,
  GraphError,
  isOp,
  makeInline,
  makeNode,
  makeValueInfo,
  numberAttribute,
  rewriteModel,
  tensorFloats,
} from '@forerunner/onnx-graph';
import { findLastLayer } from './last-layer.ts';

export const PROBE_EMBEDDING = 'probe.embedding';
export const PROBE_LAYER_INPUT = 'probe.layer_input';

/**
 * The target with two more outputs [batch, sequence_length, width]: PROBE_EMBEDDING and PROBE_LAYER_INPUT.
 * Errors: GraphError unsupported_graph.
 */
export function probeGraph(targetBytes: Uint8Array): Uint8Array {
  return rewriteModel(targetBytes, (graph) => {
    widthOfHiddenStates(graph);
    const { embedding, input } = findLastLayer(graph);
    for (const [value, output] of [
      [embedding, PROBE_EMBEDDING],
      [input, PROBE_LAYER_INPUT],
    ] as const) {
      graph.append({ op: 'Identity', name: output, inputs: [value], outputs: [output] });
      graph.proto.output.push(makeValueInfo(output, DataType.float32, ['batch_size', 'sequence_length', '?']));
    }
  });
}

export interface DraftGraphOptions {
  /** [2 · width, width], row-major: [embedding; feature] → input of the layer. */
  readonly projection: Float32Array;
  /** Token ids that the head keeps, ascending; absent: all of them. */
  readonly keptTokenIds?: Int32Array;
  /** Folder of the target's external data; what the draft needs of it is put into the graph. */
  readonly targetFolder: string;
}

/** Errors: GraphError unsupported_graph (float32 only, and a cut head needs a plain weight matrix). */
export function featureDraftGraph(targetBytes: Uint8Array, options: DraftGraphOptions): Uint8Array {
  return rewriteModel(targetBytes, (graph) => {
    const width = widthOfHiddenStates(graph);
    projectIntoLastLayer(graph, width, options.projection);
    if (options.keptTokenIds) cutHead(graph, options.keptTokenIds, options.targetFolder);
    keepOneLayersCache(graph);
    for (const tensor of graph.proto.initializer) makeInline(tensor, options.targetFolder);
  });
}

function widthOfHiddenStates(graph: Graph): number {
  const { width, elemType } = findLmHead(graph);
  if (elemType === DataType.float32 && graph.output('hidden_states')) return width;
  const message = 'a feature draft is made of a float32 target with the output hidden_states (add-hidden-states)';
  throw new GraphError('unsupported_graph', message);
}

function projectIntoLastLayer(graph: Graph, width: number, projection: Float32Array): void {
  const { embedding, input, entryNorm, entryNormScale } = findLastLayer(graph);
  const [batch = 'batch_size', seq = 'sequence_length'] = dimsOf(graph.input('input_ids')) ?? [];
  graph.proto.input.push(makeValueInfo('features', DataType.float32, [batch, seq, width]));
  const weight = graph.addInitializer(float32Tensor('draft.projection', [2 * width, width], projection));
  const joined = graph.insert(
    { op: 'Concat', name: '/draft/joined', inputs: [embedding, 'features'], attributes: { axis: -1 } },
    entryNorm,
  );
  const projected = graph.insert({ op: 'MatMul', name: '/draft/projected', inputs: [joined, weight] }, entryNorm);
  const norm = makeNode({
    op: 'SimplifiedLayerNormalization',
    name: graph.uniqueName('/draft/entry_norm'),
    inputs: [projected, entryNormScale],
    outputs: [entryNorm.output[0] ?? ''],
    attributes: { axis: -1, stash_type: 1, epsilon: numberAttribute(entryNorm, 'epsilon') ?? 1e-5 },
  });
  graph.proto.node.splice(graph.nodes.indexOf(entryNorm), 1, norm);
  for (const node of graph.nodes) {
    if (node.input.includes(input)) node.input = node.input.map((value) => (value === input ? projected : value));
  }
}

/** The head's columns for the kept tokens only: logits [batch, num_logits, kept]. */
function cutHead(graph: Graph, keptTokenIds: Int32Array, folder: string): void {
  const { node } = findLmHead(graph);
  const weight = isOp(node, 'MatMul') ? graph.initializer(node.input[1] ?? '') : undefined;
  if (!weight) throw new GraphError('unsupported_graph', 'only a head with a plain weight matrix can be cut');
  const [width = 0, vocabSize = 0] = dimsOfTensor(weight);
  const full = tensorFloats(weight, folder);
  const cut = new Float32Array(width * keptTokenIds.length);
  for (let row = 0; row < width; row++) {
    for (const [column, tokenId] of keptTokenIds.entries()) {
      cut[row * keptTokenIds.length + column] = full[row * vocabSize + tokenId]!;
    }
  }
  node.input[1] = graph.addInitializer(float32Tensor('draft.head', [width, keptTokenIds.length], cut));
  for (const output of graph.proto.output) {
    const [batch = '?', rows = '?'] = dimsOf(output) ?? [];
    if (output.name !== 'logits') continue;
    output.type = makeValueInfo('logits', DataType.float32, [batch, rows, keptTokenIds.length]).type;
  }
}

/** Drops the caches of the layers that are gone and calls the one that is left layer 0. */
function keepOneLayersCache(graph: Graph): void {
  const { attention } = findLastLayer(graph);
  const names = new Map<string, string>();
  for (const [kind, pastSlot, presentSlot] of [
    ['key', 3, 1],
    ['value', 4, 2],
  ] as const) {
    names.set(attention.input[pastSlot] ?? '', `past_key_values.0.${kind}`);
    names.set(attention.output[presentSlot] ?? '', `present.0.${kind}`);
  }
  const isCache = (name: string) => /^(past_key_values|present)\./.test(name);
  for (const list of ['input', 'output'] as const) {
    graph.proto[list] = graph.proto[list].filter((value) => !isCache(value.name) || names.has(value.name));
  }
  graph.prune(); // before renaming: the layers that go still hold the names
  for (const value of [...graph.proto.input, ...graph.proto.output]) value.name = names.get(value.name) ?? value.name;
  attention.input = attention.input.map((value) => names.get(value) ?? value);
  attention.output = attention.output.map((value) => names.get(value) ?? value);
}
