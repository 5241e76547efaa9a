/** config.json in, what the model computes out: for importing a checkpoint and for checking a graph against it. */
export type { ModelConfig } from './config-fields.ts';
export { describeModel, familyOf } from './describe.ts';
export {
  type Activation,
  FAMILIES,
  type Family,
  type LayerDescription,
  type ModelDescription,
  type RopeDescription,
} from './description.ts';
export { ArchitectureError, type ArchitectureErrorCode } from './errors.ts';
export { cacheBytesPerToken, matrixSizes, type WeightPrecision, weightBytes } from './size.ts';
export { textConfigOf } from './text-config.ts';
