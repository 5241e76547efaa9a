/** A GGUF file as if it were a folder of transformers: tensors by its names and with its values, config.json, tokenizer. */

import { basename } from 'node:path';
import type { Family } from '@forerunner/architecture';
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts';
import { type Matrix, permuteRows, plus, transpose } from '../checkpoint/matrix.ts';
import { RangeFile } from '../checkpoint/ranges.ts';
import { ImportError } from '../errors.ts';
import { BLOCK_FORMATS, OTHER_FORMATS } from './blocks.ts';
import { configOf } from './config.ts';
import { type GgufTensor, readGguf } from './file.ts';
import { transformersName } from './names.ts';
import { withLlama3Rope } from './rope-factors.ts';
import { tokenizerFilesOf } from './tokenizer.ts';

/** Errors: ImportError bad_checkpoint | unsupported_tensor_type | unsupported_tokenizer. */
export function openGguf(path: string): Checkpoint {
  const file = new RangeFile(path);
  try {
    const { metadata, tensors } = readGguf(file);
    if (Number(metadata.get('split.count') ?? 1) > 1) {
      throw new ImportError('bad_checkpoint', `${basename(path)} is one of several parts: put them together first`);
    }
    const embedding = tensors.find(({ name }) => name === 'token_embd.weight');
    const isTied = !tensors.some(({ name }) => name === 'output.weight');
    const { family, config } = configOf(metadata, embedding?.dims[0] ?? 0, isTied);
    const raw = tensors.map((tensor) => tensorOf(file, tensor));
    const factors = raw.find(({ name }) => name === 'rope_freqs.weight');
    let companions: ReadonlyMap<string, string> | undefined;
    const named = raw
      .filter((tensor) => tensor !== factors)
      .map((tensor) => asInTransformers(tensor, family, config))
      .map((tensor) => [tensor.name, tensor] as const);
    return {
      format: 'gguf',
      config: factors ? withLlama3Rope(config, factors) : config,
      tensors: new Map(named),
      numBytes: file.size,
      companions: () => {
        companions ??= tokenizerFilesOf(metadata); // a large vocabulary takes seconds
        return companions;
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

function tensorOf(file: RangeFile, { name, dims, type, offset }: GgufTensor): CheckpointTensor {
  const format = BLOCK_FORMATS[type];
  const columns = dims.at(-1) ?? 1;
  const rows = dims.slice(0, -1).reduce((product, dim) => product * dim, 1);
  if (!format) {
    const known = Object.values(BLOCK_FORMATS).map((each) => each.name);
    const found = OTHER_FORMATS[type] ?? `ggml_type ${type}`;
    throw new ImportError('unsupported_tensor_type', `${name} is of type ${found}; ${known.join(', ')} are known`);
  }
  if (columns % format.values !== 0) throw new ImportError('bad_checkpoint', `${name} has rows of ${columns} values`);
  const rowBytes = (columns / format.values) * format.bytes;
  if (offset + rows * rowBytes > file.size) {
    throw new ImportError('bad_checkpoint', `${basename(file.path)} ends before ${name} does: it is cut off`);
  }
  const read = (first: number, count: number) => format.decode(file.read(offset + first * rowBytes, count * rowBytes));
  return { name, dims, type: format.name, rows, columns, read };
}

function asInTransformers(tensor: CheckpointTensor, family: Family, config: Record<string, unknown>): CheckpointTensor {
  const name = transformersName(family, tensor.name);
  const named = (matrix: Matrix, dims = tensor.dims): CheckpointTensor => ({ ...tensor, ...matrix, name, dims });
  if (family === 'gpt2' && /\.c_(attn|proj|fc)\.weight$/.test(name)) {
    return named(transpose(tensor), tensor.dims.toReversed());
  }
  if (family.startsWith('gemma') && name.endsWith('norm.weight')) return named(plus(tensor, -1));
  const isRotated = /self_attn\.([qk])_proj\.(weight|bias)$/.exec(name);
  if (!isRotated || (family !== 'llama' && family !== 'smollm3')) return named(tensor);
  return named(halvesFirst(tensor, isRotated[2] === 'bias', Number(config.head_dim)));
}

/**
 * In llama.cpp a head's two halves are interleaved, since it turns neighbours; transformers turns dimension i with i + d/2.
 * Its converter: weights.reshape(heads, 2, d/2, columns).swapaxes(1, 2).
 */
function halvesFirst(tensor: Matrix, isBias: boolean, headDim: number): Matrix {
  const sourceOf = (row: number) => {
    const within = row % headDim;
    const [half, pair] = [Math.floor(within / (headDim / 2)), within % (headDim / 2)];
    return row - within + 2 * pair + half;
  };
  if (!isBias) return permuteRows(tensor, headDim, sourceOf);
  const { columns } = tensor;
  return {
    ...tensor,
    read(first, count) {
      const values = tensor.read(first, count);
      return Float32Array.from(values, (_, i) => values[sourceOf(i % columns)]!);
    },
  };
}
