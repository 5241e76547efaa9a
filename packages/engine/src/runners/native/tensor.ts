/** OrtValues over memory that somebody else keeps alive. Knows element types and shapes, not what they mean. */
import koffi from 'koffi';
import type { OrtApi, Pointer } from './ort-api.ts';

/** ONNXTensorElementDataType. */
export const elementTypes = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 } as const;
export type ElementType = keyof typeof elementTypes;
export const elementBytes: Readonly<Record<ElementType, number>> = {
  float32: 4,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
};

export function elementTypeName(code: number): string {
  return Object.entries(elementTypes).find(([, value]) => value === code)?.[0] ?? `element type ${code}`;
}

/** The address of memory that has a store of its own: it neither moves nor is freed while `memory` is referenced. */
export function addressOf(memory: ArrayBufferView): Pointer {
  return koffi.address(memory) as Pointer;
}

/**
 * A tensor over `memory` from `byteOffset` on, without a copy. ONNX Runtime keeps the bare address: whoever uses the
 * value must keep `memory` referenced until the last run with it is over, and release it.
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

/** A tensor over host memory that changes from run to run, and is made anew only when memory or shape do. */
export class HostTensor {
  readonly #api: OrtApi;
  readonly #hostInfo: Pointer;
  readonly #type: ElementType;
  #memory: ArrayBufferView | undefined;
  #shape: readonly number[] = [];
  #value: Pointer = 0n;

  constructor(api: OrtApi, hostInfo: Pointer, type: ElementType) {
    this.#api = api;
    this.#hostInfo = hostInfo;
    this.#type = type;
  }

  /** The tensor over the beginning of `memory`, valid until the next call. Not to be called during a run that uses it. */
  over(memory: ArrayBufferView, shape: readonly number[]): Pointer {
    if (memory === this.#memory && shape.every((size, axis) => size === this.#shape[axis])) return this.#value;
    const value = hostTensor(this.#api, this.#hostInfo, memory, this.#type, shape);
    this.release();
    this.#memory = memory;
    this.#shape = shape;
    this.#value = value;
    return value;
  }

  release(): void {
    if (this.#value !== 0n) this.#api.ReleaseValue(this.#value);
    this.#value = 0n;
    this.#memory = undefined;
  }
}
