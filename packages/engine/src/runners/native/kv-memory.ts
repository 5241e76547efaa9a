/**
 * Memory for keys and values, where the model runs. A block holds all layers of one sequence or of several, so that it is
 * one allocation; it is shared by forks until one of them writes. Knows layouts and bytes, not lengths.
 */
import { outOfMemory } from '../../errors.ts';
import type { GraphSignature } from '../../signature.ts';
import type { GraphBinding } from '../signature-from-graph.ts';
import { DeviceCopier } from './device-copier.ts';
import type { IoBinding } from './io-binding.ts';
import { type OrtApi, OrtError, type Pointer } from './ort-api.ts';
import type { OrtSession, SessionOptions } from './session.ts';
import { elementBytes, elementTypes, hostTensor } from './tensor.ts';

/** Tensors are [numSequences, numKvHeads, numPositions, headDim], layer-major, key before value. */
export interface KvBlock {
  readonly numSequences: number;
  readonly numPositions: number;
  readonly bytes: number;
  /** Caches that share the block; it may be written by its only user. */
  numUsers: number;
}

export interface KvMemory {
  readonly bytesPerPosition: number;
  /** A block with one user. Errors: EngineError out_of_memory. */
  allocate(numPositions: number, numSequences: number): KvBlock;
  /** Copies the first `numTokens` positions of one sequence. */
  copy(from: KvBlock, fromSequence: number, to: KvBlock, toSequence: number, numTokens: number): void;
  /** Binds sequences first..first+count-1 as past and as present: attention appends in place. */
  bind(binding: IoBinding, block: KvBlock, first: number, count: number): void;
  /** One user less; the last one frees the memory at once. */
  drop(block: KvBlock): void;
  /** After the last block. */
  close(): void;
}

