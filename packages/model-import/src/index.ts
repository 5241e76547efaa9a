/** Checkpoints of transformers and llama.cpp → model folders that the engine serves. Runs no model. */
export type { Checkpoint } from './checkpoint/checkpoint.ts';
export { openCheckpoint } from './checkpoint/open.ts';
export { ImportError, type ImportErrorCode } from './errors.ts';
export { PRECISIONS, type Precision } from './graph/precision.ts';
export { type ImportedModel, type ImportOptions, importCheckpoint } from './import-model.ts';
