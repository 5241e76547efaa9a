/**
 * Rows that a graph gives out: logits or hidden states, in float32 whatever the graph's type. Rows are large and live for a
 * moment, so their buffers go round instead of being made anew for every pass.
 */
import type { FloatType } from '../../signature.ts';
import { widenFloat16 } from '../float16.ts';
import type { OrtApi, Pointer } from './ort-api.ts';
import { HostTensor } from './tensor.ts';

const MAX_IDLE = 8;

/** The buffers of all outputs of a runner. */
export class OutputBuffers {
  readonly #idle: Float32Array[] = [];

  /** At least `length` values, with anything in them. */
  take(length: number): Float32Array {
    const index = this.#idle.findIndex((buffer) => buffer.length >= length && buffer.length <= 4 * length + 4096);
    if (index >= 0) return this.#idle.splice(index, 1)[0]!;
    return new Float32Array(new ArrayBuffer(4 * length));
  }

  giveBack(buffers: readonly Float32Array[]): void {
    this.#idle.push(...buffers);
    this.#idle.splice(0, Math.max(0, this.#idle.length - MAX_IDLE));
  }
}

export type ReadRows = (firstRow: number, numRows: number) => Float32Array; // [numRows, width]

/** One output, [1, rows, width]. */
export class OutputRows {
  readonly #tensor: HostTensor;
  readonly #type: FloatType;
  readonly #width: number;
  readonly #buffers: OutputBuffers;
  /** The same view of the same buffer is the same tensor. */
  readonly #halves = new WeakMap<Float32Array, Map<number, Uint16Array>>();

  constructor(api: OrtApi, hostInfo: Pointer, type: FloatType, width: number, buffers: OutputBuffers) {
    this.#tensor = new HostTensor(api, hostInfo, type);
    this.#type = type;
    this.#width = width;
    this.#buffers = buffers;
  }

  /**
   * A tensor for the next run, and how to read it when that is over; its buffer is added to `taken`. Half precision
   * arrives in the buffer's upper third and is widened as it is read.
   */
  take(numRows: number, taken: Float32Array[]): { value: Pointer; read: ReadRows } {
    const width = this.#width;
    const size = numRows * width;
    const isHalf = this.#type === 'float16';
    const buffer = this.#buffers.take(isHalf ? Math.ceil(1.5 * size) : size);
    taken.push(buffer);
    const half = isHalf ? this.#half(buffer, size) : undefined;
    const value = this.#tensor.over(half ?? buffer, [1, numRows, width]);
    const read: ReadRows = (firstRow, numWanted) => {
      const [from, to] = [firstRow * width, (firstRow + numWanted) * width];
      const rows = buffer.subarray(from, to);
      if (half) widenFloat16(half.subarray(from, to), rows);
      return rows;
    };
    return { value, read };
  }

  release(): void {
    this.#tensor.release();
  }

  #half(buffer: Float32Array, size: number): Uint16Array {
    const known = this.#halves.get(buffer) ?? new Map<number, Uint16Array>();
    this.#halves.set(buffer, known);
    const view = known.get(size) ?? new Uint16Array(buffer.buffer, 4 * size, size);
    known.set(size, view);
    return view;
  }
}
