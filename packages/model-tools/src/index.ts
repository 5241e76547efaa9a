export { ModelToolError, type ModelToolErrorCode } from './errors.ts';
export { type FeatureDraftOptions, type TrainedDraft, trainTinyFeatureDraft } from './feature-draft/train.ts';
export { decodeModel } from './onnx.ts';
export { FLAT_BATCH, flatBatch } from './rewrites/flat-batch.ts';
export { addHiddenStatesOutput } from './rewrites/hidden-states-output.ts';
export { newRowsOnly } from './rewrites/new-rows-only.ts';
export { addNumLogitsToKeep } from './rewrites/num-logits-to-keep.ts';
export { raggedAttention } from './rewrites/ragged-attention.ts';
export { type ExternalTensor, externalTensors } from './tensors.ts';
