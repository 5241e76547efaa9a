/**
 * Memory for the keys and values of one sequence, where the model runs. A block holds all layers, so that a sequence is
 * one allocation; it is shared by forks until one of them writes. Knows layouts and bytes, not lengths.
 */
import { EngineError } from '../../errors.ts';
import type { GraphSignature } from '../../signature.ts';
import { type OrtApi, OrtError, type Pointer } from './ort-api.ts';
import { elementBytes, elementTypes, hostTensor } from './tensor.ts';

export interface KvBlock {
  readonly numPositions: number;
  readonly bytes: number;
  /** Layer-major, key before value. */
  readonly values: readonly Pointer[]; // [2 * numLayers] of [1, numKvHeads, numPositions, headDim]
  /** Caches that share the block; it may be written by its only user. */
  numUsers: number;
}

export interface KvMemory {
  readonly bytesPerPosition: number;
  /** A block with one user. Errors: EngineError out_of_memory. */
  allocate(numPositions: number): KvBlock;
  /** The first `numTokens` positions of every tensor. */
  copy(from: KvBlock, to: KvBlock, numTokens: number): void;
  /** One user less; the last one frees the memory at once. */
  drop(block: KvBlock): void;
}

export function bytesPerPosition({ numLayers, numKvHeads, headDim, kvType }: GraphSignature): number {
  return 2 * numLayers * numKvHeads * headDim * elementBytes[kvType];
}

interface HostBlock extends KvBlock {
  readonly memory: Uint8Array<ArrayBuffer>;
}

/**
 * Host memory is an ArrayBuffer: zeroed, and the operating system hands out its pages as they are first written, so
 * spare capacity costs addresses and no memory. Freed by detaching, not by the collector.
 */
export class HostKvMemory implements KvMemory {
  readonly bytesPerPosition: number;
  readonly #api: OrtApi;
  readonly #hostInfo: Pointer;
  readonly #signature: GraphSignature;

  constructor(api: OrtApi, hostInfo: Pointer, signature: GraphSignature) {
    this.#api = api;
    this.#hostInfo = hostInfo;
    this.#signature = signature;
    this.bytesPerPosition = bytesPerPosition(signature);
  }

  allocate(numPositions: number): HostBlock {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const bytes = numPositions * this.bytesPerPosition;
    const memory = allocateHost(bytes);
    const tensorBytes = bytes / (2 * numLayers);
    const shape = [1, numKvHeads, numPositions, headDim];
    const values = Array.from({ length: 2 * numLayers }, (_, i) =>
      hostTensor(this.#api, this.#hostInfo, memory, kvType, shape, i * tensorBytes),
    );
    return { numPositions, bytes, values, memory, numUsers: 1 };
  }

  copy(from: HostBlock, to: HostBlock, numTokens: number): void {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const rowBytes = headDim * elementBytes[kvType];
    const [fromStride, toStride] = [from.numPositions * rowBytes, to.numPositions * rowBytes];
    for (let head = 0; head < 2 * numLayers * numKvHeads; head++) {
      const start = head * fromStride;
      to.memory.set(from.memory.subarray(start, start + numTokens * rowBytes), head * toStride);
    }
  }

  drop(block: HostBlock): void {
    if (--block.numUsers > 0) return;
    for (const value of block.values) this.#api.ReleaseValue(value);
    block.memory.buffer.transfer(0);
  }
}

function allocateHost(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(new ArrayBuffer(bytes));
  } catch (cause) {
    throw new EngineError('out_of_memory', `no ${bytes} bytes of memory for a KV cache`, { bytes }, { cause });
  }
}

/** Copies the first positions of one device tensor to another, on the device. */
export interface DeviceCopier {
  copy(from: readonly Pointer[], to: readonly Pointer[], numTokens: number): void;
}

/** Device memory comes from the session's own allocator for that device, and never visits the host. */
export class DeviceKvMemory implements KvMemory {
  readonly bytesPerPosition: number;
  readonly #api: OrtApi;
  readonly #allocator: Pointer;
  readonly #signature: GraphSignature;
  readonly #copier: DeviceCopier;

  constructor(api: OrtApi, allocator: Pointer, signature: GraphSignature, copier: DeviceCopier) {
    this.#api = api;
    this.#allocator = allocator;
    this.#signature = signature;
    this.#copier = copier;
    this.bytesPerPosition = bytesPerPosition(signature);
  }

  allocate(numPositions: number): KvBlock {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const shape = BigInt64Array.from([1, numKvHeads, numPositions, headDim], BigInt);
    const values: Pointer[] = [];
    try {
      for (let i = 0; i < 2 * numLayers; i++) {
        values.push(this.#api.CreateTensorAsOrtValue(this.#allocator, shape, shape.length, elementTypes[kvType]));
      }
    } catch (cause) {
      for (const value of values) this.#api.ReleaseValue(value);
      const bytes = numPositions * this.bytesPerPosition;
      if (!(cause instanceof OrtError)) throw cause;
      throw new EngineError('out_of_memory', `no ${bytes} bytes on the device: ${cause.message}`, { bytes }, { cause });
    }
    return { numPositions, bytes: numPositions * this.bytesPerPosition, values, numUsers: 1 };
  }

  copy(from: KvBlock, to: KvBlock, numTokens: number): void {
    this.#copier.copy(from.values, to.values, numTokens);
  }

  drop(block: KvBlock): void {
    if (--block.numUsers > 0) return;
    for (const value of block.values) this.#api.ReleaseValue(value);
  }
}
