/** A loaded graph as the runner uses it: sequences are put in their places, the run follows, rows are read. */
import type { ForwardOutput } from '../../runner.ts';
import type { PassPlan } from '../pass-plan.ts';
import type { PassCache } from './pass-cache.ts';
import type { RunArguments } from './run-arguments.ts';

/** One sequence's share of a pass. */
export interface PassItem {
  readonly plan: PassPlan;
  readonly cache: PassCache;
}

export interface PreparedPass {
  readonly run: RunArguments;
  /** Rows that the linear operators see. */
  readonly numRows: number;
  /** After the run, once: one output per item, in order. */
  read(): ForwardOutput[];
}

export interface PassGraph {
  /** Most sequences of a pass. */
  readonly numSlots: number;
  /** Buffers of the outputs are added to `taken`. Between two runs only. Errors: EngineError out_of_memory. */
  prepare(items: readonly PassItem[], taken: Float32Array[]): PreparedPass;
  /** After the last run. */
  close(): void;
}
