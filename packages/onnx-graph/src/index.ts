/** ONNX graphs as files and in memory: reading, editing, and the rewrites that serving needs. Runs nothing. */
export { GraphError, type GraphErrorCode } from './errors.ts';
export { Graph, rewriteModel } from './graph.ts';
export { findLmHead, type LmHead } from './head.ts';
export {
  dimsOf,
  float32Tensor,
  inputFrom,
  int64Tensor,
  isOp,
  MICROSOFT,
  makeNode,
  makeValueInfo,
  type NodeSpec,
  numberAttribute,
} from './nodes.ts';
export {
  DataType,
  decodeModel,
  encodeModel,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  toNumber,
  type ValueInfoProto,
} from './onnx.ts';
export { FLAT_BATCH, flatBatch } from './rewrites/flat-batch.ts';
export { addHiddenStatesOutput } from './rewrites/hidden-states-output.ts';
export { newRowsOnly } from './rewrites/new-rows-only.ts';
export { addNumLogitsToKeep } from './rewrites/num-logits-to-keep.ts';
export { ShardWriter } from './shard-writer.ts';
export {
  dimsOfTensor,
  type ExternalTensor,
  externalTensors,
  isExternal,
  makeInline,
  tensorBytes,
  tensorFloats,
} from './tensors.ts';
export { windowedCacheLayers } from './windowed-caches.ts';
