/**
 * Moves a model's weights into files of a bounded size (git hosts and registries refuse big ones). One tensor is in
 * memory at a time. Tensors start at multiples of 4,096 bytes where they are large, so that they can be mapped.
 */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decodeModel, encodeModel, isExternal, type TensorProto, tensorBytes } from '@forerunner/onnx-graph';
import { copyCompanions, createFolder, type ModelFolder } from './model-folder.ts';

const EXTERNAL = 1; // TensorProto.DataLocation
const MIN_EXTERNAL_BYTES = 1_024;
const MAPPED_FROM_BYTES = 65_536;

/** Writes outDir/model.onnx and model.onnx.data-00, -01 … of at most maxFileBytes; a larger tensor gets its own. */
export function shardExternalData(source: ModelFolder, outDir: string, maxFileBytes: number): string[] {
  createFolder(outDir);
  const model = decodeModel(source.graphBytes);
  const shards = new ShardWriter(outDir, maxFileBytes);
  try {
    for (const tensor of model.graph.initializer) {
      if (!isExternal(tensor) && (tensor.rawData?.length ?? 0) < MIN_EXTERNAL_BYTES) continue;
      shards.add(tensor, tensorBytes(tensor, source.graphDir));
    }
  } finally {
    shards.close();
  }
  writeFileSync(join(outDir, 'model.onnx'), encodeModel(model));
  copyCompanions(source, outDir);
  return shards.fileNames;
}

export class ShardWriter {
  readonly fileNames: string[] = [];
  readonly #dir: string;
  readonly #maxFileBytes: number;
  #file: number | undefined;
  #offset = 0;

  constructor(dir: string, maxFileBytes: number) {
    this.#dir = dir;
    this.#maxFileBytes = maxFileBytes;
  }

  add(tensor: TensorProto, bytes: Uint8Array): void {
    const alignment = bytes.length >= MAPPED_FROM_BYTES ? 4_096 : 64;
    let start = Math.ceil(this.#offset / alignment) * alignment;
    if (this.#file === undefined || (this.#offset > 0 && start + bytes.length > this.#maxFileBytes)) {
      this.#nextFile();
      start = 0;
    }
    writeAll(this.#file!, bytes, start);
    this.#offset = start + bytes.length;
    delete tensor.rawData;
    tensor.dataLocation = EXTERNAL;
    tensor.externalData = [
      { key: 'location', value: this.fileNames.at(-1)! },
      { key: 'offset', value: String(start) },
      { key: 'length', value: String(bytes.length) },
    ];
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
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
