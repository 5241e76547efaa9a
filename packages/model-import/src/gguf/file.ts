/**
 * A GGUF file's metadata and where its tensors lie. Read in small pieces from the front: a vocabulary may take megabytes,
 * weights are not touched. Versions 2 and 3, little-endian.
 */
import { basename } from 'node:path';
import type { RangeFile } from '../checkpoint/ranges.ts';
import { ImportError } from '../errors.ts';

export type Metadata = ReadonlyMap<string, unknown>;

export interface GgufTensor {
  readonly name: string;
  /** As transformers orders them: the last one is contiguous. */
  readonly dims: readonly number[];
  /** ggml_type. */
  readonly type: number;
  /** Within the file. */
  readonly offset: number;
}

export interface GgufContents {
  readonly metadata: Metadata;
  readonly tensors: readonly GgufTensor[];
}

const MAGIC = 0x46554747;
const DEFAULT_ALIGNMENT = 32;
/** More of anything is no vocabulary, but a damaged file. */
const MAX_COUNT = 16_777_216;

/** Errors: ImportError bad_checkpoint. */
export function readGguf(file: RangeFile): GgufContents {
  const reader = new GgufReader(file);
  if (reader.uint32() !== MAGIC) throw new ImportError('bad_checkpoint', `${basename(file.path)} is not a GGUF file`);
  const version = reader.uint32();
  if (version !== 2 && version !== 3) {
    throw new ImportError('bad_checkpoint', `${basename(file.path)} is GGUF version ${version}; 2 and 3 are known`);
  }
  const [numTensors, numEntries] = [reader.count(), reader.count()];
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < numEntries; i++) metadata.set(reader.text(), reader.value(reader.uint32()));
  const tensors = Array.from({ length: numTensors }, () => ({
    name: reader.text(),
    dims: Array.from({ length: reader.uint32() }, () => reader.uint64()).reverse(),
    type: reader.uint32(),
    offset: reader.uint64(),
  }));
  const alignment = Number(metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  return { metadata, tensors: tensors.map((tensor) => ({ ...tensor, offset: dataStart + tensor.offset })) };
}

const PIECE_BYTES = 1 << 20;

class GgufReader {
  readonly #file: RangeFile;
  #piece: Buffer = Buffer.alloc(0);
  #pieceStart = 0;
  #at = 0;

  constructor(file: RangeFile) {
    this.#file = file;
  }

  get position(): number {
    return this.#pieceStart + this.#at;
  }

  uint32(): number {
    return this.#take(4).readUInt32LE();
  }

  uint64(): number {
    return Number(this.#take(8).readBigUInt64LE());
  }

  count(): number {
    const count = this.uint64();
    if (count > MAX_COUNT) throw new ImportError('bad_checkpoint', `${basename(this.#file.path)} is damaged`);
    return count;
  }

  text(): string {
    return this.#take(this.count()).toString();
  }

  value(type: number): unknown {
    switch (type) {
      case 0:
        return this.#take(1).readUInt8();
      case 1:
        return this.#take(1).readInt8();
      case 2:
        return this.#take(2).readUInt16LE();
      case 3:
        return this.#take(2).readInt16LE();
      case 4:
        return this.uint32();
      case 5:
        return this.#take(4).readInt32LE();
      case 6:
        // Seven digits are all that a float32 has: 1e-5, not 0.000009999999747.
        return Number(this.#take(4).readFloatLE().toPrecision(7));
      case 7:
        return this.#take(1).readUInt8() !== 0;
      case 8:
        return this.text();
      case 9: {
        const elementType = this.uint32();
        return Array.from({ length: this.count() }, () => this.value(elementType));
      }
      case 10:
        return this.uint64();
      case 11:
        return Number(this.#take(8).readBigInt64LE());
      case 12:
        return this.#take(8).readDoubleLE();
      default:
        throw new ImportError('bad_checkpoint', `${basename(this.#file.path)} has metadata of an unknown type ${type}`);
    }
  }

  /** Valid until the next call. */
  #take(length: number): Buffer {
    if (this.#at + length > this.#piece.length) {
      const start = this.position;
      this.#piece = this.#file.read(start, Math.min(Math.max(length, PIECE_BYTES), this.#file.size - start));
      this.#pieceStart = start;
      this.#at = 0;
      if (length > this.#piece.length)
        throw new ImportError('bad_checkpoint', `${basename(this.#file.path)} is cut off`);
    }
    this.#at += length;
    return this.#piece.subarray(this.#at - length, this.#at);
  }
}
