/** OrtValues over memory that somebody else keeps alive. Knows element types and shapes, not what they mean. */
import koffi from 'koffi';
import type { OrtApi, Pointer } from './ort-api.ts';

/** ONNXTensorElementDataType. */
export const elementTypes = { float32: 1, int64: 7, bool: 9, float16: 10 } as const;
export type ElementType = keyof typeof elementTypes;
export const elementBytes: Readonly<Record<ElementType, number>> = { float32: 4, int64: 8, bool: 1, float16: 2 };

export function elementTypeName(code: number): string {
  return Object.entries(elementTypes).find(([, value]) => value === code)?.[0] ?? `element type ${code}`;
}

/** The address of memory that has a store of its own: it neither moves nor is freed while `memory` is referenced. */
export function addressOf(memory: ArrayBufferView): Pointer {
  return koffi.address(memory) as Pointer;
}

/**
 * A tensor over `memory` from `byteOffset` on, without a copy. ONNX Runtime keeps the bare address: whoever binds the
 * value must keep `memory` referenced until the last run with it is over.
 */
export function hostTensor(
  api: OrtApi,
  hostInfo: Pointer,
  memory: ArrayBufferView,
  type: ElementType,
  shape: readonly number[],
  byteOffset = 0,
): Pointer {
  const bytes = shape.reduce((product, size) => product * size, elementBytes[type]);
  if (byteOffset + bytes > memory.byteLength) {
    throw new RangeError(
      `a ${type} tensor of [${shape.join(', ')}] at ${byteOffset} exceeds ${memory.byteLength} bytes`,
    );
  }
  const address = addressOf(memory) + BigInt(byteOffset);
  const dims = BigInt64Array.from(shape, BigInt);
  return api.CreateTensorWithDataAsOrtValue(hostInfo, address, bytes, dims, dims.length, elementTypes[type]);
}
