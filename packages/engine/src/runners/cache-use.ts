/**
 * What every kind of cache does alike: who may touch it when, how much it holds, how much a number of tokens takes. Knows no
 * memory.
 */
import { closed } from '../errors.ts';
import { requireContext } from '../limits.ts';
import { bucketFor } from './kv-buckets.ts';

/** What all caches of a runner have in common; also what tells one runner's caches from another's. */
export interface CacheContext {
  readonly contextLength: number;
  /** Positions that a pass may write beyond its tokens. */
  readonly numPadTokens: number;
}

/** The guards and the length of one cache. */
export class CacheUse {
  readonly #context: CacheContext;
  /** Tokens that were written: the most that a pass can build on. */
  numHeld: number;
  #inPass = false;
  #released = false;

  constructor(context: CacheContext, numHeld = 0) {
    this.#context = context;
    this.numHeld = numHeld;
  }

  capacityOf(numPositions: number): number {
    return Math.max(0, numPositions - this.#context.numPadTokens);
  }

  /** Positions to reserve for `numTokens` and the pads after them. Errors: EngineError context_overflow. */
  positionsFor(numTokens: number): number {
    const { contextLength, numPadTokens } = this.#context;
    requireContext(numTokens, contextLength);
    return this.bucket(numTokens + numPadTokens);
  }

  bucket(numPositions: number): number {
    return bucketFor(numPositions, this.#context.contextLength);
  }

  begin(numPastTokens: number): void {
    this.requireIdle();
    if (numPastTokens > this.numHeld) {
      throw new TypeError(`the cache holds ${this.numHeld} tokens, the pass builds on ${numPastTokens}`);
    }
    this.#inPass = true;
  }

  end(numHeld: number): void {
    this.#inPass = false;
    this.numHeld = numHeld;
  }

  release(): void {
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
    this.#released = true;
    this.numHeld = 0;
  }

  requireIdle(): void {
    if (this.#released) throw closed('the cache was released');
    if (this.#inPass) throw new Error('a cache cannot be touched while a pass uses it');
  }
}
