/** The numbers of an initialiser, from the graph's bytes or from the very range of the external file that it names. */
import { closeSync, openSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { GraphError } from './errors.ts';
import { bytesOf } from './nodes.ts';
import { DataType, type TensorProto, toNumber } from './onnx.ts';

const EXTERNAL = 1; // TensorProto.DataLocation

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === EXTERNAL;
}

export function dimsOfTensor(tensor: TensorProto): number[] {
  return tensor.dims.map(toNumber);
}

/** Raw little-endian bytes. Errors: GraphError weights_unreadable (file missing or too short) | unsupported_graph. */
export function tensorBytes(tensor: TensorProto, folder: string): Uint8Array {
  if (isExternal(tensor)) return readExternal(tensor, folder);
  if (tensor.rawData?.length) return tensor.rawData;
  if (tensor.floatData?.length) return bytesOf(Float32Array.from(tensor.floatData));
  throw new GraphError('unsupported_graph', `${tensor.name} keeps its values in a form that is not read here`);
}

/** A copy as float32. Errors: as tensorBytes; unsupported_graph for any type but float32 and float16. */
export function tensorFloats(tensor: TensorProto, folder: string): Float32Array {
  const bytes = Uint8Array.from(tensorBytes(tensor, folder)).buffer; // a copy is aligned
  if (tensor.dataType === DataType.float32) return new Float32Array(bytes);
  if (tensor.dataType === DataType.float16) return Float32Array.from(new Float16Array(bytes));
  throw new GraphError('unsupported_graph', `${tensor.name} is not of a float type (type ${tensor.dataType})`);
}

/** Makes the tensor carry its own bytes. */
export function makeInline(tensor: TensorProto, folder: string): void {
  if (!isExternal(tensor)) return;
  tensor.rawData = readExternal(tensor, folder);
  tensor.externalData = [];
  delete tensor.dataLocation;
}

function readExternal(tensor: TensorProto, folder: string): Uint8Array {
  const entry = (key: string) => tensor.externalData?.find((candidate) => candidate.key === key)?.value;
  const location = entry('location') ?? '';
  if (!location || basename(location) !== location) {
    throw new GraphError(
      'weights_unreadable',
      `${tensor.name} lies in "${location}": only files beside the graph are read`,
    );
  }
  const offset = Number(entry('offset') ?? 0);
  const length = Number(entry('length') ?? Number.NaN);
  if (!Number.isSafeInteger(length)) throw new GraphError('unsupported_graph', `${tensor.name} names no length`);
  const bytes = new Uint8Array(length);
  let file: number;
  try {
    file = openSync(join(folder, location), 'r');
  } catch (cause) {
    throw new GraphError('weights_unreadable', `${location}, which holds ${tensor.name}, cannot be opened`, { cause });
  }
  try {
    for (let done = 0; done < length; ) {
      const numRead = readSync(file, bytes, done, length - done, offset + done);
      if (numRead === 0) throw new GraphError('weights_unreadable', `${location} ends before ${tensor.name} does`);
      done += numRead;
    }
  } finally {
    closeSync(file);
  }
  return bytes;
}

/** Where the values of an initialiser lie that is kept beside the graph. */
export interface ExternalTensor {
  readonly name: string;
  /** TensorProto.DataType. */
  readonly dataType: number;
  readonly dims: readonly number[];
  /** A file beside the graph. */
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** The initialisers whose values are kept in files; one that names no length or another folder is left out. */
export function externalTensors(initializers: readonly TensorProto[]): ExternalTensor[] {
  return initializers.filter(isExternal).flatMap((tensor) => {
    const entry = (key: string) => tensor.externalData?.find((candidate) => candidate.key === key)?.value;
    const [location = '', offset, length] = [entry('location'), Number(entry('offset') ?? 0), Number(entry('length'))];
    if (!location || basename(location) !== location || !Number.isSafeInteger(length)) return [];
    return [{ name: tensor.name, dataType: tensor.dataType, dims: dimsOfTensor(tensor), location, offset, length }];
  });
}
