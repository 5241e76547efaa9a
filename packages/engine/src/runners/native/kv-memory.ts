/**
 * Memory for keys and values, where the model runs. A block holds all layers of one sequence, so that it is one
 * allocation; it is shared by forks until one of them writes. Knows layouts and bytes, not lengths.
 */
import { outOfMemory } from '../../errors.ts';
import type { GraphSignature } from '../../signature.ts';
import { bytesPerPosition } from '../kv-buckets.ts';
import { DeviceCopier } from './device-copier.ts';
import { type OrtApi, OrtError, type Pointer } from './ort-api.ts';
import type { OrtSession, SessionOptions } from './session.ts';
import { elementBytes, elementTypes, hostTensor } from './tensor.ts';

/** Tensors are [1, numKvHeads, numPositions, headDim], layer-major, key before value. */
export interface KvBlock {
  readonly numPositions: number;
  readonly bytes: number;
  /** The tensors as past and, since attention appends in place, as present. */
  readonly values: readonly Pointer[]; // [2 * numLayers]
  /** Caches that share the block; it may be written by its only user. */
  numUsers: number;
}

export interface KvMemory {
  readonly bytesPerPosition: number;
  /** A block with one user. Errors: EngineError out_of_memory. */
  allocate(numPositions: number): KvBlock;
  /** Copies the first `numTokens` positions. */
  copy(from: KvBlock, to: KvBlock, numTokens: number): void;
  /** One user less; the last one frees the memory at once. */
  drop(block: KvBlock): void;
  /** After the last block. */
  close(): void;
}

export interface HostBlock extends KvBlock {
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
    const bytes = numPositions * this.bytesPerPosition;
    const memory = allocateHost(bytes);
    return { numPositions, bytes, memory, values: this.tensorsOf(memory, numPositions, numPositions), numUsers: 1 };
  }

  copy(from: HostBlock, to: HostBlock, numTokens: number): void {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const rowBytes = headDim * elementBytes[kvType];
    for (let head = 0; head < 2 * numLayers * numKvHeads; head++) {
      const source = head * from.numPositions * rowBytes;
      const rows = from.memory.subarray(source, source + numTokens * rowBytes);
      to.memory.set(rows, head * to.numPositions * rowBytes);
    }
  }

  /** Tensors of `numUsed` positions each, laid out in memory for `numPositions`. Whoever asks releases them. */
  tensorsOf(memory: Uint8Array, numPositions: number, numUsed: number): Pointer[] {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const tensorBytes = numKvHeads * numPositions * headDim * elementBytes[kvType];
    const shape = [1, numKvHeads, numUsed, headDim];
    return Array.from({ length: 2 * numLayers }, (_, i) =>
      hostTensor(this.#api, this.#hostInfo, memory, kvType, shape, i * tensorBytes),
    );
  }

  release(values: readonly Pointer[]): void {
    for (const value of values) this.#api.ReleaseValue(value);
  }

  /** Copies what tensors of `numUsed` positions hold to where tensors of `numKept` are; also within a block. */
  layOut(from: HostBlock, numUsed: number, to: HostBlock, numKept: number): void {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const rowBytes = headDim * elementBytes[kvType];
    for (let tensor = 0; tensor < 2 * numLayers; tensor++) {
      for (let head = 0; head < numKvHeads; head++) {
        const source = numKvHeads * tensor * from.numPositions + head * numUsed;
        const target = numKvHeads * tensor * to.numPositions + head * numKept;
        to.memory.set(from.memory.subarray(source * rowBytes, (source + numKept) * rowBytes), target * rowBytes);
      }
    }
  }

  drop(block: HostBlock): void {
    if (--block.numUsers > 0) return;
    this.release(block.values);
    block.memory.buffer.transfer(0);
  }

  close(): void {}
}

function allocateHost(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(new ArrayBuffer(bytes));
  } catch (cause) {
    throw outOfMemory(`no ${bytes} bytes of memory for a KV cache`, bytes, cause);
  }
}

/** Device memory comes from the session's own allocator for that device, and never visits the host. */
export class DeviceKvMemory implements KvMemory {
  readonly bytesPerPosition: number;
  readonly #api: OrtApi;
  readonly #allocator: Pointer;
  readonly #signature: GraphSignature;
  readonly #copier: DeviceCopier;

  /** `deviceInfo` says which memory of the session's device. */
  static async open(
    session: OrtSession,
    deviceInfo: Pointer,
    options: SessionOptions,
    hostInfo: Pointer,
    signature: GraphSignature,
  ): Promise<DeviceKvMemory> {
    const { api } = session;
    const allocator = api.CreateAllocator(session.pointer, deviceInfo);
    const copier = await DeviceCopier.open(api, options, allocator, hostInfo, signature);
    return new DeviceKvMemory(api, allocator, signature, copier);
  }

  private constructor(api: OrtApi, allocator: Pointer, signature: GraphSignature, copier: DeviceCopier) {
    this.#api = api;
    this.#allocator = allocator;
    this.#signature = signature;
    this.#copier = copier;
    this.bytesPerPosition = bytesPerPosition(signature);
  }

  allocate(numPositions: number): KvBlock {
    const { numLayers, numKvHeads, headDim, kvType } = this.#signature;
    const shape = BigInt64Array.from([1, numKvHeads, numPositions, headDim], BigInt);
    const bytes = numPositions * this.bytesPerPosition;
    const values: Pointer[] = [];
    try {
      while (values.length < 2 * numLayers) {
        values.push(this.#api.CreateTensorAsOrtValue(this.#allocator, shape, shape.length, elementTypes[kvType]));
      }
    } catch (cause) {
      for (const value of values) this.#api.ReleaseValue(value);
      if (!(cause instanceof OrtError)) throw cause;
      throw outOfMemory(`no ${bytes} bytes on the device: ${cause.message}`, bytes, cause);
    }
    return { numPositions, bytes, values, numUsers: 1 };
  }

  /** The whole of what fits: a device has no cheap way to copy less. */
  copy(from: KvBlock, to: KvBlock): void {
    this.#copier.copy(from.values, from.numPositions, to.values, to.numPositions);
  }

  drop(block: KvBlock): void {
    if (--block.numUsers > 0) return;
    for (const value of block.values) this.#api.ReleaseValue(value);
  }

  close(): void {
    this.#copier.close();
    this.#api.ReleaseAllocator(this.#allocator);
  }
}
