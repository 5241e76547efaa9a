/**
 * GroupQueryAttention with `sliding_window_cache`: exporters' way to keep no more of a layer's cache than its window. What a
 * token attends to is `local_window_size`'s alone, so a cache that keeps everything gives the same rows.
 */
import { isOp, MICROSOFT, numberAttribute } from './nodes.ts';
import type { GraphProto, NodeProto } from './onnx.ts';

const ATTRIBUTE = 'sliding_window_cache';

/** Names of the layers that have it. */
export function windowedCacheLayers({ node }: Pick<GraphProto, 'node'>): string[] {
  const layers = node.filter((one) => isOp(one, 'GroupQueryAttention', MICROSOFT));
  return layers.filter((one) => (numberAttribute(one, ATTRIBUTE) ?? 0) !== 0).map(({ name }) => name);
}

/** The node with a cache that keeps everything. */
export function withWholeCache(node: NodeProto): NodeProto {
  return { ...node, attribute: node.attribute.filter(({ name }) => name !== ATTRIBUTE) };
}
