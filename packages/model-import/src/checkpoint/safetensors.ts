/**
 * Folders of transformers: config.json, one or several .safetensors files, tokenizer files. Headers are read at once,
 * values by ranges when they are wanted. The format: 8 bytes of length, a JSON header, the values.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { textConfigOf } from '@forerunner/architecture';
import { ImportError } from '../errors.ts';
import type { Checkpoint, CheckpointTensor } from './checkpoint.ts';
import { asFloat32, bfloat16ToFloat32, float16ToFloat32 } from './floats.ts';
import { RangeFile } from './ranges.ts';

/** A header of more is not one: vocabularies are not in it. */
const MAX_HEADER_BYTES = 100_000_000;

const TYPES: Readonly<Record<string, { size: number; decode: (bytes: Uint8Array) => Float32Array }>> = {
  F32: { size: 4, decode: asFloat32 },
  F16: { size: 2, decode: float16ToFloat32 },
  BF16: { size: 2, decode: bfloat16ToFloat32 },
};

/** What a model folder has beside configuration and weights, and what is taken over of it. */
const COMPANIONS =
  /^(generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json$|^chat_template\.(jinja|json)$|^(LICENSE|NOTICE|USE_POLICY)/i;

/** Errors: ImportError no_checkpoint | bad_checkpoint. */
export function openSafetensors(dir: string): Checkpoint {
  const config = textConfigOf(readJson(join(dir, 'config.json')));
  const files: RangeFile[] = [];
  const tensors = new Map<string, CheckpointTensor>();
  const close = () => {
    for (const file of files) file.close();
  };
  try {
    for (const name of weightFilesOf(dir)) {
      const file = openRange(join(dir, name));
      files.push(file);
      for (const tensor of tensorsOf(file)) tensors.set(tensor.name, tensor);
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    format: 'safetensors',
    config,
    tensors,
    numBytes: files.reduce((sum, file) => sum + file.size, 0),
    companions: () => companionsOf(dir),
    close,
  };
}

/** Several files are named by an index; each is looked for beside it. */
function weightFilesOf(dir: string): string[] {
  const index = join(dir, 'model.safetensors.index.json');
  if (!existsSync(index)) return ['model.safetensors'];
  const weightMap = readJson(index).weight_map;
  const names = [...new Set(Object.values((weightMap ?? {}) as Record<string, string>))].sort();
  const outside = names.find((name) => typeof name !== 'string' || basename(name) !== name);
  if (names.length > 0 && outside === undefined) return names;
  throw new ImportError('bad_checkpoint', `${basename(index)} names ${outside ?? 'no files'}`);
}

function openRange(path: string): RangeFile {
  if (existsSync(path)) return new RangeFile(path);
  throw new ImportError('no_checkpoint', `there is no ${path}`);
}

function tensorsOf(file: RangeFile): CheckpointTensor[] {
  const name = basename(file.path);
  const headerBytes = Number(file.read(0, 8).readBigUInt64LE());
  if (headerBytes > MAX_HEADER_BYTES) throw new ImportError('bad_checkpoint', `${name} is not a safetensors file`);
  const header = parse(file.read(8, headerBytes).toString(), name);
  delete header.__metadata__;
  return Object.entries(header).map(([tensor, entry]) => tensorOf(file, 8 + headerBytes, tensor, entry));
}

function tensorOf(file: RangeFile, dataStart: number, name: string, entry: unknown): CheckpointTensor {
  const { dtype, shape, data_offsets: offsets } = entry as { dtype: string; shape: number[]; data_offsets: number[] };
  const type = Object.hasOwn(TYPES, dtype) ? TYPES[dtype] : undefined;
  const columns = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, dim) => product * dim, 1);
  const [start = 0, end = 0] = offsets;
  if (type && end - start !== rows * columns * type.size) {
    throw new ImportError('bad_checkpoint', `${name} has ${end - start} bytes for [${shape.join(', ')}] of ${dtype}`);
  }
  if (dataStart + end > file.size) {
    throw new ImportError('bad_checkpoint', `${basename(file.path)} ends before ${name} does: it is cut off`);
  }
  return {
    name,
    dims: shape,
    type: dtype,
    rows,
    columns,
    read(first, count) {
      if (!type) {
        const known = Object.keys(TYPES).join(', ');
        throw new ImportError('unsupported_tensor_type', `${name} is of type ${dtype}; ${known} are known`);
      }
      const rowBytes = columns * type.size;
      return type.decode(file.read(dataStart + start + first * rowBytes, count * rowBytes));
    },
  };
}

function companionsOf(dir: string): Map<string, Uint8Array> {
  const names = readdirSync(dir, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return new Map(
    names.filter(({ name }) => COMPANIONS.test(name)).map(({ name }) => [name, readFileSync(join(dir, name))] as const),
  );
}

function readJson(path: string): Record<string, unknown> {
  if (!existsSync(path)) throw new ImportError('no_checkpoint', `there is no ${path}`);
  return parse(readFileSync(path, 'utf8'), basename(path));
}

function parse(text: string, name: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new ImportError('bad_checkpoint', `${name} is not what its name says: ${(cause as Error).message}`, {
      cause,
    });
  }
}
