/**
 * Does what a model will need fit the GPU? Asked before weights are loaded, so that a budget that is too large is an error
 * at start and not a failure hours later, when the caches have filled. Pure: knows numbers, asks nobody.
 */
import { type EngineError, outOfMemory } from '../../errors.ts';
import type { NvidiaGpu } from './nvidia-gpu.ts';

export interface GpuMemoryNeed {
  readonly weightBytes: number;
  /** What all caches may take together (KV_CACHE_MB). */
  readonly kvBudgetBytes: number;
  /** Graphs that are wanted: each holds the weights. */
  readonly numGraphs: number;
}

export interface GpuMemoryPlan {
  /** Graphs that there is room for, at least one. */
  readonly numGraphs: number;
  /** What is reckoned with; in the words of the log. */
  readonly summary: string;
}

/** CUDA's context, its libraries' work space and the activations of a pass: what deploy-gpu.md tells operators. */
const WORK_SPACE_MIB = 2048;

const toMiB = (bytes: number) => Math.ceil(bytes / 2 ** 20);
const say = (mib: number) => mib.toLocaleString('en-US');

/** Errors: EngineError out_of_memory, saying what is there, what is needed, and which budget would fit. */
export function planGpuMemory(gpu: NvidiaGpu, need: GpuMemoryNeed): GpuMemoryPlan {
  const [weightsMiB, kvMiB] = [toMiB(need.weightBytes), toMiB(need.kvBudgetBytes)];
  const fixedMiB = kvMiB + WORK_SPACE_MIB;
  const numGraphs = Math.min(need.numGraphs, Math.floor((gpu.freeMiB - fixedMiB) / Math.max(1, weightsMiB)));
  if (numGraphs < 1) throw doesNotFit(gpu, weightsMiB, kvMiB);
  return { numGraphs, summary: `${sumOf(numGraphs, weightsMiB, kvMiB)}; ${stateOf(gpu)}` };
}

function doesNotFit(gpu: NvidiaGpu, weightsMiB: number, kvMiB: number): EngineError {
  const neededMiB = weightsMiB + kvMiB + WORK_SPACE_MIB;
  const largestMiB = gpu.freeMiB - weightsMiB - WORK_SPACE_MIB;
  const hint = largestMiB > 0 ? `KV_CACHE_MB=${largestMiB} would fit` : 'the weights alone leave no room for caches';
  const message = `${stateOf(gpu)}, and ${say(neededMiB)} are needed: ${sumOf(1, weightsMiB, kvMiB)}; ${hint}`;
  return outOfMemory(message, neededMiB * 2 ** 20);
}

const stateOf = ({ deviceId, name, totalMiB, freeMiB }: NvidiaGpu) =>
  `GPU ${deviceId} (${name}) has ${say(freeMiB)} of ${say(totalMiB)} MiB free`;

const sumOf = (numGraphs: number, weightsMiB: number, kvMiB: number) =>
  `${numGraphs === 1 ? '' : `${numGraphs} × `}${say(weightsMiB)} MiB of weights, ${say(kvMiB)} of caches (KV_CACHE_MB), ${say(WORK_SPACE_MIB)} of work space`;
