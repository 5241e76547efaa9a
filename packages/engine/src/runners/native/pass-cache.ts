/** A cache as the native runner's passes see it. */
import type { KvCache } from '../../runner.ts';
import type { CacheContext } from '../cache-use.ts';
import type { Pointer } from './ort-api.ts';

/** Reserved for a pass, given to the graph, and given back with what it holds then. */
export interface PassCache extends KvCache {
  readonly context: CacheContext;
  /** Until endPass nobody else may touch the cache. */
  beginPass(numPastTokens: number): void;
  /** What the graph reads and writes: numRows positions after the first numPastTokens. Once a pass. */
  tensors(numPastTokens: number, numRows: number): { past: readonly Pointer[]; present: readonly Pointer[] };
  /** `numHeld` is what the pass began with if it failed. */
  endPass(numHeld: number): void;
}
