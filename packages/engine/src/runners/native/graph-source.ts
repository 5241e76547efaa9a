/**
 * Which graph a runner loads. GroupQueryAttention takes one sequence a pass when several tokens are new, so for batches
 * the graph is rewritten in memory: to TensorScatter and Attention, in which every sequence has its own length. The
 * weights stay in their files.
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { raggedAttention } from '@forerunner/onnx-graph';
import type { ModelFiles } from '../model-files.ts';

export interface GraphSource {
  readonly files: ModelFiles;
  /** Present when the graph differs from the file. */
  readonly rewritten?: { readonly bytes: Uint8Array; readonly weightsDir: string };
}

/** The graph for batches of up to `maxBatchItems`; `note` hears why there will be no batches where it cannot be had. */
export function graphFor(files: ModelFiles, maxBatchItems: number, note: (reason: string) => void): GraphSource {
  if (maxBatchItems <= 1 || files.attention !== 'group-query') return { files };
  try {
    const bytes = raggedAttention(readFileSync(files.graphPath));
    return {
      files: { ...files, attention: 'tensor-scatter' },
      rewritten: { bytes, weightsDir: dirname(files.graphPath) },
    };
  } catch (error) {
    note((error as Error).message);
    return { files };
  }
}
