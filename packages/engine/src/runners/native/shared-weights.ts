/**
 * Weights that several sessions of one model have in common: files are mapped, not read, and handed to every session, and
 * what kernels prepack of them is kept once where the kernel allows that (float32 products do, MatMulNBits does not). Host
 * memory only: a device's sessions load weights of their own.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExternalTensor } from '@forerunner/onnx-graph';
import koffi from 'koffi';
import type { OrtApi, Pointer } from './ort-api.ts';
import { addressOf } from './tensor.ts';

export class SharedWeights {
  /** Initialisers by name, for AddInitializer. */
  readonly values: readonly (readonly [name: string, value: Pointer])[];
  readonly prepacked: Pointer;
  readonly #api: OrtApi;
  readonly #files: readonly WeightsFile[];

  /** Errors: those of the file system. */
  constructor(api: OrtApi, hostInfo: Pointer, tensors: readonly ExternalTensor[], weightsDir: string) {
    this.#api = api;
    this.prepacked = api.CreatePrepackedWeightsContainer();
    const files = new Map<string, WeightsFile>();
    this.values = tensors.flatMap(({ name, dataType, dims, location, offset, length }) => {
      const file = files.get(location) ?? mapFile(join(weightsDir, location));
      files.set(location, file);
      if (offset + length > file.length) return []; // ONNX Runtime says what is wrong with the file
      const shape = BigInt64Array.from(dims, BigInt);
      const address = file.address + BigInt(offset);
      const value = api.CreateTensorWithDataAsOrtValue(hostInfo, address, length, shape, shape.length, dataType);
      return [[name, value] as const];
    });
    this.#files = [...files.values()];
  }

  /** When sessions have been opened: pages that were only read to be prepacked go, and come back if somebody looks. */
  forgetPages(): void {
    for (const file of this.#files) file.forgetPages();
    systemCalls()?.trim(0);
  }

  /** After the last session. */
  close(): void {
    for (const [, value] of this.values) this.#api.ReleaseValue(value);
    this.#api.ReleasePrepackedWeightsContainer(this.prepacked);
    for (const file of this.#files) file.close();
  }
}

interface WeightsFile {
  readonly address: Pointer;
  readonly length: number;
  forgetPages(): void;
  close(): void;
}

const PROT_READ = 1;
const MAP_PRIVATE = 2;
const MADV_DONTNEED = 4;

let system: ReturnType<typeof loadSystem> | undefined;

/** glibc's own functions; null elsewhere: files are read into memory. Loaded after ONNX Runtime, which sets koffi up. */
function systemCalls() {
  system ??= process.platform === 'linux' ? loadSystem() : null;
  return system;
}

function loadSystem() {
  try {
    const libc = koffi.load('libc.so.6');
    return {
      map: libc.func('mmap', 'void *', ['void *', 'size_t', 'int', 'int', 'int', 'int64']),
      unmap: libc.func('munmap', 'int', ['void *', 'size_t']),
      advise: libc.func('madvise', 'int', ['void *', 'size_t', 'int']),
      /** Gives freed memory back to the system: opening a session frees about a third of what it takes. */
      trim: libc.func('malloc_trim', 'int', ['size_t']),
      libc, // koffi unloads a library whose handle is collected
    };
  } catch {
    return null;
  }
}

function mapFile(path: string): WeightsFile {
  const system = systemCalls();
  const file = openSync(path, 'r');
  try {
    const length = fstatSync(file).size;
    const mapped: Pointer = length > 0 && system ? system.map(null, length, PROT_READ, MAP_PRIVATE, file, 0) : -1n;
    if (!system || BigInt.asIntN(64, mapped) === -1n) return readWhole(path);
    return {
      address: mapped,
      length,
      forgetPages: () => system.advise(mapped, length, MADV_DONTNEED),
      close: () => system.unmap(mapped, length),
    };
  } finally {
    closeSync(file);
  }
}

function readWhole(path: string): WeightsFile {
  const bytes = readFileSync(path);
  wholeFiles.add(bytes);
  const address = addressOf(bytes);
  return { address, length: bytes.length, forgetPages: () => {}, close: () => wholeFiles.delete(bytes) };
}

/** What addresses refer to must not be collected. */
const wholeFiles = new Set<Uint8Array>();
