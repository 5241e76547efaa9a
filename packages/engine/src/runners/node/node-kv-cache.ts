/**
 * One sequence's cache for the node runner. Two ways to keep keys and values, because onnxruntime-node copies every output
 * of every pass: a graph that answers with the new rows only (cheap; needs GroupQueryAttention), or one that answers with
 * the whole cache. Knows tensors and capacity, no sessions.
 */
import { Tensor } from 'onnxruntime-node';
import { outOfMemory } from '../../errors.ts';
import type { KvCache } from '../../runner.ts';
import { type CacheContext, CacheUse } from '../cache-use.ts';
import { bytesPerPosition } from '../kv-buckets.ts';
import type { GraphBinding } from '../signature-from-graph.ts';

export interface NodeKvContext extends CacheContext {
  readonly graph: GraphBinding;
  /** present.* holds only the rows of the pass. */
  readonly newRowsOnly: boolean;
}

export class NodeKvCache implements KvCache {
  readonly context: NodeKvContext;
  readonly #use: CacheUse;
  #rows: KvRows;

  constructor(context: NodeKvContext, rows?: KvRows) {
    this.context = context;
    this.#rows = rows ?? (context.newRowsOnly ? new OwnRows(context.graph) : new WholeRows(context.graph));
    this.#use = new CacheUse(context, this.#rows.numHeld);
  }

  get capacity(): number {
    return this.#use.capacityOf(this.#rows.numPositions);
  }

  get bytes(): number {
    return this.#rows.numPositions * bytesPerPosition(this.context.graph.signature);
  }

  ensureCapacity(numTokens: number, numValid: number): void {
    this.#use.requireIdle();
    const numPositions = this.#use.positionsFor(numTokens);
    if (numTokens > this.capacity) this.#growTo(numPositions, numValid);
  }

  fork(numValid: number): KvCache {
    this.#use.requireIdle();
    return new NodeKvCache(this.context, this.#rows.fork(numValid));
  }

  release(): void {
    this.#use.release();
    this.#rows.clear();
  }

  /** Marks the cache as in use and gives the past of a pass. */
  beginPass(numPastTokens: number, numRows: number): readonly Tensor[] {
    this.#use.begin(numPastTokens);
    try {
      const needed = numPastTokens + numRows;
      if (needed > this.#rows.numPositions) this.#growTo(this.#use.bucket(needed), numPastTokens);
      return this.#rows.past(numPastTokens);
    } catch (error) {
      this.#use.end(this.#rows.numHeld);
      throw error;
    }
  }

  /** `present` as the graph gave it; undefined when the pass failed. */
  endPass(present: readonly Tensor[] | undefined, numPastTokens: number, numRows: number): void {
    if (present) this.#rows.append(present, numPastTokens, numRows);
    this.#use.end(this.#rows.numHeld);
  }

  #growTo(numPositions: number, numValid: number): void {
    this.#rows.growTo(numPositions, numValid);
    this.#use.numHeld = this.#rows.numHeld;
  }
}

/** Raw bits: what is copied around is never looked at. */
type Bits = Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

interface KvRows {
  readonly numPositions: number;
  /** Tokens that were written. */
  readonly numHeld: number;
  growTo(numPositions: number, numValid: number): void;
  past(numPastTokens: number): readonly Tensor[];
  append(present: readonly Tensor[], numPastTokens: number, numRows: number): void;
  fork(numValid: number): KvRows;
  clear(): void;
}

/** Arrays with room to grow, into which the new rows are copied. Forks share them until one side writes. */
class OwnRows implements KvRows {
  readonly #graph: GraphBinding;
  #block: { arrays: Bits[]; tensors: Tensor[]; numUsers: number } | undefined;
  numPositions = 0;
  numHeld = 0;

  constructor(graph: GraphBinding) {
    this.#graph = graph;
  }

