export { ModelToolError, type ModelToolErrorCode } from './errors.ts';
export { type FeatureDraftOptions, type TrainedDraft, trainTinyFeatureDraft } from './feature-draft/train.ts';
export { describeModelFolder } from './inspect.ts';
