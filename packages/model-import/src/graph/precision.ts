/** How weights and activations are kept in an imported graph. */
import { DataType } from '@forerunner/onnx-graph';

/**
 * int8 and int4: products in blocks of 32 (embedding and head stay at 8 bits), float32 activations, for CPUs. float16:
 * everything, for GPUs. float32: everything, as a yardstick.
 */
export const PRECISIONS = ['int8', 'int4', 'float16', 'float32'] as const;
export type Precision = (typeof PRECISIONS)[number];

/** TensorProto.DataType of activations, caches and logits. */
export function activationType(precision: Precision): number {
  return precision === 'float16' ? DataType.float16 : DataType.float32;
}

/** Bits of a product's weights; undefined where they are floats. */
export function weightBits(precision: Precision, part: 'layer' | 'embedding'): 4 | 8 | undefined {
  if (precision !== 'int8' && precision !== 'int4') return undefined;
  return precision === 'int4' && part === 'layer' ? 4 : 8;
}