export function bytesPerPosition({ numLayers, numKvHeads, headDim, kvType }: GraphSignature): number {
  return 2 * numLayers * numKvHeads * headDim * elementBytes[kvType];
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
  readonly #graph: GraphBinding;

  constructor(api: OrtApi, hostInfo: Pointer, graph: GraphBinding) {
    this.#api = api;
    this.#hostInfo = hostInfo;
    this.#graph = graph;
    this.bytesPerPosition = bytesPerPosition(graph.signature);
  }

  allocate(numPositions: number, numSequences: number): HostBlock {
    const bytes = numSequences * numPositions * this.bytesPerPosition;
    return { numSequences, numPositions, bytes, memory: allocateHost(bytes), numUsers: 1 };
  }

  copy(from: HostBlock, fromSequence: number, to: HostBlock, toSequence: number, numTokens: number): void {
    const { numLayers, numKvHeads, headDim, kvType } = this.#graph.signature;
    const rowBytes = headDim * elementBytes[kvType];
    for (let tensor = 0; tensor < 2 * numLayers; tensor++) {
      for (let head = 0; head < numKvHeads; head++) {
        const start = (block: KvBlock, sequence: number) =>
          ((tensor * block.numSequences + sequence) * numKvHeads + head) * block.numPositions * rowBytes;
        const source = start(from, fromSequence);
        to.memory.set(from.memory.subarray(source, source + numTokens * rowBytes), start(to, toSequence));
      }
    }
  }

  bind(binding: IoBinding, block: HostBlock, first: number, count: number): void {
    const { signature, pastInputs, presentOutputs } = this.#graph;
    const { numKvHeads, headDim, kvType } = signature;
    const shape = [count, numKvHeads, block.numPositions, headDim];
    const sequenceBytes = numKvHeads * block.numPositions * headDim * elementBytes[kvType];
    for (const [i, name] of pastInputs.entries()) {
      const offset = (i * block.numSequences + first) * sequenceBytes;
      const value = hostTensor(this.#api, this.#hostInfo, block.memory, kvType, shape, offset);
      binding.bindInput(name, value, block);
      binding.bindOutput(presentOutputs[i]!, value, block);
      this.#api.ReleaseValue(value);
    }
  }

  /** Binds one sequence of exactly numPast positions as past, and one of numTotal in other memory as present. */
  bindExactly(binding: IoBinding, past: HostBlock, numPast: number, present: HostBlock, numTotal: number): void {
    const { signature, pastInputs, presentOutputs } = this.#graph;
    const { numKvHeads, headDim, kvType } = signature;
    const tensorOf = ({ memory, numPositions }: HostBlock, index: number, numUsed: number) => {
      const offset = index * numKvHeads * numPositions * headDim * elementBytes[kvType];
      return hostTensor(this.#api, this.#hostInfo, memory, kvType, [1, numKvHeads, numUsed, headDim], offset);
    };
    for (const [i, name] of pastInputs.entries()) {
      const [input, output] = [tensorOf(past, i, numPast), tensorOf(present, i, numTotal)];
      binding.bindInput(name, input, past);
      binding.bindOutput(presentOutputs[i]!, output, present);
      this.#api.ReleaseValue(input);
      this.#api.ReleaseValue(output);
    }
  }

  /** Copies what bindExactly wrote for `numUsed` positions to where it reads `numKept` of them; also within a block. */
  layOut(from: HostBlock, numUsed: number, to: HostBlock, numKept: number): void {
    const { numLayers, numKvHeads, headDim, kvType } = this.#graph.signature;
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
    if (--block.numUsers === 0) block.memory.buffer.transfer(0);
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

interface DeviceBlock extends KvBlock {
  readonly values: readonly Pointer[]; // [2 * numLayers]
}

/** Device memory comes from the session's own allocator for that device, and never visits the host. */
export class DeviceKvMemory implements KvMemory {
  readonly bytesPerPosition: number;
  readonly #api: OrtApi;
  readonly #allocator: Pointer;
  readonly #graph: GraphBinding;
  readonly #copier: DeviceCopier;

  /** `deviceInfo` says which memory of the session's device. */
  static async open(
    session: OrtSession,
    deviceInfo: Pointer,
    options: SessionOptions,
    hostInfo: Pointer,
    graph: GraphBinding,
  ): Promise<DeviceKvMemory> {
    const { api } = session;
    const allocator = api.CreateAllocator(session.pointer, deviceInfo);
    const copier = await DeviceCopier.open(api, options, allocator, hostInfo, graph.signature);
    return new DeviceKvMemory(api, allocator, graph, copier);
  }

  private constructor(api: OrtApi, allocator: Pointer, graph: GraphBinding, copier: DeviceCopier) {
    this.#api = api;
    this.#allocator = allocator;
    this.#graph = graph;
    this.#copier = copier;
    this.bytesPerPosition = bytesPerPosition(graph.signature);
  }

  allocate(numPositions: number, numSequences: number): DeviceBlock {
    const { numKvHeads, headDim, kvType } = this.#graph.signature;
    const shape = BigInt64Array.from([numSequences, numKvHeads, numPositions, headDim], BigInt);
    const bytes = numSequences * numPositions * this.bytesPerPosition;
    const values: Pointer[] = [];
    try {
      for (const _ of this.#graph.pastInputs) {
        values.push(this.#api.CreateTensorAsOrtValue(this.#allocator, shape, shape.length, elementTypes[kvType]));
      }
    } catch (cause) {
      for (const value of values) this.#api.ReleaseValue(value);
      if (!(cause instanceof OrtError)) throw cause;
      throw outOfMemory(`no ${bytes} bytes on the device: ${cause.message}`, bytes, cause);
    }
    return { numSequences, numPositions, bytes, values, numUsers: 1 };
  }

  /** The whole of what fits: a device has no cheap way to copy less. */
  copy(from: DeviceBlock, _fromSequence: number, to: DeviceBlock): void {
    this.#copier.copy(from.values, from.numPositions, to.values, to.numPositions);
  }

  bind(binding: IoBinding, block: DeviceBlock): void {
    for (const [i, value] of block.values.entries()) {
      binding.bindInput(this.#graph.pastInputs[i]!, value, block);
      binding.bindOutput(this.#graph.presentOutputs[i]!, value, block);
    }
  }

  drop(block: DeviceBlock): void {
    if (--block.numUsers > 0) return;
    for (const value of block.values) this.#api.ReleaseValue(value);
  }

  close(): void {
    this.#copier.close();
    this.#api.ReleaseAllocator(this.#allocator);
  }
}