  growTo(numPositions: number, numValid: number): void {
    const { numKvHeads, headDim, kvType } = this.#graph.signature;
    const old = this.#block?.arrays;
    const numKept = Math.min(numValid, this.numHeld);
    const arrays = this.#graph.pastInputs.map((_, i) => {
      const array = zeros(kvType, numKvHeads * numPositions * headDim);
      for (let head = 0; old && head < numKvHeads; head++) {
        const from = head * this.numPositions * headDim;
        array.set(old[i]!.subarray(from, from + numKept * headDim), head * numPositions * headDim);
      }
      return array;
    });
    this.clear();
    const tensors = arrays.map((array) => tensorOf(array, kvType, [1, numKvHeads, numPositions, headDim]));
    this.#block = { arrays, tensors, numUsers: 1 };
    this.numPositions = numPositions;
    this.numHeld = numKept;
  }

  past(numPastTokens: number): readonly Tensor[] {
    if (this.#block!.numUsers > 1) this.growTo(this.numPositions, numPastTokens);
    return this.#block!.tensors;
  }

  append(present: readonly Tensor[], numPastTokens: number, numRows: number): void {
    const { numKvHeads, headDim } = this.#graph.signature;
    for (const [i, array] of this.#block!.arrays.entries()) {
      const rows = bitsOf(present[i]!);
      for (let head = 0; head < numKvHeads; head++) {
        const newRows = rows.subarray(head * numRows * headDim, (head + 1) * numRows * headDim);
        array.set(newRows, (head * this.numPositions + numPastTokens) * headDim);
      }
    }
    this.numHeld = numPastTokens + numRows;
  }

  fork(numValid: number): KvRows {
    const copy = new OwnRows(this.#graph);
    copy.#block = this.#block;
    copy.numPositions = this.numPositions;
    copy.numHeld = Math.min(numValid, this.numHeld);
    if (this.#block) this.#block.numUsers++;
    return copy;
  }

  clear(): void {
    if (this.#block) this.#block.numUsers--;
    this.#block = undefined;
    this.numPositions = 0;
    this.numHeld = 0;
  }
}

/**
 * The whole present of the last pass, which becomes the past of the next one. Never written after it was made, so forks
 * share it. Plain attention wants a past that is exactly as long as the valid prefix.
 */
class WholeRows implements KvRows {
  readonly #graph: GraphBinding;
  #tensors: readonly Tensor[] = [];
  numPositions = 0;
  numHeld = 0;

  constructor(graph: GraphBinding) {
    this.#graph = graph;
  }

  growTo(numPositions: number): void {
    this.numPositions = numPositions;
  }

  past(numPastTokens: number): readonly Tensor[] {
    const { numKvHeads, headDim, kvType } = this.#graph.signature;
    if (numPastTokens === 0) {
      return this.#graph.pastInputs.map(() => tensorOf(zeros(kvType, 0), kvType, [1, numKvHeads, 0, headDim]));
    }
    return this.#tensors.map((tensor) => cut(tensor, numPastTokens));
  }

  append(present: readonly Tensor[], numPastTokens: number, numRows: number): void {
    this.#tensors = present;
    this.numHeld = numPastTokens + numRows;
  }

  fork(numValid: number): KvRows {
    const copy = new WholeRows(this.#graph);
    copy.#tensors = this.#tensors;
    copy.numPositions = this.numPositions;
    copy.numHeld = Math.min(numValid, this.numHeld);
    return copy;
  }

  clear(): void {
    this.#tensors = [];
    this.numPositions = 0;
    this.numHeld = 0;
  }
}

/** The first `length` positions of a [1, heads, positions, dim] tensor. */
function cut(tensor: Tensor, length: number): Tensor {
  const [, heads, positions, dim] = tensor.dims as [number, number, number, number];
  const source = bitsOf(tensor);
  const type = tensor.type as 'float32' | 'float16';
  if (positions === length) return tensorOf(source, type, tensor.dims);
  const target = zeros(type, heads * length * dim);
  for (let head = 0; head < heads; head++) {
    const from = head * positions * dim;
    target.set(source.subarray(from, from + length * dim), head * length * dim);
  }
  return tensorOf(target, type, [1, heads, length, dim]);
}

function zeros(type: 'float32' | 'float16', length: number): Bits {
  const bytes = length * (type === 'float32' ? 4 : 2);
  try {
    return type === 'float32' ? new Uint32Array(length) : new Uint16Array(length);
  } catch (cause) {
    throw outOfMemory(`no ${bytes} bytes of memory for a KV cache`, bytes, cause);
  }
}

/**
 * onnxruntime-node 1.30 gives and expects Float16Array for half precision, but sees no bytes in one (N-API has no such
 * type): the same memory as Uint16Array is what it takes. Tensor's constructor would undo that, so `data` is shadowed.
 */
function tensorOf(bits: Bits, type: 'float32' | 'float16', dims: readonly number[]): Tensor {
  if (type === 'float32') return new Tensor(type, new Float32Array(bits.buffer, bits.byteOffset, bits.length), dims);
  const tensor = new Tensor(type, bits as Uint16Array<ArrayBuffer>, dims);
  return Object.defineProperty(tensor, 'data', { value: bits });
}

/** A graph input of either type from float32 values. */
export function floatTensor(
  values: Float32Array<ArrayBuffer>,
  type: 'float32' | 'float16',
  dims: readonly number[],
): Tensor {
  if (type === 'float32') return new Tensor(type, values, dims);
  return tensorOf(new Uint16Array(new Float16Array(values).buffer), type, dims);
}

function bitsOf(tensor: Tensor): Bits {
  const data = tensor.data as Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
  return tensor.type === 'float32'
    ? new Uint32Array(data.buffer, data.byteOffset, data.length)
    : new Uint16Array(data.buffer, data.byteOffset, data.length);
}
