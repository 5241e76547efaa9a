/**
 * Writes the values of initialisers into files of a bounded size beside the graph, and says in the initialiser where they
 * are. Tensors start at multiples of 4,096 bytes where they are large, so that they can be mapped.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GraphError } from './errors.ts';
import type { TensorProto } from './onnx.ts';

const EXTERNAL = 1; // TensorProto.DataLocation
const MAPPED_FROM_BYTES = 65_536;

export class ShardWriter {
  readonly fileNames: string[] = [];
  readonly #dir: string;
  readonly #maxFileBytes: number;
  #file: number | undefined;
  #offset = 0;
  #numBytes = 0;

  /** Of all files so far. */
  get numBytes(): number {
    return this.#numBytes;
  }

  /** Files model.onnx.data-00, -01 … of at most maxFileBytes; a larger tensor gets its own. */
  constructor(dir: string, maxFileBytes: number) {
    this.#dir = dir;
    this.#maxFileBytes = maxFileBytes;
  }

  add(tensor: TensorProto, bytes: Uint8Array): void {
    this.addPieces(tensor, bytes.length, [bytes]);
  }

  /** For values that are not in memory all at once. Errors: GraphError weights_unreadable when they are not `length` bytes. */
  addPieces(tensor: TensorProto, length: number, pieces: Iterable<Uint8Array>): void {
    const alignment = length >= MAPPED_FROM_BYTES ? 4_096 : 64;
    let start = Math.ceil(this.#offset / alignment) * alignment;
    if (this.#file === undefined || (this.#offset > 0 && start + length > this.#maxFileBytes)) {
      this.#nextFile();
      start = 0;
    }
    let end = start;
    for (const piece of pieces) {
      writeAll(this.#file!, piece, end);
      end += piece.length;
    }
    if (end - start !== length) {
      throw new GraphError('weights_unreadable', `${tensor.name} has ${end - start} bytes, not ${length}`);
    }
    this.#numBytes += end - this.#offset;
    this.#offset = end;
    delete tensor.rawData;
    tensor.dataLocation = EXTERNAL;
    tensor.externalData = [
      { key: 'location', value: this.fileNames.at(-1)! },
      { key: 'offset', value: String(start) },
      { key: 'length', value: String(length) },
    ];
  }

  /** Everything is on the disk. */
  close(): void {
    if (this.#file === undefined) return;
    fsyncSync(this.#file);
    closeSync(this.#file);
    this.#file = undefined;
  }

  #nextFile(): void {
    this.close();
    const name = `model.onnx.data-${String(this.fileNames.length).padStart(2, '0')}`;
    this.fileNames.push(name);
    this.#file = openSync(join(this.#dir, name), 'w');
    this.#offset = 0;
  }
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}
