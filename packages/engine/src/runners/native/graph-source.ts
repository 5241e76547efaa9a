/**
 * Which graphs a runner loads for a model: rewritten in memory for several sequences a pass, or as the file has it where
 * that cannot be. Weights stay in their files.
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { decodeModel, type ExternalTensor, externalTensors, FLAT_BATCH, flatBatch } from '@forerunner/onnx-graph';
import type { EngineLog } from '../../log.ts';
import { graphAsLoaded } from '../loaded-graph.ts';
import type { ModelFiles } from '../model-files.ts';
import type { GraphInfo } from '../signature-from-graph.ts';
import type { GraphInMemory } from './session.ts';

export interface FlatGraphSource {
  /** Initialisers that lie in files. */
  readonly externalTensors: readonly ExternalTensor[];
  readonly weightsDir: string;
  /** The graph for `numSlots` sequences a pass. */
  graph(numSlots: number): GraphInMemory;
}

/** `whyNot`: attention is spelled out in the graph, or something in it cannot be done per sequence. */
export function flatGraphSource(files: ModelFiles): FlatGraphSource | { readonly whyNot: string } {
  if (files.attention !== 'group-query') return { whyNot: 'its attention is spelled out, without GroupQueryAttention' };
  const bytes = readFileSync(files.graphPath);
  const weightsDir = dirname(files.graphPath);
  try {
    const one = flatBatch(bytes, 1);
    const external = externalTensors(decodeModel(one).graph.initializer);
    return {
      externalTensors: external,
      weightsDir,
      graph: (numSlots) => ({
        bytes: numSlots === 1 ? one : flatBatch(bytes, numSlots),
        weightsDir,
        path: files.graphPath,
      }),
    };
  } catch (error) {
    return { whyNot: (error as Error).message };
  }
}

/** The file's graph for one sequence a pass. Errors: EngineError model_unsupported. */
export function singleGraphSource({ graphPath }: ModelFiles, log?: EngineLog): GraphInMemory {
  return { bytes: graphAsLoaded(readFileSync(graphPath), log), weightsDir: dirname(graphPath), path: graphPath };
}

/** What a session holds of the model: the graph's own bytes, and what it names in files. */
export function weightBytes({ graphPath }: ModelFiles): number {
  const bytes = readFileSync(graphPath);
  const external = externalTensors(decodeModel(bytes).graph.initializer);
  return external.reduce((sum, { length }) => sum + length, bytes.length);
}

/** A graph for one sequence, told with the names of the file's own inputs and outputs. */
export function originalInfo({ inputs, outputs }: GraphInfo): GraphInfo {
  const { rows, seqlensK, totalLength, cache } = FLAT_BATCH.slot(0);
  const own = new Set([rows, seqlensK, totalLength, FLAT_BATCH.logitRows, FLAT_BATCH.attentionRows]);
  const prefix = cache('');
  const original = ({ name, ...rest }: GraphInfo['inputs'][number]) => ({
    ...rest,
    name: name.startsWith(prefix) ? name.slice(prefix.length) : name,
  });
  return { inputs: inputs.filter(({ name }) => !own.has(name)).map(original), outputs: outputs.map(original) };
}
