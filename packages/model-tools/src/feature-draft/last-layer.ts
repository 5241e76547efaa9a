/**
 * Finds, by structure, the parts of a decoder that a feature draft is made of: where token ids become embeddings, where
 * the residual stream enters the last decoder layer, and that layer's attention. Works on graphs with
 * GroupQueryAttention and (Skip)SimplifiedLayerNormalization, as onnxruntime-genai's builder writes them.
 */

import { type Graph, GraphError, inputFrom, isOp, MICROSOFT, type NodeProto } from '@forerunner/onnx-graph';

export interface LastLayer {
  /** Value [batch, sequence_length, width]: embeddings of input_ids. */
  readonly embedding: string;
  /** Value [batch, sequence_length, width]: the residual stream that the layer reads. */
  readonly input: string;
  /** The norm in front of the attention, which may also be what computes `input`. */
  readonly entryNorm: NodeProto;
  readonly entryNormScale: string;
  readonly attention: NodeProto;
}

/** SkipSimplifiedLayerNormalization(input, skip, scale) → (norm, , , input + skip). */
const SKIP_NORM_SCALE = 2;
const SKIP_NORM_SUM = 3;

/** Errors: GraphError unsupported_graph, naming the part that is not there. */
export function findLastLayer(graph: Graph): LastLayer {
  const attention = graph.nodes.findLast((node) => isOp(node, 'GroupQueryAttention', MICROSOFT));
  if (!attention) throw missing('a GroupQueryAttention node');
  const lookup = graph.nodes.find(
    (node) =>
      (isOp(node, 'Gather') || isOp(node, 'GatherBlockQuantized', MICROSOFT)) && node.input.includes('input_ids'),
  );
  const embedding = lookup?.output[0];
  if (!embedding) throw missing('a lookup of input_ids in an embedding');

  let entryNorm = graph.producer(attention.input[0] ?? '');
  while (entryNorm && !isNorm(entryNorm)) entryNorm = graph.producer(entryNorm.input[0] ?? '');
  if (!entryNorm) throw missing('a norm in front of the last attention');
  const skips = isOp(entryNorm, 'SkipSimplifiedLayerNormalization', MICROSOFT);
  const input = skips ? entryNorm.output[SKIP_NORM_SUM] : entryNorm.input[0];
  const scaleSlot = skips ? SKIP_NORM_SCALE : 1;
  const entryNormScale = entryNorm.input[scaleSlot];
  if (!input || !entryNormScale) throw missing('the residual stream at the entry of the last layer');
  if (inputFrom(entryNorm, scaleSlot + 1) !== undefined)
    throw missing('a norm without a bias in front of the last attention');
  return { embedding, input, entryNorm, entryNormScale, attention };
}

function isNorm(node: NodeProto): boolean {
  return isOp(node, 'SimplifiedLayerNormalization') || isOp(node, 'SkipSimplifiedLayerNormalization', MICROSOFT);
}

function missing(part: string): GraphError {
  return new GraphError('unsupported_graph', `no feature draft can be made of this graph: it lacks ${part}`);
}
