/** An input whose size changes from pass to pass: memory that grows and stays, and the tensor over its beginning. */
import type { OrtApi, Pointer } from './ort-api.ts';
import { type ElementType, HostTensor } from './tensor.ts';

interface Arrays {
  int64: BigInt64Array;
  int32: Int32Array;
  float32: Float32Array;
  float16: Float16Array;
}

const makers: { readonly [T in keyof Arrays]: (length: number) => Arrays[T] } = {
  int64: (length) => new BigInt64Array(length),
  int32: (length) => new Int32Array(length),
  float32: (length) => new Float32Array(length),
  float16: (length) => new Float16Array(length),
};

export class InputTensor<T extends keyof Arrays & ElementType> {
  readonly #tensor: HostTensor;
  readonly #type: T;
  #memory: Arrays[T];

  constructor(api: OrtApi, hostInfo: Pointer, type: T) {
    this.#tensor = new HostTensor(api, hostInfo, type);
    this.#type = type;
    this.#memory = makers[type](16);
  }

  /** Room for at least `length` values, with anything in them. Not during a run that reads them. */
  memory(length: number): Arrays[T] {
    if (this.#memory.length < length) this.#memory = makers[this.#type](2 ** Math.ceil(Math.log2(length)));
    return this.#memory;
  }

  /** The tensor of this shape over what was last written, valid until the next call. */
  value(shape: readonly number[]): Pointer {
    return this.#tensor.over(this.#memory, shape);
  }

  release(): void {
    this.#tensor.release();
  }
}
