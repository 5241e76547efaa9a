/** A KV cache that the caller owns, filled with the new rows that a rewritten graph gives back. Batch of one. */
import type { Tensor } from 'onnxruntime-node';
import { ModelToolError } from '../errors.ts';
import { type Past, presentNameOf } from './lm-session.ts';

/** Copies present.* [1, kv_heads, new, head_dim] into past_key_values.* [1, kv_heads, capacity, head_dim]. */
export function appendNewRows(cache: Past, outputs: Readonly<Record<string, Tensor>>, position: number): void {
  for (const [name, held] of cache) {
    const newRows = outputs[presentNameOf(name)];
    if (!newRows) throw new ModelToolError('check_failed', `the graph gave no ${presentNameOf(name)}`);
    copyRows(newRows, held, position);
  }
}

function copyRows(newRows: Tensor, held: Tensor, position: number): void {
  const [, numHeads = 0, numRows = 0, headDim = 0] = newRows.dims;
  const capacity = held.dims[2] ?? 0;
  if (position + numRows > capacity) {
    throw new ModelToolError('check_failed', `${numRows} rows at ${position} do not fit a cache of ${capacity} rows`);
  }
  const bytesPerRow = headDim * (newRows.type === 'float16' ? 2 : 4);
  const from = bytesOf(newRows);
  const into = bytesOf(held);
  for (let head = 0; head < numHeads; head++) {
    const rows = from.subarray(head * numRows * bytesPerRow, (head + 1) * numRows * bytesPerRow);
    into.set(rows, (head * capacity + position) * bytesPerRow);
  }
}

function bytesOf(tensor: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.data as Float32Array;
  return new Uint8Array(buffer, byteOffset, byteLength);
}
