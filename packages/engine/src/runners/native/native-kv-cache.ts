/**
 * One sequence's cache in KV memory, which passes read and append to in place. Rolling back is free: the pass says how much
 * counts. A fork shares the block until either side writes. What all kinds of caches do alike is CacheUse's.
 */

import { type CacheContext, CacheUse } from '../cache-use.ts';
import type { KvBlock, KvMemory } from './kv-memory.ts';
import type { Pointer } from './ort-api.ts';
import type { PassCache } from './pass-cache.ts';

export class NativeKvCache implements PassCache {
  readonly context: CacheContext;
  readonly #memory: KvMemory;
  readonly #use: CacheUse;
  #block: KvBlock | undefined;

  constructor(context: CacheContext, memory: KvMemory) {
    this.context = context;
    this.#memory = memory;
    this.#use = new CacheUse(context);
  }

  get capacity(): number {
    return this.#use.capacityOf(this.#block?.numPositions ?? 0);
  }

  get bytes(): number {
    return this.#block?.bytes ?? 0;
  }

  ensureCapacity(numTokens: number, numValid: number): void {
    this.#use.requireIdle();
    const numPositions = this.#use.positionsFor(numTokens);
    if (numTokens > this.capacity) this.#moveTo(numPositions, numValid);
  }

  fork(numValid: number): NativeKvCache {
    this.#use.requireIdle();
    const copy = new NativeKvCache(this.context, this.#memory);
    copy.#block = this.#block;
    if (this.#block) this.#block.numUsers++;
    copy.#use.numHeld = Math.min(numValid, this.#use.numHeld);
    return copy;
  }

  release(): void {
    this.#use.release();
    this.#drop();
  }

  beginPass(numPastTokens: number): void {
    this.#use.begin(numPastTokens);
  }

  /** One set of tensors, with room for the pass in a block that nobody else reads. */
  tensors(numPastTokens: number, numRows: number): { past: readonly Pointer[]; present: readonly Pointer[] } {
    const needed = numPastTokens + numRows;
    if (!this.#block || this.#block.numPositions < needed) {
      this.#moveTo(this.#use.bucket(needed), numPastTokens);
    } else if (this.#block.numUsers > 1) this.#moveTo(this.#block.numPositions, numPastTokens);
    const { values } = this.#block!;
    return { past: values, present: values };
  }

  endPass(numHeld: number): void {
    this.#use.end(numHeld);
  }

  #moveTo(numPositions: number, numValid: number): void {
    const block = this.#memory.allocate(numPositions);
    const numKept = Math.min(numValid, this.#use.numHeld);
    if (this.#block && numKept > 0) this.#memory.copy(this.#block, block, numKept);
    this.#drop();
    this.#block = block;
    this.#use.numHeld = numKept;
  }

  #drop(): void {
    if (this.#block) this.#memory.drop(this.#block);
    this.#block = undefined;
  }
}
